// Applies steps that are written as text to a program.
//
//   i_o, i_i = split(i, 8, masked)     # later lines know the results by these names
//   reorder([j, i_o])
//   C_out = cache_write(C, i_i, local)
//
// A name stands for what a line before bound it to; else for the loop, block or buffer of the
// program that has it. Expressions are over integers, scalar parameters, symbols of the parameters'
// shapes, and what is bound around the loop that the step names before.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "schedule/schedule_text.h"
#include "schedule/scheduled.h"

namespace repose::schedule {

struct Primitive {
  const char* name;
  bool reassociates;  // may change the bits of floating-point results
};
// Those of primitives.def, in its order.
std::span<const Primitive> primitives();
bool reassociates(const std::vector<Step>& steps);

class Replay {
 public:
  explicit Replay(Scheduled& s) : s_(s) {}
  // Errors stand at the step, or the argument, that they are about. They leave the program as it
  // was.
  Result<void> apply(const StepText& step);

 private:
  Scheduled& s_;
  std::map<std::string, Arg> bound_;
};

// Steps up to the first that fails.
Result<void> replay(Scheduled& s, const std::vector<StepText>& steps);
Result<void> replay(Scheduled& s, const Ref<const Source>& text);

}  // namespace repose::schedule
