// What users say of a model that is imported.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "expr/facts.h"

namespace repose {

struct ImportOptions {
  // Ranges by the original name of a dimension or as `<input>_<axis>`; a key such as "past+new" is
  // an expression over such names, whose range is checked at entry.
  std::map<std::string, Interval> dims;
  // Dimensions that are one, by such names: the second stays. Of formulas that is checked at entry.
  std::map<std::string, std::string> same_dims{};
  // Shapes of inputs whose rank the model does not say: a size, a name or an expression for each
  // dimension.
  std::map<std::string, std::vector<std::string>> shapes{};
  bool strict_dims = false;  // symbols that an operator needs equal are an error
  std::string function_name = "main";
};

}  // namespace repose
