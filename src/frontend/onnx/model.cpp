// Names of attributes, for messages.
#include "frontend/onnx/model.h"

namespace repose::onnx {
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
