// What the subcommands of `repose` share.
#include "command.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "codegen/llvm/target_llvm.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "progress.h"
#include "script/printer.h"
#include "tuning.h"

namespace repose::cli {

namespace fs = std::filesystem;

namespace {

constexpr double shown_seconds = 0.01;  // of a part of a pass

}  // namespace

int report(const Diagnostics& diagnostics) {
  const std::string text = to_string(diagnostics);
  if (!text.empty()) clear_progress();
  std::fwrite(text.data(), 1, text.size(), stderr);
  for (const Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::error) return static_cast<int>(kind_failure(d.kind));
  }
  return 0;
}

void warn(const Diagnostics& warnings) {
  const std::string text = to_string(warnings);
  if (!text.empty()) clear_progress();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_out(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void add_model_options(CLI::App& app, ModelOptions& o, Uses uses, const std::string& model) {
  app.add_option("model", o.path, model)->required();
  o.of_reading = {
      app.add_option(
          "--dim", o.dims,
          "Ranges of dimensions: seq=1..512%8,batch=1..,past+new=..4096 (%8: a multiple of 8)"),
      app.add_option("--shape", o.shapes,
                     "The shape of an input whose rank the model doesn't say: x=batch,3,h,w"),
      app.add_flag("--strict-dims", o.strict_dims,
                   "An error where two differently named dimensions must be equal")};
  if (uses == Uses::reading) return;
  o.of_compiling = {
      app.add_option("--cpu", o.cpu, "host, x86-64-v2, x86-64-v3 or x86-64-v4")
          ->capture_default_str(),
      app.add_option("--print-after", o.print_after, "Print the module after this pass"),
      app.add_option("--dump-ir", o.dump_folder,
                     "Write the module after every pass into this folder")
          ->check(not_empty()),
      app.add_option("--schedule", o.schedule_file,
                     "Schedules of programs, in the form that --trace prints")
          ->check(not_empty()),
      app.add_flag("--trace", o.trace, "Print the steps of each program's schedule"),
      app.add_flag("--time-passes", o.time_passes,
                   "Print the time of every pass, and of the steps that follow them")};
  if (uses == Uses::passes) return;
  o.of_compiling.insert(
      o.of_compiling.end(),
      {app.add_option("--disable", o.disabled, "Skip a pass (see --help of opt for the names)"),
       app.add_option("--tuned", o.tuned_file,
                      "What --tune of compile found: used for the programs that are in this file")
           ->check(not_empty()),
       app.add_flag("--verify", o.verify, "Verify the module after every pass"),
       app.add_flag("--debug-memory", o.debug_memory,
                    "Fill memory with NaN patterns where its last use is over")});
}

Result<void> refuse_given(const std::vector<const CLI::Option*>& options,
                          const std::string& because) {
  std::string given;
  for (const CLI::Option* o : options) {
    if (o->count() > 0) given += (given.empty() ? "" : ", ") + o->get_name();
  }
  if (given.empty()) return {};
  return error(DiagnosticKind::bad_usage, {}, "{}: no effect here, as {}", given, because);
}

Result<void> refuse_for_artifact(const ModelOptions& o, bool has_model) {
  std::vector<const CLI::Option*> options = o.of_compiling;
  if (!has_model) options.insert(options.end(), o.of_reading.begin(), o.of_reading.end());
  return refuse_given(options, "the artifact is compiled already");
}

CLI::Validator not_empty() {
  return {[](std::string& text) { return std::string(text.empty() ? "expected some text" : ""); },
          "", "not empty"};
}

CLI::Validator thread_count() {
  return CLI::Range(0, 4096);
}

Result<void> require_other_file(const std::string& output, const std::string& path) {
  std::error_code ec;
  fs::path weights = path;
  weights.replace_extension(".safetensors");
  for (const fs::path& read : {fs::path(path), weights}) {
    if (!fs::equivalent(output, read, ec) || ec) continue;
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` holds the model that is read: name another file to write", output);
  }
  return {};
}

Result<Module> read_model(const ModelOptions& o, std::vector<PassReport>* reports) {
  std::optional<WorkStep> step;
  if (reports) step.emplace(*reports, "read_model");
  ReadModelOptions options;
  options.strict_dims = o.strict_dims;
  REPOSE_TRY(dims, parse_dims(o.dims));
  options.dims = std::move(dims);
  for (const std::string& shape : o.shapes) {
    if (auto added = parse_shape(options.dims, shape); !added.ok()) return added.errors();
  }
  Diagnostics warnings;
  auto module = repose::read_model(o.path, options, &warnings);
  warn(warnings);
  return module;
}

Result<void> use_schedules(const ModelOptions& o, PipelineOptions& pipeline,
                           bool schedules_programs) {
  if (!schedules_programs && (o.trace || !o.schedule_file.empty())) {
    return error(DiagnosticKind::bad_usage, {},
                 "{}: no effect here, as schedule_programs doesn't run",
                 o.trace ? "--trace" : "--schedule");
  }
  if (!o.schedule_file.empty()) {
    REPOSE_TRY(text, read_file(o.schedule_file));
    REPOSE_TRY(written, schedule::read_schedules(make_text_source(o.schedule_file, text)));
    pipeline.schedule.written = std::move(written);
  }
  if (!o.trace) return {};
  pipeline.schedule.on_program = [](const std::string& program, const ScheduledProgram& scheduled) {
    std::string text;
    for (const std::string& reason : scheduled.refused) text += "# " + reason + "\n";
    if (!scheduled.steps) text += "# " + program + ": loops without steps\n";
    if (scheduled.steps) text += program + ":\n";
    for (const schedule::Step& step : scheduled.steps.value_or(std::vector<schedule::Step>{})) {
      text += "    " + schedule::to_string(step) + "\n";
    }
    print_out(text);
  };
  return {};
}

Result<void> watch_passes(const ModelOptions& o, PipelineOptions& pipeline, Diagnostics& problems,
                          std::span<const std::string> steps) {
  for (const std::string& name : o.print_after) {
    const auto& all = pipeline_passes();
    if (std::none_of(all.begin(), all.end(), [&](const PassInfo& p) { return p.name == name; }) &&
        std::find(steps.begin(), steps.end(), name) == steps.end()) {
      return error(DiagnosticKind::bad_usage, {}, "--print-after: no pass is called `{}`", name);
    }
  }
  if (!o.dump_folder.empty()) {
    std::error_code ec;
    fs::create_directories(o.dump_folder, ec);
  }
  pipeline.after_pass = [&o, &problems, position = 0](const std::string& pass,
                                                      const Module& module) mutable {
    if (std::count(o.print_after.begin(), o.print_after.end(), pass)) print_out(print(module));
    if (o.dump_folder.empty()) return;
    const std::string file = fmt::format("{}/{:02}_{}.relax", o.dump_folder, position++, pass);
    auto written = write_file(file, print(module));
    if (!written.ok())
      problems.insert(problems.end(), written.errors().begin(), written.errors().end());
  };
  return {};
}

Result<ReadModel> prepare_model(const ModelOptions& o, const std::string& name_prefix) {
  ReadModel read;
  CompileOptions& options = read.options;
  REPOSE_TRY(target, find_target(o.cpu));
  options.pipeline.target = target;
  options.pipeline.disabled = o.disabled;
  options.pipeline.verify = o.verify;
  const bool schedules =
      std::find(o.disabled.begin(), o.disabled.end(), "schedule_programs") == o.disabled.end();
  if (auto used = use_schedules(o, options.pipeline, schedules); !used.ok()) return used.errors();
  if (!o.tuned_file.empty()) {
    REPOSE_TRY(tuning, Tuning::read(o.tuned_file));
    tuning.apply(options.pipeline);
  }
  options.debug_memory = o.debug_memory;
  options.profile = o.profile;
  options.count_work = o.count_work;
  options.name = o.name.empty() ? fs::path(o.path).stem().string() : o.name;
  options.source = fs::path(o.path).filename().string();
  options.name_prefix = name_prefix;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  REPOSE_TRY(module, read_model(o, &read.reports));
  Diagnostics malformed = verify(module, standard_ops());
  if (!malformed.empty()) return malformed;
  read.module = std::move(module);
  return read;
}

Result<CompiledModel> compile_prepared(ReadModel& read, const ModelOptions& o) {
  Diagnostics problems;
  if (auto watched = watch_passes(o, read.options.pipeline, problems, steps_after_pipeline());
      !watched.ok())
    return watched.errors();
  auto compiled = compile(read.module, standard_ops(), read.options);
  if (!problems.empty()) return problems;
  if (!compiled.ok()) return compiled;
  compiled->options.pipeline.after_pass = nullptr;  // it holds what ends here
  compiled->reports.insert(compiled->reports.begin(), read.reports.begin(), read.reports.end());
  return compiled;
}

Result<CompiledModel> compile_model(const ModelOptions& o, const std::string& name_prefix) {
  REPOSE_TRY(read, prepare_model(o, name_prefix));
  return compile_prepared(read, o);
}

void print_times(const std::vector<PassReport>& reports) {
  clear_progress();
  double total = 0;
  for (const PassReport& r : reports) {
    std::fprintf(stderr, "%9.1f ms  %s", r.seconds * 1e3, r.name.c_str());
    if (r.longest_seconds >= shown_seconds) {
      std::fprintf(stderr, "  (%.1f ms: %s)", r.longest_seconds * 1e3, r.longest_part.c_str());
    }
    std::fprintf(stderr, "\n");
    total += r.seconds;
  }
  std::fprintf(stderr, "%9.1f ms  total\n", total * 1e3);
}

}  // namespace repose::cli
