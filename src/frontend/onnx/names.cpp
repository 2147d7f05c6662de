// Identifiers for names that may be any text.
#include "frontend/onnx/names.h"

#include <algorithm>

namespace repose::onnx {
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

}  // namespace

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

}  // namespace repose::onnx
