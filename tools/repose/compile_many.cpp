// repose compile-many: compiles one model after another in one process, for test suites.
//
// Reads lines MODEL<tab>OUTPUT from stdin; answers each on stdout with the exit code that `repose
// compile MODEL -o OUTPUT` would have, a tab, and the diagnostics with newlines as \n and
// backslashes as \\. Not in the help: users compile one model at a time.
#include <exception>
#include <iostream>

#include "command.h"

namespace repose::cli {

namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

int code_of(const Diagnostics& diagnostics) {
  for (const Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::error) return static_cast<int>(kind_failure(d.kind));
  }
  return 0;
}

// The exit code and the diagnostics.
std::pair<int, std::string> compile_one(const std::string& path, const std::string& output) {
  try {
    ModelOptions options;
    options.path = path;
    auto compiled = compile_model(options);
    if (!compiled.ok()) return {code_of(compiled.errors()), to_string(compiled.errors())};
    auto written = write_artifact(*compiled, Emit::shared, output);
    if (!written.ok()) return {code_of(written.errors()), to_string(written.errors())};
    return {0, ""};
  } catch (const std::exception& e) {
    return {static_cast<int>(Failure::internal), std::string("internal error: ") + e.what() + "\n"};
  }
}

int run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return static_cast<int>(Failure::usage);
    const auto [code, text] = compile_one(line.substr(0, tab), line.substr(tab + 1));
    std::cout << code << '\t' << escaped(text) << std::endl;
  }
  return 0;
}

}  // namespace

void add_compile_many(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("compile-many", "Compile the models that stdin names");
  command->group("");  // hidden
  command->callback([&exit_code] { exit_code = run(); });
}

}  // namespace repose::cli
