// Texts of the messages of run-time checks.
#include "host/messages.h"

#include <fmt/format.h>

namespace repose {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  return out;
}

std::string quoted(const std::string& text) {
  return "`" + escaped(text) + "`";
}

std::string place_text(const Span& span) {
  if (!span || span.source->kind == Source::Kind::node) return span.to_string();
  const std::string& path = span.source->name;
  Span bare = span;
  bare.source = make_text_source(path.substr(path.rfind('/') + 1), "");
  return bare.to_string();
}

std::string range_text(const Interval& r) {
  std::string out = r.lower == Interval::minus_infinity ? ".." : std::to_string(r.lower) + "..";
  if (r.upper != Interval::plus_infinity) out += std::to_string(r.upper);
  if (r.divisor != 1) out += fmt::format("%{}", r.divisor);
  return out;
}

}  // namespace repose
