// The command line: `repose compile | run | compare | inspect | profile | bench | opt | reduce |
// version`.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>

#include "command.h"

namespace repose::cli {
namespace {

// The first word, where it is no command.
Result<void> check_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return {};
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) return {};
    if (command->get_group().empty()) continue;  // hidden
    names += (names.empty() ? "`" : ", `") + command->get_name() + "`";
  }
  return error(DiagnosticKind::bad_usage, {}, "there is no command `{}`; there are {}", argv[1],
               names);
}

// What was printed may be lost: the disk is full, for example.
int finish_output(int exit_code) {
  errno = 0;
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout.good();
  if (written) return exit_code;
  const int code = report({error(DiagnosticKind::cannot_write, {}, "cannot write the output{}",
                                 errno ? std::string(": ") + std::strerror(errno) : "")});
  return exit_code ? exit_code : code;
}

int run(CLI::App& app, int argc, char** argv, const int& exit_code) {
  if (auto known = check_command(app, argc, argv); !known.ok()) return report(known.errors());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : static_cast<int>(Failure::usage);
  } catch (const std::bad_alloc&) {
    std::fputs("error: out of memory\n", stderr);
    return static_cast<int>(Failure::internal);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "internal error: %s\nThis is a bug of repose; please report it.\n",
                 e.what());
    return static_cast<int>(Failure::internal);
  }
  return exit_code;
}

}  // namespace
}  // namespace repose::cli

int main(int argc, char** argv) {
  using namespace repose;
  CLI::App app{"Repose compiles a neural network once and runs it natively at every shape."};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of every command");
  app.set_version_flag("--version", cli::version, "Print the version");
  int exit_code = 0;
  cli::add_compile(app, exit_code);
  cli::add_compile_many(app, exit_code);
  cli::add_run(app, exit_code);
  cli::add_compare(app, exit_code);
  cli::add_inspect(app, exit_code);
  cli::add_profile(app, exit_code);
  cli::add_bench(app, exit_code);
  cli::add_opt(app, exit_code);
  cli::add_reduce(app, exit_code);
  app.add_subcommand("version", "Print the version")->callback([] { std::puts(cli::version); });
  return cli::finish_output(cli::run(app, argc, argv, exit_code));
}
