// Where something comes from: a place in a text, or a node of an imported model.
#pragma once

#include <string>
#include <string_view>

#include "base/ref.h"

namespace repose {

// A text file (or string) that was read, or one node of an imported model. For a node, `name` is
// its name in the model and `text` says what it is (operator and position, for example).
struct Source : RefCounted {
  enum class Kind { text, node };
  Kind kind = Kind::text;
  std::string name;
  std::string text;

  // The line with the 1-based number, without its end; empty if there is no such line.
  std::string_view line(int number) const;
};

Ref<const Source> make_text_source(std::string name, std::string text);
Ref<const Source> make_node_source(std::string name, std::string description);

// A position in a source; lines and columns count from 1 (columns in bytes). A default-constructed
// span is "nowhere".
struct Span {
  Ref<const Source> source;
  int line = 0;
  int column = 0;

  explicit operator bool() const { return source != nullptr; }
  // "file:3:7", "node `/a/b`", or "" for nowhere.
  std::string to_string() const;
};

}  // namespace repose
