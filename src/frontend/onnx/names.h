// Identifiers for names that may be any text.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

namespace repose::onnx {

// `name` with everything that no identifier has replaced by `_`; never empty, never a keyword of
// the text.
std::string identifier(std::string_view name);

// Identifiers of one function, each given once.
class Identifiers {
 public:
  std::string fresh(std::string_view name);

 private:
  std::unordered_set<std::string> taken_;
};

}  // namespace repose::onnx
