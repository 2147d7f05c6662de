// The command line: `repose compile | run | compare | inspect | opt | version`.
#include <cstdio>
#include <exception>

#include "command.h"

int main(int argc, char** argv) {
  using namespace repose;
  CLI::App app{"Repose compiles a neural network once and runs it natively at every shape."};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of every command");
  int exit_code = 0;
  cli::add_compile(app, exit_code);
  cli::add_compile_many(app, exit_code);
  cli::add_run(app, exit_code);
  cli::add_compare(app, exit_code);
  cli::add_inspect(app, exit_code);
  cli::add_opt(app, exit_code);
  app.add_subcommand("version", "Print the version")->callback([] { std::puts("repose 0.1.0"); });
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
