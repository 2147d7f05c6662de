// Schedules as text: steps, one a line, and files that hold the schedules of several programs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace repose::schedule {

// One step as it is written.
struct StepText {
  Span at;  // where the text begins in its source
  std::string text;
};

// The lines of a text that are steps: without empty ones, and without comments (`# …`).
std::vector<StepText> steps_in(const Ref<const Source>& text);

struct ScheduleText {
  Span at;  // of the program's name
  std::vector<StepText> steps;
};

// Schedules by the name of their program: a line `name:`, and steps below it, indented or not.
//
//   exp_relu:
//       i_o, i_i = split(i, 8, masked)
//       parallel(i_o, 1)
using ScheduleTexts = std::map<std::string, ScheduleText>;
Result<ScheduleTexts> read_schedules(const Ref<const Source>& text);

}  // namespace repose::schedule
