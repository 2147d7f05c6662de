// Calls a model and keeps the time of each kernel.
#include "profile_calls.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

namespace repose::cli {

namespace {

constexpr int least_calls = 5, most_calls = 1000;

using Json = nlohmann::ordered_json;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
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
                                               const ProfiledCalls& o) {
  for (int i = 0; i < o.warm_up; ++i) {
    if (auto done = call.time(); !done.ok()) return done.errors();
  }
  std::vector<RecordedCall> calls;
  double passed = 0;
  size_t room = 0;
  auto wants_more = [&] {
    const auto n = static_cast<int>(calls.size());
    if (o.repeat > 0) return n < o.repeat;
    return n < least_calls || (passed < o.seconds && n < most_calls);
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

}  // namespace

Result<void> profile_calls(const LoadedModel& model, int function, PreparedCall& call,
                           const ProfiledCalls& o, ProfileReport& report) {
  REPOSE_TRY(calls, record_calls(model, call, o));
  summarize(report, calls, places_of(model, function));
  return {};
}

}  // namespace repose::cli
