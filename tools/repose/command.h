// What the subcommands of `repose` share.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "frontend/onnx/import.h"

namespace repose::cli {

// Prints diagnostics to stderr; the exit code is that of the worst (docs: 0 ok, 1 mismatch, 2
// usage, 3 unsupported, 4 malformed, 5 internal, 6 a file cannot be read or written, 7 the model
// refused the call).
int report(const Diagnostics& diagnostics);
void warn(const Diagnostics& warnings);

// Options of every command that compiles.
struct ModelOptions {
  std::string path;
  std::string cpu = "host";
  std::string name;               // default: the file's stem
  std::vector<std::string> dims;  // "seq=1..512%8"
  std::vector<std::string> disabled;
  std::vector<std::string> print_after;
  std::string dump_folder;
  bool strict_dims = false;
  bool time_passes = false;
  bool verify = false;
  bool debug_memory = false;
};
void add_model_options(CLI::App& app, ModelOptions& options);

// "batch=1..,seq=1..512%8,past+new=..4096" -> ranges by name or sum.
Result<std::map<std::string, Interval>> parse_dims(const std::vector<std::string>& specs);

bool is_artifact(const std::string& path);  // a shared library, by its contents
// Reads an .onnx file or IR text (by contents: text that parses as neither is reported as text).
Result<Module> read_model(const ModelOptions& options);
// Reads and compiles.
Result<CompiledModel> compile_model(const ModelOptions& options,
                                    const std::string& name_prefix = "");
void print_times(const std::vector<PassReport>& reports);

// Each registers itself and returns through `exit_code`.
void add_compile(CLI::App& app, int& exit_code);
void add_compile_many(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_opt(CLI::App& app, int& exit_code);

}  // namespace repose::cli
