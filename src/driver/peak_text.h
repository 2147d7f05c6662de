// The memory of a function as formulas that people read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "driver/compile.h"

namespace repose {

// Per region of the arena `T.max(…)` over what lives at one time, the most first; where there are
// several placements `T.min(…)` of these. What stands in several places has a name.
struct PeakText {
  std::vector<std::string> formulas;
  std::vector<std::pair<std::string, std::string>> parts;  // name, formula
};
PeakText peak_text(const CompiledFunction& f);

}  // namespace repose
