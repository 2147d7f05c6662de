// What the subcommands of `repose` share.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver/compile.h"
#include "driver/read_model.h"
#include "frontend/onnx/import.h"

namespace repose::cli {

inline constexpr const char* version = "repose " REPOSE_VERSION;

// Prints diagnostics to stderr; the exit code is that of the worst (docs: 0 ok, 1 mismatch, 2
// usage, 3 unsupported, 4 malformed, 5 internal, 6 a file cannot be read or written, 7 the model
// refused the call).
int report(const Diagnostics& diagnostics);
void warn(const Diagnostics& warnings);
// Text with any bytes.
void print_out(std::string_view text);

// Options of every command that reads a model.
struct ModelOptions {
  std::string path;
  std::string cpu = "host";
  std::string name;                 // default: the file's stem
  std::vector<std::string> dims;    // "seq=1..512%8"
  std::vector<std::string> shapes;  // "x=batch,3,h,w"
  std::vector<std::string> disabled;
  std::vector<std::string> print_after;
  std::string dump_folder;
  std::string schedule_file;
  std::string tuned_file;
  bool strict_dims = false;
  bool trace = false;
  bool time_passes = false;
  bool verify = false;
  bool debug_memory = false;
  bool profile = false;
  bool count_work = false;

  std::vector<const CLI::Option*> of_reading, of_compiling;  // as they were offered
};
// What the options are for: `MODEL` and its dimensions; running passes too; compiling too.
enum class Uses { reading, passes, compiling };
void add_model_options(CLI::App& app, ModelOptions& options, Uses uses, const std::string& model);
// An error that names the options that were given and have no effect, `because`.
Result<void> refuse_given(const std::vector<const CLI::Option*>& options,
                          const std::string& because);
// Options that were given for an artifact, which is compiled already.
Result<void> refuse_for_artifact(const ModelOptions& options, bool has_model = false);

// Checks of options: no empty text; a number of threads, 0 for the default.
CLI::Validator not_empty();
CLI::Validator thread_count();

// An error where writing `output` would replace the model `path` that is read, or its weights.
Result<void> require_other_file(const std::string& output, const std::string& path);
// Reads an .onnx file or IR text (by contents: text that parses as neither is reported as text).
// `reports`, if given, gets what it took.
Result<Module> read_model(const ModelOptions& options, std::vector<PassReport>* reports = nullptr);
// Reads the schedules and prints steps as `options` say, where `schedule_programs` runs.
Result<void> use_schedules(const ModelOptions& options, PipelineOptions& pipeline,
                           bool schedules_programs);
// What passes leave behind: prints and writes modules as `options` say. Errors go to `problems`.
// `steps`: names besides those of the pipeline's passes.
Result<void> watch_passes(const ModelOptions& options, PipelineOptions& pipeline,
                          Diagnostics& problems, std::span<const std::string> steps = {});
// A model that was read, and how to compile it: all that its artifact depends on.
struct ReadModel {
  Module module;
  CompileOptions options;
  std::vector<PassReport> reports;  // what reading took
};
Result<ReadModel> prepare_model(const ModelOptions& options, const std::string& name_prefix = "");
// Shows what passes leave behind, as `options` say.
Result<CompiledModel> compile_prepared(ReadModel& model, const ModelOptions& options);
// Both.
Result<CompiledModel> compile_model(const ModelOptions& options,
                                    const std::string& name_prefix = "");
void print_times(const std::vector<PassReport>& reports);

// Each registers itself and returns through `exit_code`.
void add_compile(CLI::App& app, int& exit_code);
void add_compile_many(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_profile(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_opt(CLI::App& app, int& exit_code);
void add_reduce(CLI::App& app, int& exit_code);

}  // namespace repose::cli
