// Names that may be any text.
#include "frontend/common/names.h"

#include <algorithm>

#include "base/printable.h"

namespace repose::frontend {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Words that mean something in the text (docs/ir.md).
constexpr std::string_view reserved[] = {
    "False", "I",      "None",   "R",     "T",    "True",  "and", "as",     "class",
    "cls",   "def",    "elif",   "else",  "for",  "from",  "if",  "import", "in",
    "inf",   "is",     "lambda", "max",   "min",  "nan",   "not", "or",     "pass",
    "range", "return", "tirx",   "while", "with", "Module"};

// At most about `limit_bytes` of it.
std::string shown(std::string_view text, size_t limit_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit_bytes) return out + "…";
    const size_t length = utf8_length(text);
    if (length == 0) {
      out += "\uFFFD";
    } else if (length == 1 && is_control(text.substr(0, 1))) {
      out += ' ';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return shown(text, 200);
}

std::string printable_name(std::string_view name) {
  return shown(name, std::string_view::npos);
}

std::string identifier(std::string_view name) {
  constexpr size_t limit_bytes = 100;
  std::string out;
  for (char c : name.substr(0, limit_bytes)) out += is_letter(c) || is_digit(c) ? c : '_';
  if (out.empty() || is_digit(out[0])) out.insert(0, "v");
  if (std::find(std::begin(reserved), std::end(reserved), out) != std::end(reserved)) out += '_';
  return out;
}

std::string Identifiers::fresh(std::string_view name) {
  const std::string stem = identifier(name);
  std::string candidate = stem;
  for (int i = 1; !taken_.insert(candidate).second; ++i) candidate = stem + "_" + std::to_string(i);
  return candidate;
}

}  // namespace repose::frontend
