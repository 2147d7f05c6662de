// Time by parts of the work of a thread.
#include "base/work.h"

#include <chrono>
#include <mutex>
#include <unordered_map>

namespace repose {

namespace {

using Clock = std::chrono::steady_clock;

struct Part {
  Span node;
  std::string program;  // where it isn't a node

  bool operator==(const Part& other) const {
    return node.source == other.node.source && node.line == other.node.line &&
           program == other.program;
  }
  std::string to_string() const {
    return program.empty() ? node.to_string() : "program `" + program + "`";
  }
};

struct PartHash {
  size_t operator()(const Part& p) const {
    return (std::hash<const void*>()(p.node.source.get()) * 31 + static_cast<size_t>(p.node.line)) ^
           std::hash<std::string>()(p.program);
  }
};

}  // namespace

struct WorkLog {
  std::string step;
  Clock::time_point begin, last;  // the step's begin; since when the innermost part is measured
  std::vector<Part> open;
  std::unordered_map<Part, double, PartHash> seconds;

  // The time since `last` is the innermost part's.
  void count() {
    const Clock::time_point now = Clock::now();
    if (!open.empty()) {
      seconds[open.back()] += std::chrono::duration<double>(now - last).count();
    }
    last = now;
  }
};

namespace {

struct ThreadWork {
  std::mutex mutex;  // of what others read
  WorkLog log;
};

const std::shared_ptr<ThreadWork>& this_thread() {
  thread_local const auto work = std::make_shared<ThreadWork>();
  return work;
}

void open_part(Part part) {
  ThreadWork& work = *this_thread();
  const std::lock_guard lock(work.mutex);
  work.log.count();
  work.log.open.push_back(std::move(part));
}

}  // namespace

WorkStep::WorkStep(std::vector<PassReport>& reports, std::string name)
    : reports_(reports), outer_(std::make_unique<WorkLog>()) {
  ThreadWork& work = *this_thread();
  const std::lock_guard lock(work.mutex);
  std::swap(*outer_, work.log);
  work.log.step = std::move(name);
  work.log.begin = work.log.last = Clock::now();
}

WorkStep::~WorkStep() {
  ThreadWork& work = *this_thread();
  const std::lock_guard lock(work.mutex);
  work.log.count();
  PassReport report{work.log.step,
                    std::chrono::duration<double>(work.log.last - work.log.begin).count(), "", 0};
  for (const auto& [part, seconds] : work.log.seconds) {
    std::string name = part.to_string();
    if (seconds <= report.longest_seconds || name.empty()) continue;
    report.longest_part = std::move(name);
    report.longest_seconds = seconds;
  }
  reports_.push_back(std::move(report));
  std::swap(*outer_, work.log);
}

WorkPart::WorkPart(const Span& node) {
  open_part({node, ""});
}

WorkPart::WorkPart(const std::string& program) {
  open_part({{}, program});
}

WorkPart::~WorkPart() {
  ThreadWork& work = *this_thread();
  const std::lock_guard lock(work.mutex);
  work.log.count();
  work.log.open.pop_back();
}

std::function<std::string()> work_of_this_thread() {
  return [work = this_thread()] {
    const std::lock_guard lock(work->mutex);
    const WorkLog& log = work->log;
    const std::string part = log.open.empty() ? "" : log.open.back().to_string();
    return part.empty() ? log.step : log.step + ", " + part;
  };
}

}  // namespace repose
