// The arena over time as an HTML page that needs nothing else: each block of memory a rectangle,
// positions of the function from left to right, bytes from bottom to top, for values of the symbols
// that the reader chooses.
#pragma once

#include <map>
#include <string>

#include "driver/compile.h"

namespace repose {

// The page computes sizes, offsets and peaks from the plan's own expressions. It opens at the
// `initial` values of symbols, by name; others may stand behind its address:
// `plan.html#batch=8&seq=512`.
std::string memory_page(const CompiledFunction& function, const std::string& model_name,
                        const std::map<std::string, int64_t>& initial = {});

}  // namespace repose
