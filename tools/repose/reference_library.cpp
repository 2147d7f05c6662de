// Runs ONNX Runtime or OpenVINO in a process of Python.
#include "reference_library.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "arrays.h"

namespace repose::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Reads a line of JSON, answers with one: {"error": …} where something went wrong.
constexpr const char* program = R"python(
import json, sys, time

def timed_round(run, seconds):
    run()  # brings the caches back
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return times

def onnxruntime(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, session.run

def openvino(path, threads):
    import openvino
    core = openvino.Core()
    # In float32 also where the processor has faster formats; tuned for one call at a time.
    model = core.compile_model(core.read_model(path), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    request = model.create_infer_request()
    def run(outputs, feeds):
        results = request.infer(feeds)
        return [results[model.output(name)] for name in outputs or []]
    return openvino.__version__.split("-")[0], run

def main(library, path, threads):
    import numpy as np
    version, run = {"onnxruntime": onnxruntime, "openvino": openvino}[library](path, threads)
    yield {"version": f"{library} {version}"}
    feeds = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "inputs" in asked:
            feeds = {name: np.load(file) for name, file in asked["inputs"].items()}
            results = run(asked["outputs"], feeds)
            for file, result in zip(asked["results"], results):
                np.save(file, np.ascontiguousarray(result))
            yield {}
        else:
            yield {"times": timed_round(lambda: run(None, feeds), asked["seconds"])}

answers = main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
while True:
    try:
        answer = next(answers)
    except StopIteration:
        break
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
    if "error" in answer:
        break
)python";

// The interpreter: REPOSE_PYTHON, or that of the project's environment beside the build.
Result<std::string> find_python(const std::string& library) {
  if (const char* given = std::getenv("REPOSE_PYTHON"); given && *given) return std::string(given);
  std::error_code ec;
  const fs::path own = fs::read_symlink("/proc/self/exe", ec);
  const fs::path python = own.parent_path().parent_path().parent_path() / "venv/bin/python";
  if (!ec && fs::exists(python, ec)) return python.string();
  return error(DiagnosticKind::bad_usage, {},
               "--vs needs Python with the packages {} and numpy: there is no `{}`; name another "
               "interpreter in REPOSE_PYTHON",
               library, python.string());
}

}  // namespace

Result<std::unique_ptr<ReferenceLibrary>> ReferenceLibrary::start(const std::string& library,
                                                                  const std::string& model,
                                                                  int threads) {
  if (std::ranges::count(reference_libraries(), library) == 0) {
    return error(DiagnosticKind::bad_usage, {}, "--vs `{}`: expected {}", library,
                 fmt::join(reference_libraries(), " or "));
  }
  REPOSE_TRY(python, find_python(library));
  std::unique_ptr<ReferenceLibrary> started(new ReferenceLibrary);
  std::error_code ec;
  started->folder_ = fs::temp_directory_path(ec) / "repose-bench-XXXXXX";
  if (ec || mkdtemp(started->folder_.data()) == nullptr) {
    return error(DiagnosticKind::cannot_write, {}, "cannot make a temporary folder: {}",
                 ec ? ec.message() : std::strerror(errno));
  }
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0) {
    return error(DiagnosticKind::internal, {}, "no pipe: {}", std::strerror(errno));
  }
  if (pipe2(from, O_CLOEXEC) != 0) {
    const std::string why = std::strerror(errno);
    close(to[0]);
    close(to[1]);
    return error(DiagnosticKind::internal, {}, "no pipe: {}", why);
  }
  const std::string number = std::to_string(threads);
  started->pid_ = fork();
  if (started->pid_ == 0) {
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    execlp(python.c_str(), python.c_str(), "-B", "-c", program, library.c_str(), model.c_str(),
           number.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  started->to_ = to[1];
  started->from_ = from[0];
  signal(SIGPIPE, SIG_IGN);  // a process that ended shows where its answer is read
  auto answer = started->ask("");
  if (!answer.ok()) return answer.errors();
  started->version_ = Json::parse(*answer).value("version", "");
  return started;
}

ReferenceLibrary::~ReferenceLibrary() {
  if (to_ >= 0) close(to_);  // it ends where its input does
  if (from_ >= 0) close(from_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
  std::error_code ec;
  if (!folder_.empty()) fs::remove_all(folder_, ec);
}

// Sends a line (none: it speaks first), gives the line of the answer.
Result<std::string> ReferenceLibrary::ask(const std::string& line) {
  const std::string sent = line.empty() ? "" : line + "\n";
  for (size_t done = 0; done < sent.size();) {
    const ssize_t n = write(to_, sent.data() + done, sent.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  while (unread_.find('\n') == std::string::npos) {
    char chunk[1 << 16];
    const ssize_t n = read(from_, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return error(DiagnosticKind::cannot_read, {},
                   "--vs: Python ended without an answer; what it says is above");
    }
    unread_.append(chunk, static_cast<size_t>(n));
  }
  const size_t end = unread_.find('\n');
  std::string answer = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  const Json parsed = Json::parse(answer, nullptr, false);
  if (parsed.is_discarded()) {
    return error(DiagnosticKind::cannot_read, {}, "--vs: Python answered `{}`", answer);
  }
  if (parsed.contains("error")) {
    return error(DiagnosticKind::call_refused, {}, "--vs: {}", parsed["error"].get<std::string>());
  }
  return answer;
}

Result<std::vector<Array>> ReferenceLibrary::prepare(const std::vector<std::string>& names,
                                                     const std::vector<Array>& inputs,
                                                     const std::vector<std::string>& outputs) {
  Json asked{{"inputs", Json::object()}, {"outputs", outputs}, {"results", Json::array()}};
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string file = fmt::format("{}/input_{}.npy", folder_, i);
    if (auto written = write_npy(file, *inputs[i]); !written.ok()) return written.errors();
    asked["inputs"][names[i]] = file;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    asked["results"].push_back(fmt::format("{}/result_{}.npy", folder_, i));
  }
  if (auto answer = ask(asked.dump()); !answer.ok()) return answer.errors();
  std::vector<Array> results;
  for (const Json& file : asked["results"]) {
    REPOSE_TRY(array, read_npy(file.get<std::string>()));
    results.push_back(array);
  }
  return results;
}

Result<std::vector<double>> ReferenceLibrary::round(double seconds) {
  REPOSE_TRY(answer, ask(Json{{"seconds", seconds}}.dump()));
  return Json::parse(answer)["times"].get<std::vector<double>>();
}

}  // namespace repose::cli
