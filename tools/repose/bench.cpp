// repose bench: how fast a model runs at given shapes, beside the machine's limit, another library,
// and what was measured before.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bench_report.h"
#include "call_sizes.h"
#include "command.h"
#include "progress.h"
#include "reference_library.h"

namespace repose::cli {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct BenchOptions {
  ModelOptions model;
  std::string function;
  std::vector<std::string> shapes, inputs;
  std::vector<int> threads;
  int warm_up = 2;
  int repeat = 0;  // 0: for `seconds`
  double seconds = 1;
  std::string limits, vs, vs_model, baseline, fail_if, page;
  bool json = false, markdown = false;
};

constexpr auto rest = std::chrono::milliseconds(50);  // until spinning threads sleep
constexpr double round_seconds = 0.25;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

// Memory of this process that is in use now.
int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// An artifact in a file, and what its model has to do at given sizes.
class Artifact {
 public:
  static Result<Artifact> make(const BenchOptions& o, BenchReport& report) {
    Artifact a;
    if (is_artifact(o.model.path)) {
      if (auto none = refuse_for_artifact(o.model); !none.ok()) return none.errors();
      a.path_ = o.model.path;
      return a;
    }
    std::error_code ec;
    a.folder_ = fs::temp_directory_path(ec) / "repose-bench-XXXXXX";
    if (ec || mkdtemp(a.folder_.data()) == nullptr) {
      a.folder_.clear();
      return error(DiagnosticKind::cannot_write, {}, "cannot make a temporary folder: {}",
                   ec ? ec.message() : std::strerror(errno));
    }
    a.path_ = a.folder_ + "/model.so";
    const Progress progress("compiling " + o.model.path, true);
    ModelOptions model = o.model;
    model.count_work = true;
    const auto begin = Clock::now();
    REPOSE_TRY(compiled, compile_model(model));
    if (auto done = write_artifact(compiled, Emit::shared, a.path_); !done.ok()) {
      return done.errors();
    }
    report.compile_seconds = seconds_since(begin);
    if (o.model.time_passes) print_times(compiled.reports);
    a.functions_ = std::move(compiled.functions);
    return a;
  }

  Artifact(Artifact&& other) noexcept
      : folder_(std::exchange(other.folder_, "")),
        path_(std::move(other.path_)),
        functions_(std::move(other.functions_)) {}
  ~Artifact() {
    std::error_code ec;
    if (!folder_.empty()) fs::remove_all(folder_, ec);
  }

  const std::string& path() const { return path_; }

  // Of one call; nothing where it is not known.
  std::optional<std::vector<Work>> work(const std::string& function,
                                        const std::vector<int64_t>& sizes) const {
    for (const CompiledFunction& f : functions_) {
      if (f.host.interface.name == function) return work_at(f, sizes);
    }
    return std::nullopt;
  }

 private:
  Artifact() = default;

  std::string folder_, path_;
  std::vector<CompiledFunction> functions_;
};

// Whether there is time for another call.
struct Budget {
  const BenchOptions& o;
  Clock::time_point begin = Clock::now();
  size_t calls = 0;

  bool has_more() const {
    if (o.repeat > 0) return calls < static_cast<size_t>(o.repeat);
    return calls < 3 || seconds_since(begin) < o.seconds;
  }
};

Result<std::vector<double>> call_alone(PreparedCall& call, const BenchOptions& o) {
  std::vector<double> times;
  Budget budget{o};
  while (budget.has_more()) {
    REPOSE_TRY(seconds, call.time());
    times.push_back(seconds);
    ++budget.calls;
  }
  return times;
}

// Rounds of calls of each side, after a rest in which the other's threads come to sleep.
Result<std::vector<double>> call_in_turns(PreparedCall& call, ReferenceLibrary& other,
                                          const BenchOptions& o, std::vector<double>& of_other) {
  std::vector<double> times;
  const auto begin = Clock::now();
  while (times.empty() || (o.repeat > 0 ? times.size() < static_cast<size_t>(o.repeat)
                                        : seconds_since(begin) < 2 * o.seconds)) {
    std::this_thread::sleep_for(rest);
    if (auto first = call.time(); !first.ok()) return first.errors();  // brings the caches back
    const auto round_begin = Clock::now();
    for (int n = 0; n < 3 || seconds_since(round_begin) < round_seconds; ++n) {
      REPOSE_TRY(seconds, call.time());
      times.push_back(seconds);
    }
    std::this_thread::sleep_for(rest);
    REPOSE_TRY(theirs, other.round(round_seconds));
    of_other.insert(of_other.end(), theirs.begin(), theirs.end());
  }
  return times;
}

// The largest difference of floating-point results, as a part of their magnitude; infinite where
// shapes differ.
double difference_of(const std::vector<Array>& got, const std::vector<Array>& want) {
  double result = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const ArrayNode &a = *got[i], &b = *want[i];
    if (a.shape != b.shape) return INFINITY;
    if (!a.dtype.is_float() || !b.dtype.is_float()) continue;
    double largest = 0, magnitude = 0;
    for (int64_t k = 0, n = a.num_elements(); k < n; ++k) {
      const double x = a.load(k).f, y = b.load(k).f;
      if (std::isnan(x) && std::isnan(y)) continue;
      if (x != y) largest = std::max(largest, std::isnan(x - y) ? INFINITY : std::abs(x - y));
      if (std::isfinite(y)) magnitude = std::max(magnitude, std::abs(y));
    }
    if (largest > 0) result = std::max(result, magnitude > 0 ? largest / magnitude : INFINITY);
  }
  return result;
}

std::vector<std::string> output_names(const LoadedModel& model, int function) {
  repose_function f{};
  repose_get_function(model.handle(), function, &f);
  std::vector<std::string> names;
  for (int32_t i = 0; i < f.num_outputs; ++i) {
    repose_value value{};
    repose_get_output(model.handle(), function, i, &value);
    names.emplace_back(value.name);
  }
  return names;
}

// What is measured of one loaded model.
struct Subject {
  const BenchOptions& o;
  const Artifact& artifact;
  const LoadedModel& model;
  int function;
  const Limits& limits;
  int64_t resident_before;
  ReferenceLibrary* reference;  // or null
};

Result<BenchRow> measure(const Subject& s, const CallSizes& sizes, const std::string& function) {
  BenchRow row;
  row.threads = s.limits.threads;
  row.sizes = sizes.text;
  row.arena_bytes = sizes.arena_bytes;
  const std::vector<std::string> names = input_names(s.model, s.function);
  REPOSE_TRY(fills, parse_fills(names, s.o.inputs));
  REPOSE_TRY(inputs, make_inputs(s.model, s.function, sizes, fills));
  REPOSE_TRY(call, PreparedCall::make(s.model, s.function, inputs));
  REPOSE_TRY(first, call.time());
  row.first_seconds = first;
  for (int i = 0; i < s.o.warm_up; ++i) {
    if (auto done = call.time(); !done.ok()) return done.errors();
  }
  std::vector<double> times, of_reference;
  if (s.reference) {
    REPOSE_TRY(want, s.reference->prepare(names, inputs, output_names(s.model, s.function)));
    REPOSE_TRY(got, call.run());
    row.difference = difference_of(got, want);
    REPOSE_TRY(in_turns, call_in_turns(call, *s.reference, s.o, of_reference));
    times = std::move(in_turns);
    row.reference = times_of(std::move(of_reference));
  } else {
    REPOSE_TRY(alone, call_alone(call, s.o));
    times = std::move(alone);
  }
  row.times = times_of(std::move(times));
  row.resident_bytes = std::max<int64_t>(0, resident_bytes() - s.resident_before);
  if (const auto work = s.artifact.work(function, sizes.values)) {
    row.flops = row.bytes = 0;
    for (const Work& w : *work) {
      *row.flops += w.flops;
      *row.bytes += w.bytes;
      row.least_seconds += least_seconds(s.limits, w.flops, w.bytes);
    }
  }
  return row;
}

Result<Limits> limits_for(const BenchOptions& o, int threads) {
  if (!o.limits.empty()) return parse_limits(o.limits, threads);
  const Progress progress(fmt::format("measuring the machine with {} threads", threads), true);
  return measure_limits(threads);
}

Result<void> measure_all(const BenchOptions& o, const Artifact& artifact, int threads,
                         BenchReport& report) {
  malloc_trim(0);  // what the compiler freed
  const int64_t before = resident_bytes();
  const auto begin = Clock::now();
  REPOSE_TRY(model, LoadedModel::load(artifact.path(), {threads, 0}));
  if (report.load_seconds == 0) report.load_seconds = seconds_since(begin);
  REPOSE_TRY(function, model->function(o.function));
  REPOSE_TRY(all_sizes, parse_sizes(o.shapes, *model, function));
  // A mistake in what is given shows before anything is measured.
  if (auto good = parse_fills(input_names(*model, function), o.inputs); !good.ok()) {
    return good.errors();
  }
  repose_info info{};
  repose_get_info(model->handle(), &info);
  repose_function f{};
  repose_get_function(model->handle(), function, &f);
  report.model = info.name;
  report.function = f.name;
  REPOSE_TRY(limits, limits_for(o, info.num_threads));
  report.limits.push_back(limits);
  std::unique_ptr<ReferenceLibrary> reference;
  if (!o.vs.empty()) {
    const std::string& path = o.vs_model.empty() ? o.model.path : o.vs_model;
    const Progress progress("starting " + o.vs, true);
    REPOSE_TRY(started, ReferenceLibrary::start(o.vs, path, info.num_threads));
    reference = std::move(started);
    report.reference = reference->version();
  }
  const Subject subject{o, artifact, *model, function, limits, before, reference.get()};
  for (size_t i = 0; i < all_sizes.size(); ++i) {
    const Progress progress(fmt::format("{} threads, {} ({} of {})", info.num_threads,
                                        all_sizes[i].text, i + 1, all_sizes.size()),
                            true);
    auto row = measure(subject, all_sizes[i], report.function);
    if (!row.ok()) {
      Diagnostics errors = row.errors();
      if (!all_sizes[i].text.empty()) errors[0].text = all_sizes[i].text + ": " + errors[0].text;
      return errors;
    }
    report.rows.push_back(std::move(*row));
  }
  return {};
}

// Refuses what would have no effect, before anything is compiled.
Result<void> check_options(const BenchOptions& o) {
  if (o.json && o.markdown) {
    return error(DiagnosticKind::bad_usage, {}, "--json and --markdown both print: give one");
  }
  if (!o.fail_if.empty()) {
    if (o.baseline.empty()) {
      return error(DiagnosticKind::bad_usage, {}, "--fail-if: no effect without --baseline");
    }
    if (auto good = parse_allowance(o.fail_if); !good.ok()) return good.errors();
  }
  if (!o.vs_model.empty() && o.vs.empty()) {
    return error(DiagnosticKind::bad_usage, {}, "--vs-model: no effect without --vs");
  }
  const std::string& of_other = o.vs_model.empty() ? o.model.path : o.vs_model;
  if (!o.vs.empty()) {
    if (auto there = read_file(of_other, 1); !there.ok()) return there.errors();
    if (is_artifact(of_other)) {
      return error(DiagnosticKind::bad_usage, {},
                   "--vs: `{}` is an artifact: name its ONNX model with --vs-model", of_other);
    }
  }
  if (!o.page.empty()) {
    if (auto other = require_other_file(o.page, o.model.path); !other.ok()) return other;
  }
  if (!o.limits.empty()) {
    if (auto good = parse_limits(o.limits, 1); !good.ok()) return good.errors();
  }
  return {};
}

Result<void> bench(const BenchOptions& o) {
  if (auto good = check_options(o); !good.ok()) return good;
  std::string kept;
  if (!o.baseline.empty()) {
    REPOSE_TRY(text, read_file(o.baseline));
    kept = std::move(text);
  }
  BenchReport report;
  report.machine = this_machine();
  report.compiler = version;
  report.date = utc_now();
  REPOSE_TRY(artifact, Artifact::make(o, report));
  std::error_code ec;
  report.artifact_bytes = static_cast<int64_t>(fs::file_size(artifact.path(), ec));
  for (const int threads : o.threads.empty() ? std::vector{0} : o.threads) {
    if (auto done = measure_all(o, artifact, threads, report); !done.ok()) return done;
    if (o.baseline.empty()) continue;
    // That it is of another model shows early.
    if (auto added = add_baseline(report, o.baseline, kept); !added.ok()) return added;
  }
  print_out(o.json       ? bench_json(report)
            : o.markdown ? bench_markdown(report)
                         : bench_table(report));
  if (!o.page.empty()) {
    if (auto written = write_file(o.page, bench_page(report)); !written.ok()) return written;
  }
  if (o.fail_if.empty()) return {};
  REPOSE_TRY(allowance, parse_allowance(o.fail_if));
  Diagnostics slower = slower_rows(report, allowance);
  if (!slower.empty()) return slower;
  return {};
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "How fast a model runs, at any shapes");
  add_model_options(
      *command, options->model, Uses::compiling,
      "An artifact, an .onnx or .pt2 file, or IR text; other options that concern compiling "
      "are of the latter two");
  command->add_option("--function", options->function, "The graph function; default: main")
      ->check(not_empty());
  command
      ->add_option("--shapes", options->shapes,
                   "Sizes of the inputs: batch=1,seq=16 batch=8,seq=1..512+64 (steps of 64; *2 "
                   "doubles)")
      ->check(not_empty());
  command->add_option("-i,--input", options->inputs,
                      "How to fill an input: NAME=rand (default), rand(low,high), zeros or ones");
  command
      ->add_option("--threads", options->threads,
                   "Numbers of threads: 1,2; default: as the machine allows")
      ->delimiter(',')
      ->check(thread_count());
  command->add_option("--warm-up", options->warm_up, "Calls at each shape before those that count")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  CLI::Option* seconds =
      command->add_option("--seconds", options->seconds, "How long to call at each shape")
          ->capture_default_str()
          ->check(CLI::Range(0.0, 86'400.0));
  command->add_option("--repeat", options->repeat, "Calls that count at each shape, instead")
      ->check(CLI::Range(1, 1'000'000))
      ->excludes(seconds);
  command
      ->add_option("--vs", options->vs, "Another library, called in turns: onnxruntime or openvino")
      ->check(CLI::IsMember(reference_libraries()));
  command->add_option("--vs-model", options->vs_model, "What it runs, where MODEL is an artifact")
      ->check(not_empty());
  command
      ->add_option("--limits", options->limits,
                   "The machine's limit as GFLOPS,GBPS; default: measured")
      ->check(not_empty());
  command->add_flag("--json", options->json, "As JSON: what --baseline reads");
  command->add_flag("--markdown", options->markdown, "As a table of Markdown");
  command->add_option("--html", options->page, "Write a page into this file")->check(not_empty());
  command
      ->add_option("--baseline", options->baseline,
                   "What --json printed before: its medians are shown beside these")
      ->check(not_empty());
  command
      ->add_option("--fail-if", options->fail_if,
                   "Fail where a median is above the baseline's by more: +5%")
      ->check(not_empty());
  command->callback([options, &exit_code] {
    const auto done = bench(*options);
    exit_code = done.ok() ? 0 : report(done.errors());
  });
}

}  // namespace repose::cli
