// A profile as a table, as JSON and as a trace.
#include "profile_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "profile_page_parts.h"

namespace repose::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t most_operators = 8;

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// "MatMul" of "node `x` (MatMul, node 51)"; another place as it is.
std::string operator_of(const std::string& place) {
  const size_t open = place.rfind("` (");
  if (!place.starts_with("node `") || open == std::string::npos) return place;
  const size_t begin = open + 3;
  return place.substr(begin, std::min(place.find(',', begin), place.size()) - begin);
}

// Of the machine's limit, in percent.
double percent(const KernelTime& k, const Limits& limits) {
  return k.seconds > 0 ? 100 * least_seconds(limits, k.flops, k.bytes()) / k.seconds : 0;
}

const char* bound_of(const KernelTime& k, const Limits& limits) {
  if (k.flops == 0 && k.bytes() == 0) return "-";
  return k.flops / limits.gflops > k.bytes() / limits.read_gbps ? "flops" : "bytes";
}

double per_second(double work, double seconds) {
  return seconds > 0 ? work / seconds / 1e9 : 0;
}

// Of milliseconds, behind the point.
int digits(const ProfileReport& r) {
  return r.seconds < 1e-3 ? 5 : 3;
}

std::string head_text(const ProfileReport& r) {
  const auto plural = [](int64_t n) { return n == 1 ? "" : "s"; };
  std::string text =
      fmt::format("{} {}{}{}, {} thread{}: {:.{}f} ms a call (median of {})\n", r.model, r.function,
                  r.sizes.empty() ? "" : ", ", r.sizes, r.limits.threads, plural(r.limits.threads),
                  r.seconds * 1e3, digits(r), r.calls);
  return text + fmt::format("{}: {:.1f} GFLOP/s of float32, reads {:.1f} GB/s\n",
                            r.machine.cpu.empty() ? "this machine" : r.machine.cpu, r.limits.gflops,
                            r.limits.read_gbps);
}

std::string line_text(const KernelTime& k, const ProfileReport& r) {
  return fmt::format("{:9.{}f} {:5.1f} % {:5} {:9.1f} {:7.1f} {:6.0f} % {:6}  {}  {}\n",
                     k.seconds * 1e3, digits(r), 100 * k.seconds / r.seconds, k.runs,
                     per_second(k.flops, k.seconds), per_second(k.bytes(), k.seconds),
                     percent(k, r.limits), bound_of(k, r.limits), k.kernel,
                     operators_text(k.nodes));
}

Json as_json(const KernelTime& k, const ProfileReport& r) {
  return {{"kernel", k.kernel},
          {"runs", k.runs},
          {"ms", k.seconds * 1e3},
          {"share", k.seconds / r.seconds},
          {"flops", k.flops},
          {"read_bytes", k.read_bytes},
          {"written_bytes", k.written_bytes},
          {"gflops", per_second(k.flops, k.seconds)},
          {"gbps", per_second(k.bytes(), k.seconds)},
          {"bound", bound_of(k, r.limits)},
          {"of_limit", percent(k, r.limits) / 100},
          {"operators", operators_text(k.nodes)},
          {"nodes", k.nodes}};
}

}  // namespace

std::string operators_text(const std::vector<std::string>& nodes) {
  std::string text;
  size_t shown = 0;
  for (size_t i = 0; i < nodes.size();) {
    const std::string name = operator_of(nodes[i]);
    size_t same = i;
    while (same < nodes.size() && operator_of(nodes[same]) == name) ++same;
    if (shown++ == most_operators) return text + fmt::format(", … ({} nodes)", nodes.size());
    text += (text.empty() ? "" : ", ") + name;
    if (same > i + 1) text += fmt::format(" × {}", same - i);
    i = same;
  }
  return text;
}

std::string profile_table(const ProfileReport& r, bool by_place) {
  std::string text = head_text(r);
  text += "\n       ms   share  runs   GFLOP/s    GB/s of limit  bound  kernel  operators\n";
  for (const KernelTime& k : by_place ? r.places : r.kernels) text += line_text(k, r);
  text += fmt::format("{:9.{}f} {:5.1f} %  between kernels\n", r.between_seconds * 1e3, digits(r),
                      100 * r.between_seconds / r.seconds);
  return escape_controls(text);
}

namespace {

Json report_json(const ProfileReport& r) {
  Json kernels = Json::array(), places = Json::array();
  for (const KernelTime& k : r.kernels) kernels.push_back(as_json(k, r));
  for (const KernelTime& k : r.places) places.push_back(as_json(k, r));
  return {{"model", r.model},
          {"function", r.function},
          {"sizes", r.sizes},
          {"threads", r.limits.threads},
          {"machine",
           {{"cpu", r.machine.cpu},
            {"flags", r.machine.flags},
            {"cpus", r.machine.cpus},
            {"memory_gb", r.machine.memory_gb},
            {"system", r.machine.system},
            {"gflops", r.limits.gflops},
            {"read_gbps", r.limits.read_gbps}}},
          {"calls", r.calls},
          {"ms", r.seconds * 1e3},
          {"between_ms", r.between_seconds * 1e3},
          {"kernels", std::move(kernels)},
          {"places", std::move(places)}};
}

}  // namespace

std::string profile_json(const ProfileReport& r) {
  return dumped(report_json(r), 2) + "\n";
}

std::string profile_trace(const ProfileReport& r) {
  auto event = [&](const std::string& name, int64_t begin_ns, int64_t end_ns, Json args) {
    return Json{{"name", name},
                {"ph", "X"},
                {"pid", 1},
                {"tid", 1},
                {"ts", static_cast<double>(begin_ns - r.begin_ns) / 1e3},
                {"dur", static_cast<double>(end_ns - begin_ns) / 1e3},
                {"args", std::move(args)}};
  };
  Json events = Json::array();
  events.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"args", {{"name", r.model}}}});
  events.push_back(
      event(r.function, r.begin_ns, r.end_ns, {{"sizes", r.sizes}, {"threads", r.limits.threads}}));
  for (const repose_kernel_run& run : r.runs) {
    const KernelTime& place = r.all_places[static_cast<size_t>(run.kernel)];
    const double seconds = static_cast<double>(run.end_ns - run.begin_ns) / 1e9;
    events.push_back(event(place.kernel, run.begin_ns, run.end_ns,
                           {{"nodes", place.nodes},
                            {"flops", run.flops},
                            {"bytes", run.read_bytes + run.written_bytes},
                            {"gflops", per_second(run.flops, seconds)},
                            {"gbps", per_second(run.read_bytes + run.written_bytes, seconds)}}));
  }
  return dumped({{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}}, 1) + "\n";
}

std::string profile_page(const ProfileReport& r) {
  std::string data;
  for (const char c : dumped(report_json(r), -1)) {  // it stands inside a script element
    if (c == '<') {
      data += "\\u003c";
    } else {
      data += c;
    }
  }
  return std::string(profile_page_head) + "const profile = " + data + ";\n" + profile_page_tail;
}

}  // namespace repose::cli
