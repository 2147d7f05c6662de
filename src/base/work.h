// What the compiler works at: for reports of its time, and for people who wait for it.
//
// A step is a pass, or what comes before and after the passes; a part of it is a node of the model
// or a tensor program. Each thread has its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/source.h"

namespace repose {

struct WorkLog;

struct PassReport {
  std::string name;
  double seconds = 0;
  std::string longest_part;  // what most of it went to: "node `/a/b`"; empty: it has no parts
  double longest_seconds = 0;
};

// A step of this thread, while it lives. Its end adds to `reports`.
class WorkStep {
 public:
  WorkStep(std::vector<PassReport>& reports, std::string name);
  ~WorkStep();
  WorkStep(const WorkStep&) = delete;
  WorkStep& operator=(const WorkStep&) = delete;

 private:
  std::vector<PassReport>& reports_;
  std::unique_ptr<WorkLog> outer_;
};

// A part of this thread's step, while it lives; time in parts inside it is theirs.
class WorkPart {
 public:
  explicit WorkPart(const Span& node);
  explicit WorkPart(const std::string& program);
  ~WorkPart();
  WorkPart(const WorkPart&) = delete;
  WorkPart& operator=(const WorkPart&) = delete;
};

// Says, to any thread, what this one is at: "fuse_programs, node `/a/b`"; "" while it is at
// nothing.
std::function<std::string()> work_of_this_thread();

}  // namespace repose
