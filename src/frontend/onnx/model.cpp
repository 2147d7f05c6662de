// Names and text of a model, for messages.
#include "frontend/onnx/model.h"

#include <algorithm>

namespace repose::onnx {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, or 0.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first > 0xf4 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length < 3) return length;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  unsigned char second = byte(1);
  bool is_valid = !(first == 0xe0 && second < 0xa0) && !(first == 0xed && second > 0x9f) &&
                  !(first == 0xf0 && second < 0x90) && !(first == 0xf4 && second > 0x8f);
  return is_valid ? length : 0;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr size_t limit_bytes = 200;
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit_bytes) return out + "…";
    size_t length = utf8_length(text);
    if (length == 0) {
      out += "\uFFFD";
    } else if (length == 1 && (text[0] < 0x20 || text[0] == 0x7f)) {
      out += ' ';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
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
