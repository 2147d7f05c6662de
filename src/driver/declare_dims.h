// Ranges of dimension symbols, declared for modules from text.
#pragma once

#include <map>
#include <string>

#include "base/diagnostic.h"
#include "expr/facts.h"
#include "ir/module.h"

namespace repose {

// Narrows the symbols of the public graph functions' parameters: by name (that of the model where
// text gives one, else the symbol's) or as `<input>_<axis>`. A name that no function has is an
// error, and so is a range that leaves no size. `same`: names or sums that equal others, which the
// entry of the function checks.
Result<Module> declare_dims(const Module& module, const std::map<std::string, Interval>& dims,
                            const std::map<std::string, std::string>& same);

}  // namespace repose
