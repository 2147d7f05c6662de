// repose profile: how long each kernel of a model takes, and how far that is from the machine's
// limit.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "call_sizes.h"
#include "command.h"
#include "profile_report.h"
#include "progress.h"

namespace repose::cli {

namespace {

struct ProfileOptions {
  ModelOptions model;
  std::string function;
  std::vector<std::string> shapes;
  std::vector<std::string> inputs;
  std::string limits;
  std::string trace, page;
  int threads = 0;
  int warm_up = 3;
  int repeat = 0;  // 0: about a second
  bool json = false, by_place = false;
};

constexpr double usual_seconds = 1.0;
constexpr int least_calls = 5, most_calls = 1000;

using Json = nlohmann::ordered_json;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Result<std::unique_ptr<LoadedModel>> load(const ProfileOptions& o) {
  if (is_artifact(o.model.path)) {
    if (auto none = refuse_for_artifact(o.model); !none.ok()) return none.errors();
    return LoadedModel::load(o.model.path, {o.threads, 0});
  }
  ModelOptions model = o.model;
  model.profile = true;
  return LoadedModel::load(model, {o.threads, 0});
}

// A call of the model, and the kernels that it ran.
struct RecordedCall {
  int64_t begin_ns = 0, end_ns = 0;
  std::vector<repose_kernel_run> runs;

  double seconds() const { return static_cast<double>(end_ns - begin_ns) / 1e9; }
};

int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch().count();  // CLOCK_MONOTONIC
}

Result<RecordedCall> record_call(const LoadedModel& model, PreparedCall& call, size_t room) {
  RecordedCall recorded;
  recorded.runs.resize(room);
  repose_profile profile{};
  profile.runs = recorded.runs.data();
  profile.max_runs = static_cast<int64_t>(room);
  repose_set_profile(model.handle(), &profile);
  recorded.begin_ns = now_ns();
  const auto time = call.time();
  repose_set_profile(model.handle(), nullptr);
  if (!time.ok()) return time.errors();
  recorded.end_ns = recorded.begin_ns + static_cast<int64_t>(*time * 1e9);
  // The data may decide how many kernels run: then there is another call, with room for them.
  if (profile.num_runs > profile.max_runs) {
    return record_call(model, call, static_cast<size_t>(profile.num_runs));
  }
  recorded.runs.resize(static_cast<size_t>(profile.num_runs));
  return recorded;
}

Result<std::vector<RecordedCall>> record_calls(const LoadedModel& model, PreparedCall& call,
                                               const ProfileOptions& o) {
  for (int i = 0; i < o.warm_up; ++i) {
    if (auto done = call.time(); !done.ok()) return done.errors();
  }
  std::vector<RecordedCall> calls;
  double passed = 0;
  size_t room = 0;
  auto wants_more = [&] {
    const auto n = static_cast<int>(calls.size());
    if (o.repeat > 0) return n < o.repeat;
    return n < least_calls || (passed < usual_seconds && n < most_calls);
  };
  while (wants_more()) {
    REPOSE_TRY(recorded, record_call(model, call, room));
    room = recorded.runs.size();
    passed += recorded.seconds();
    calls.push_back(std::move(recorded));
  }
  return calls;
}

// The profiled places of a function, as the metadata lists them.
std::vector<KernelTime> places_of(const LoadedModel& model, int function) {
  repose_info info{};
  repose_get_info(model.handle(), &info);
  const Json metadata =
      Json::parse(std::string(info.metadata_json, static_cast<size_t>(info.metadata_bytes)));
  std::vector<KernelTime> places;
  for (const Json& place : metadata["functions"][static_cast<size_t>(function)]["profile"]) {
    KernelTime time;
    time.kernel = place["kernel"];
    time.nodes = place["nodes"].get<std::vector<std::string>>();
    places.push_back(std::move(time));
  }
  return places;
}

// Fills in what the calls say of one kernel's runs: those whose place is in `of`.
void summarize(KernelTime& time, const std::vector<RecordedCall>& calls,
               const std::vector<bool>& of) {
  std::vector<double> seconds;
  for (const RecordedCall& call : calls) {
    KernelTime here;
    double sum = 0;
    for (const repose_kernel_run& run : call.runs) {
      if (!of[static_cast<size_t>(run.kernel)]) continue;
      sum += static_cast<double>(run.end_ns - run.begin_ns) / 1e9;
      ++here.runs;
      here.flops += run.flops;
      here.read_bytes += run.read_bytes;
      here.written_bytes += run.written_bytes;
    }
    seconds.push_back(sum);
    time.runs = here.runs;
    time.flops = here.flops;
    time.read_bytes = here.read_bytes;
    time.written_bytes = here.written_bytes;
  }
  time.seconds = median(seconds);
}

void summarize(ProfileReport& report, const std::vector<RecordedCall>& calls,
               const std::vector<KernelTime>& places) {
  std::vector<double> totals, between;
  for (const RecordedCall& call : calls) {
    double in_kernels = 0;
    for (const repose_kernel_run& run : call.runs) {
      in_kernels += static_cast<double>(run.end_ns - run.begin_ns) / 1e9;
    }
    totals.push_back(call.seconds());
    between.push_back(call.seconds() - in_kernels);
  }
  report.calls = static_cast<int64_t>(calls.size());
  report.seconds = median(totals);
  report.between_seconds = median(between);
  std::map<std::string, std::vector<bool>> by_kernel;
  for (size_t i = 0; i < places.size(); ++i) {
    KernelTime place = places[i];
    std::vector<bool> only(places.size(), false);
    only[i] = true;
    summarize(place, calls, only);
    if (place.runs > 0) report.places.push_back(std::move(place));
    auto [of, is_new] = by_kernel.try_emplace(places[i].kernel, places.size(), false);
    of->second[i] = true;
  }
  for (const auto& [name, of] : by_kernel) {
    KernelTime kernel;
    kernel.kernel = name;
    kernel.nodes =
        places[static_cast<size_t>(std::find(of.begin(), of.end(), true) - of.begin())].nodes;
    summarize(kernel, calls, of);
    if (kernel.runs > 0) report.kernels.push_back(std::move(kernel));
  }
  std::stable_sort(report.kernels.begin(), report.kernels.end(),
                   [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  // The call that took what calls take.
  const RecordedCall& usual = *std::min_element(
      calls.begin(), calls.end(), [&](const RecordedCall& a, const RecordedCall& b) {
        return std::abs(a.seconds() - report.seconds) < std::abs(b.seconds() - report.seconds);
      });
  report.all_places = places;
  report.runs = usual.runs;
  report.begin_ns = usual.begin_ns;
  report.end_ns = usual.end_ns;
}

Result<ProfileReport> make_report(const ProfileOptions& o) {
  REPOSE_TRY(model, load(o));
  if (repose_set_profile(model->handle(), nullptr) != REPOSE_OK) {
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` was compiled without --profile: compile it again with it, or give the model",
                 o.model.path);
  }
  REPOSE_TRY(function, model->function(o.function));
  REPOSE_TRY(all_sizes, parse_sizes(o.shapes, *model, function));
  if (all_sizes.size() != 1) {
    return error(DiagnosticKind::bad_usage, {}, "--shapes: {} shapes, expected one",
                 all_sizes.size());
  }
  const CallSizes& sizes = all_sizes[0];
  REPOSE_TRY(fills, parse_fills(input_names(*model, function), o.inputs));
  REPOSE_TRY(inputs, make_inputs(*model, function, sizes, fills));
  repose_info info{};
  repose_get_info(model->handle(), &info);
  repose_function f{};
  repose_get_function(model->handle(), function, &f);
  ProfileReport report;
  report.model = info.name;
  report.function = f.name;
  report.sizes = sizes.text;
  report.machine = this_machine();
  if (o.limits.empty()) {
    const Progress progress("measuring the machine", true);
    report.limits = measure_limits(info.num_threads);
  } else {
    REPOSE_TRY(limits, parse_limits(o.limits, info.num_threads));
    report.limits = limits;
  }
  const Progress progress("calling the model", true);
  REPOSE_TRY(call, PreparedCall::make(*model, function, std::move(inputs)));
  REPOSE_TRY(calls, record_calls(*model, call, o));
  summarize(report, calls, places_of(*model, function));
  return report;
}

Result<void> profile(const ProfileOptions& o) {
  if (o.json && o.by_place) {
    return error(DiagnosticKind::bad_usage, {},
                 "--json has every place: --places has no effect beside it");
  }
  for (const std::string& output : {o.trace, o.page}) {
    if (output.empty()) continue;
    if (auto other = require_other_file(output, o.model.path); !other.ok()) return other;
  }
  if (!o.trace.empty() && o.trace == o.page) {
    return error(DiagnosticKind::bad_usage, {}, "--chrome-trace and --html name the same file");
  }
  if (!o.limits.empty()) {
    if (auto good = parse_limits(o.limits, 1); !good.ok()) return good.errors();
  }
  REPOSE_TRY(report, make_report(o));
  print_out(o.json ? profile_json(report) : profile_table(report, o.by_place));
  if (!o.trace.empty()) {
    if (auto written = write_file(o.trace, profile_trace(report)); !written.ok()) return written;
  }
  if (!o.page.empty()) return write_file(o.page, profile_page(report));
  return {};
}

}  // namespace

void add_profile(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* command = app.add_subcommand(
      "profile", "How long each kernel of a model takes, beside the machine's limit");
  add_model_options(
      *command, options->model, Uses::compiling,
      "An artifact that was compiled with --profile, an .onnx or .pt2 file, or IR text; other "
      "options that concern compiling are of the latter two");
  command->add_option("--function", options->function, "The graph function; default: main")
      ->check(not_empty());
  command
      ->add_option("--shapes", options->shapes,
                   "The sizes of the inputs: batch=1,seq=128; every symbol has to have one")
      ->check(not_empty());
  command->add_option("-i,--input", options->inputs,
                      "How to fill an input: NAME=rand (default), rand(low,high), zeros or ones");
  command->add_option("--threads", options->threads, "Threads; default: as the machine allows")
      ->check(thread_count());
  command->add_option("--warm-up", options->warm_up, "Calls before those that count")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  command->add_option("--repeat", options->repeat, "Calls that count; default: about a second")
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("--places", options->by_place,
                    "A line for each place where a kernel is called, in their order");
  command
      ->add_option("--limits", options->limits,
                   "The machine's limit as GFLOPS,GBPS; default: measured")
      ->check(not_empty());
  command->add_flag("--json", options->json, "As JSON");
  command
      ->add_option("--chrome-trace", options->trace,
                   "Write one call into this file, for chrome://tracing and ui.perfetto.dev")
      ->check(not_empty());
  command
      ->add_option("--html", options->page,
                   "Write a page into this file: the kernels beside the machine's roofline")
      ->check(not_empty());
  command->callback([options, &exit_code] {
    const auto done = profile(*options);
    exit_code = done.ok() ? 0 : report(done.errors());
  });
}

}  // namespace repose::cli
