// repose opt: reads IR text, applies passes, prints.
#include <cstdio>

#include "codegen/llvm/target_llvm.h"
#include "command.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "script/printer.h"

namespace repose::cli {

namespace {

struct Options {
  ModelOptions model;
  std::vector<std::string> passes;
};

int run(const Options& o) {
  auto module = read_model(o.model);
  if (!module.ok()) return report(module.errors());
  Diagnostics problems = verify(*module, standard_ops());
  if (!problems.empty()) return report(problems);
  auto target = find_target(o.model.cpu);
  if (!target.ok()) return report(target.errors());
  PipelineOptions pipeline;
  pipeline.target = *target;
  pipeline.verify = true;
  Module current = *module;
  for (const std::string& name : o.passes) {
    auto next = run_pass(name, current, standard_ops(), pipeline);
    if (!next.ok()) return report(next.errors());
    current = *next;
  }
  std::fputs(print(current).c_str(), stdout);
  return 0;
}

}  // namespace

void add_opt(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("opt", "Apply passes to IR text and print the result");
  std::string names = "Passes, in order:";
  for (const PassInfo& p : pipeline_passes()) names += fmt::format("\n  {}: {}", p.name, p.summary);
  add_model_options(*command, options->model);
  command->add_option("--passes", options->passes, names)->delimiter(',');
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace repose::cli
