// Places in texts and nodes of imported models.
#include "base/source.h"

#include <fmt/format.h>

namespace repose {

std::string_view Source::line(int number) const {
  std::string_view rest = text;
  for (int i = 1; i < number; ++i) {
    size_t end = rest.find('\n');
    if (end == std::string_view::npos) return {};
    rest.remove_prefix(end + 1);
  }
  std::string_view result = rest.substr(0, rest.find('\n'));
  if (!result.empty() && result.back() == '\r') result.remove_suffix(1);
  return result;
}

Ref<const Source> make_text_source(std::string name, std::string text) {
  auto* source = new Source;
  source->name = std::move(name);
  source->text = std::move(text);
  return Ref<const Source>(source);
}

Ref<const Source> make_node_source(std::string name, std::string description) {
  auto* source = new Source;
  source->kind = Source::Kind::node;
  source->name = std::move(name);
  source->text = std::move(description);
  return Ref<const Source>(source);
}

std::string Span::to_string() const {
  if (!source) return "";
  if (source->kind == Source::Kind::node) {
    return source->text.empty() ? fmt::format("node `{}`", source->name)
                                : fmt::format("node `{}` ({})", source->name, source->text);
  }
  return line > 0 ? fmt::format("{}:{}:{}", source->name, line, column) : source->name;
}

}  // namespace repose
