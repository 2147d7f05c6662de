// Names that may be any text: in messages, and as identifiers.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

namespace repose::frontend {

// Text of a model as it may appear in a message: invalid UTF-8 becomes U+FFFD, control characters
// become spaces, and what exceeds 200 bytes becomes "…".
std::string printable(std::string_view text);

// The same, whole: the name by which a compiled model knows an input, an output or a dimension.
std::string printable_name(std::string_view name);

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

}  // namespace repose::frontend
