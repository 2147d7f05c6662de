// Names and text of a model, for messages.
#include "frontend/onnx/model.h"

#include <algorithm>

#include "base/printable.h"

namespace repose::onnx {
namespace {

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

const char* attribute_kind_name(Attribute::Kind kind) {
  using Kind = Attribute::Kind;
  switch (kind) {
    case Kind::undefined:
      return "undefined";
    case Kind::number:
      return "float";
    case Kind::integer:
      return "int";
    case Kind::string:
      return "string";
    case Kind::tensor:
      return "tensor";
    case Kind::graph:
      return "graph";
    case Kind::numbers:
      return "floats";
    case Kind::integers:
      return "ints";
    case Kind::strings:
      return "strings";
    case Kind::tensors:
      return "tensors";
    case Kind::graphs:
      return "graphs";
    case Kind::sparse_tensor:
      return "sparse tensor";
    case Kind::sparse_tensors:
      return "sparse tensors";
    case Kind::type:
      return "type";
    case Kind::types:
      return "types";
  }
  return "?";
}

const Attribute* Node::find_attribute(std::string_view attribute_name) const {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == attribute_name) return &attribute;
  }
  return nullptr;
}

}  // namespace repose::onnx
