// Places and braces in messages.
#include "base/message_text.h"

namespace repose {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  return out;
}

std::string quoted(const std::string& name) {
  return "`" + escaped(name) + "`";
}

std::string place_text(const Span& span) {
  if (!span || span.source->kind == Source::Kind::node) return span.to_string();
  const std::string& path = span.source->name;
  Span bare = span;
  bare.source = make_text_source(path.substr(path.rfind('/') + 1), "");
  return bare.to_string();
}

}  // namespace repose
