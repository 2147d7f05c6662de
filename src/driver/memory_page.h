// The arena over time as an HTML page that needs nothing else: each block of memory a rectangle,
// positions of the function from left to right, bytes from bottom to top, for values of the symbols
// that the reader chooses.
#pragma once

#include <string>

#include "driver/compile.h"

namespace repose {

// The page computes sizes, offsets and peaks from the plan's own expressions. Values of symbols may
// stand behind the page's address: `plan.html#batch=8&seq=512`.
std::string memory_page(const CompiledFunction& function, const std::string& model_name);

}  // namespace repose
