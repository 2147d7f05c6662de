// repose opt: reads IR text, applies passes, prints.
#include <algorithm>

#include "codegen/llvm/target_llvm.h"
#include "command.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/graph/pattern_rules.h"
#include "script/printer.h"

namespace repose::cli {

namespace {

struct OptOptions {
  ModelOptions model;
  std::vector<std::string> passes;
  GradientOptions gradient;
  MixedPrecisionOptions mixed_precision;
  std::string mixed_dtype = "float16";
  std::string rewrite;  // a file of pattern rules
};

// The module after the rules in a file.
Result<Module> rewritten(const std::string& path, const Module& module,
                         const PipelineOptions& pipeline) {
  Diagnostics warnings;
  REPOSE_TRY(text, read_model(path, {}, &warnings));
  if (!warnings.empty()) report(warnings);
  REPOSE_TRY(rules, read_pattern_rules(text, standard_ops()));
  REPOSE_TRY(result, apply_pattern_rules(module, standard_ops(), rules));
  Diagnostics problems = verify(result, standard_ops());
  if (!problems.empty()) return problems;
  if (pipeline.after_pass) pipeline.after_pass("rewrite", result);
  return std::move(result);
}

Result<Module> apply(const OptOptions& o, const Module& module, std::vector<PassReport>& reports) {
  REPOSE_TRY(target, find_target(o.model.cpu));
  PipelineOptions pipeline;
  pipeline.target = target;
  pipeline.verify = true;
  pipeline.gradient = o.gradient;
  pipeline.mixed_precision = o.mixed_precision;
  const std::optional<DType> dtype = DType::parse(o.mixed_dtype);
  if (!dtype) {
    return error(DiagnosticKind::bad_usage, {}, "--mixed-dtype: `{}` is no dtype", o.mixed_dtype);
  }
  pipeline.mixed_precision.dtype = *dtype;
  const bool schedules =
      std::find(o.passes.begin(), o.passes.end(), "schedule_programs") != o.passes.end();
  if (auto used = use_schedules(o.model, pipeline, schedules); !used.ok()) return used.errors();
  Diagnostics problems;
  std::vector<std::string> steps;
  for (const PassInfo& p : further_passes()) steps.emplace_back(p.name);
  if (!o.rewrite.empty()) steps.emplace_back("rewrite");
  auto watched = watch_passes(o.model, pipeline, problems, steps);
  if (!watched.ok()) return watched.errors();
  Module current = module;
  if (!o.rewrite.empty()) {
    const WorkStep step(reports, "rewrite");
    REPOSE_TRY(next, rewritten(o.rewrite, module, pipeline));
    current = std::move(next);
  }
  for (const std::string& name : o.passes) {
    const WorkStep step(reports, name);
    REPOSE_TRY(next, run_pass(name, current, standard_ops(), pipeline));
    current = std::move(next);
  }
  if (!problems.empty()) return problems;
  return current;
}

int run(const OptOptions& o) {
  std::vector<PassReport> reports;
  auto module = read_model(o.model, &reports);
  if (!module.ok()) return report(module.errors());
  Diagnostics problems = verify(*module, standard_ops());
  if (!problems.empty()) return report(problems);
  auto result = apply(o, *module, reports);
  if (!result.ok()) return report(result.errors());
  if (!o.model.trace) print_out(print(*result));
  if (o.model.time_passes) print_times(reports);
  return 0;
}

}  // namespace

void add_opt(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<OptOptions>();
  CLI::App* command =
      app.add_subcommand("opt", "Apply passes to a model or IR text and print the result");
  std::string names = "Passes, in order:";
  for (const PassInfo& p : pipeline_passes()) names += fmt::format("\n  {}: {}", p.name, p.summary);
  names += "\nand, which run only where they are asked for:";
  for (const PassInfo& p : further_passes()) names += fmt::format("\n  {}: {}", p.name, p.summary);
  add_model_options(*command, options->model, Uses::passes, "An .onnx or .pt2 file, or IR text");
  command
      ->add_option("--rewrite", options->rewrite,
                   "Rules that are applied first: functions `pattern` and `replacement`")
      ->type_name("FILE");
  command->add_option("--passes", options->passes, names)->delimiter(',');
  command->add_option("--gradient-of", options->gradient.function,
                      "The function whose gradient `gradient` adds, as FUNCTION_adjoint: main");
  command
      ->add_option("--gradient-in", options->gradient.parameters,
                   "The parameters that it is the gradient in, by name: every float tensor")
      ->delimiter(',');
  command->add_option("--gradient-target", options->gradient.target,
                      "The result that it is the gradient of, where there are several: 0");
  command->add_option("--mixed-dtype", options->mixed_dtype,
                      "What `to_mixed_precision` computes in: float16 (the default) or bfloat16");
  auto add_list = [&](const char* flag, std::vector<std::string>& names, const char* text) {
    command->add_option(flag, names, text)->delimiter(',');
  };
  add_list("--mixed-always", options->mixed_precision.always,
           "Operators that it computes in 16 bits wherever they stand");
  add_list("--mixed-follow", options->mixed_precision.follow,
           "Operators that it computes in 16 bits where their operands are");
  add_list("--mixed-never", options->mixed_precision.never,
           "Operators that it computes in float32");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace repose::cli
