// repose reduce: a smaller ONNX model that shows what a command looks for.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "command.h"
#include "frontend/onnx/reader.h"
#include "frontend/onnx/reduce.h"
#include "frontend/onnx/writer.h"

namespace repose::cli {
namespace {

namespace fs = std::filesystem;

struct ReduceOptions {
  std::string path, check, output;
  double timeout_seconds = 60;
  bool verbose = false;
};

// The exit code of a process group's leader; where it takes too long, the group is ended, and
// there is none.
std::optional<int> wait_for(pid_t child, double timeout_seconds) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_seconds);
  auto pause = std::chrono::microseconds(200);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      kill(-child, SIGKILL);
      waitpid(child, &status, 0);
      return std::nullopt;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Runs `command` by the shell, with `path` in place of `{}` or behind it.
std::optional<int> run_command(const ReduceOptions& o, const std::string& path) {
  constexpr std::string_view place = "{}", first_argument = "\"$1\"";
  std::string command = o.check;
  size_t at = command.find(place);
  if (at == std::string::npos) command += fmt::format(" {}", first_argument);
  for (; at != std::string::npos; at = command.find(place, at)) {
    command.replace(at, place.size(), first_argument);
  }
  const pid_t child = fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    setpgid(0, 0);
    const int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    if (!o.verbose) {
      dup2(nowhere, STDOUT_FILENO);
      dup2(nowhere, STDERR_FILENO);
    }
    execl("/bin/sh", "sh", "-c", command.c_str(), "repose reduce", path.c_str(),
          static_cast<char*>(nullptr));
    _exit(127);
  }
  setpgid(child, child);
  return wait_for(child, o.timeout_seconds);
}

// Candidates lie beside the output, where external data is found from; one that shows it becomes
// the output at once.
struct Candidates {
  const ReduceOptions& options;
  std::string path;
  size_t asked = 0;
  std::optional<int> code = {};
  Diagnostics problems = {};

  bool shows(const onnx::Model& model) {
    if (!problems.empty()) return false;
    ++asked;
    if (auto written = write_file(path, onnx::write_model(model)); !written.ok()) {
      problems = written.errors();
      return false;
    }
    code = run_command(options, path);
    if (code != 0) return false;
    std::error_code ec;
    fs::rename(path, options.output, ec);
    if (ec) {
      problems = {error(DiagnosticKind::cannot_write, {}, "cannot write `{}`: {}", options.output,
                        ec.message())};
    }
    return !ec;
  }
};

Result<void> reduce(const ReduceOptions& o) {
  if (auto other = require_other_file(o.output, o.path); !other.ok()) return other.errors();
  REPOSE_TRY(model, onnx::read_model_file(o.path));
  const size_t nodes = onnx::count_nodes(model);
  Candidates candidates{.options = o, .path = o.output + ".candidate.onnx"};
  auto shows = [&](const onnx::Model& m) { return candidates.shows(m); };
  const bool holds = shows(model);
  const std::optional<int> first_code = candidates.code;
  onnx::Model smallest = holds ? onnx::reduce_model(std::move(model), shows) : std::move(model);
  std::error_code ec;
  fs::remove(candidates.path, ec);
  if (!candidates.problems.empty()) return candidates.problems;
  if (!holds) {
    return error(DiagnosticKind::bad_usage, {},
                 "--check: the command has to succeed for the model as it is, and it {}",
                 first_code ? fmt::format("exits with {}", *first_code)
                            : fmt::format("takes more than {} s", o.timeout_seconds));
  }
  print_out(fmt::format("{}: {} of {} nodes, {} of {} bytes, {} candidates\n", o.output,
                        onnx::count_nodes(smallest), nodes, fs::file_size(o.output, ec),
                        fs::file_size(o.path, ec), candidates.asked));
  return {};
}

}  // namespace

void add_reduce(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReduceOptions>();
  CLI::App* command = app.add_subcommand(
      "reduce", "Make an ONNX model smaller, as long as a command succeeds for it");
  command->add_option("model", options->path, "An .onnx file")->required();
  command
      ->add_option("--check", options->check,
                   "A command for the shell, which gets a model's path in place of {} or behind "
                   "it, and exits with 0 if that model shows what is looked for")
      ->required()
      ->check(not_empty());
  command
      ->add_option("-o,--output", options->output,
                   "The smallest model so far (default: MODEL with .reduced.onnx)")
      ->check(not_empty());
  command
      ->add_option("--timeout", options->timeout_seconds,
                   "Seconds after which the command is ended, and the model does not count")
      ->check(CLI::PositiveNumber);
  command->add_flag("-v,--verbose", options->verbose, "Show what the command prints");
  command->callback([options, &exit_code] {
    if (options->output.empty()) {
      options->output = fs::path(options->path).replace_extension(".reduced.onnx").string();
    }
    auto done = reduce(*options);
    exit_code = done.ok() ? 0 : report(done.errors());
  });
}

}  // namespace repose::cli
