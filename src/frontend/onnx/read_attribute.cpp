// Attributes of nodes: one payload of many kinds.
#include "frontend/onnx/model_reader.h"

namespace repose::onnx {

namespace {

// The list in a payload that is empty so far, or that an earlier occurrence of the same field
// began.
template <class T>
std::vector<T>& list_payload(Attribute& attribute) {
  if (auto* list = std::get_if<std::vector<T>>(&attribute.payload)) return *list;
  return attribute.payload.emplace<std::vector<T>>();
}

Attribute::Kind payload_kind(int field) {
  using Kind = Attribute::Kind;
  switch (field) {
    case 2:
      return Kind::number;
    case 3:
      return Kind::integer;
    case 4:
      return Kind::string;
    case 5:
      return Kind::tensor;
    case 6:
      return Kind::graph;
    case 7:
      return Kind::numbers;
    case 8:
      return Kind::integers;
    case 9:
      return Kind::strings;
    case 10:
      return Kind::tensors;
    case 11:
      return Kind::graphs;
    case 14:
      return Kind::type;
    case 15:
      return Kind::types;
    case 22:
      return Kind::sparse_tensor;
    case 23:
      return Kind::sparse_tensors;
    default:
      return Kind::undefined;
  }
}

// An attribute that names its kind and has no field for it: producers with proto3 leave out zeros
// and empty strings, and every encoding leaves out empty lists.
void fill_default_payload(Attribute& attribute, std::string_view message) {
  using Kind = Attribute::Kind;
  switch (attribute.kind) {
    case Kind::number:
      attribute.payload = 0.0f;
      break;
    case Kind::integer:
      attribute.payload = int64_t{0};
      break;
    case Kind::string:
      attribute.payload = std::string_view();
      break;
    case Kind::numbers:
      attribute.payload = std::vector<float>();
      break;
    case Kind::integers:
      attribute.payload = std::vector<int64_t>();
      break;
    case Kind::strings:
      attribute.payload = std::vector<std::string_view>();
      break;
    case Kind::tensors:
      attribute.payload = std::vector<Tensor>();
      break;
    case Kind::graphs:
      attribute.payload = std::vector<Graph>();
      break;
    case Kind::sparse_tensors:
      attribute.payload = std::vector<SparseTensor>();
      break;
    case Kind::types:
      attribute.payload = std::vector<Type>();
      break;
    default:
      throw WireError{DiagnosticKind::missing_value,
                      fmt::format("attribute `{}` has no value", printable(attribute.name)),
                      message.data()};
  }
}

}  // namespace

// Reads the current field if it is one of a payload; its kind goes to attribute.kind.
bool ModelReader::read_payload(Fields& fields, Attribute& attribute) {
  Attribute::Kind kind = payload_kind(fields.number());
  if (kind == Attribute::Kind::undefined) return false;
  if (attribute.kind != Attribute::Kind::undefined && attribute.kind != kind) {
    fields.fail("attribute `{}` has two values: a `{}` and a `{}`", printable(attribute.name),
                attribute_kind_name(attribute.kind), attribute_kind_name(kind));
  }
  attribute.kind = kind;
  switch (fields.number()) {
    case 2:
      attribute.payload = fields.number32("f");
      break;
    case 3:
      attribute.payload = fields.integer("i");
      break;
    case 4:
      attribute.payload = fields.bytes("s");
      break;
    case 5:
      list_payload<Tensor>(attribute).push_back(one(fields, "t", &ModelReader::read_tensor));
      break;
    case 6:
      list_payload<Graph>(attribute).push_back(one(fields, "g", &ModelReader::read_graph));
      break;
    case 7: {
      auto& list = list_payload<float>(attribute);
      fields.each_number<float>("floats", [&](float value) { list.push_back(value); });
      break;
    }
    case 8: {
      auto& list = list_payload<int64_t>(attribute);
      fields.each_integer("ints", [&](int64_t value) { list.push_back(value); });
      break;
    }
    case 9:
      list_payload<std::string_view>(attribute).push_back(fields.each_bytes("strings"));
      break;
    case 10:
      each(fields, "tensors", list_payload<Tensor>(attribute), &ModelReader::read_tensor);
      break;
    case 11:
      each(fields, "graphs", list_payload<Graph>(attribute), &ModelReader::read_graph);
      break;
    case 14:
      list_payload<Type>(attribute).push_back(one(fields, "tp", &ModelReader::read_type));
      break;
    case 15:
      each(fields, "type_protos", list_payload<Type>(attribute), &ModelReader::read_type);
      break;
    case 22:
      list_payload<SparseTensor>(attribute).push_back(
          one(fields, "sparse_tensor", &ModelReader::read_sparse_tensor));
      break;
    default:
      each(fields, "sparse_tensors", list_payload<SparseTensor>(attribute),
           &ModelReader::read_sparse_tensor);
  }
  return true;
}

Attribute ModelReader::read_attribute(std::string_view message) {
  Attribute attribute;
  int64_t declared = 0;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        attribute.name = fields.bytes("name");
        break;
      case 20:
        declared = fields.integer("type");
        break;
      case 21:
        attribute.ref_attr_name = fields.bytes("ref_attr_name");
        break;
      default:
        if (!read_payload(fields, attribute)) fields.skip();
    }
  }
  if (attribute.name.empty()) missing("name", message);
  if (declared < 0 || declared > static_cast<int64_t>(Attribute::Kind::types)) {
    throw WireError{DiagnosticKind::unsupported_feature,
                    fmt::format("attribute `{}` has the type {}, which is unknown",
                                printable(attribute.name), declared),
                    message.data()};
  }
  bool has_payload = attribute.kind != Attribute::Kind::undefined;
  auto kind = declared == 0 ? attribute.kind : static_cast<Attribute::Kind>(declared);
  if (has_payload && kind != attribute.kind) {
    fields.fail("attribute `{}` has a `{}`, expected the `{}` that its type says",
                printable(attribute.name), attribute_kind_name(attribute.kind),
                attribute_kind_name(kind));
  }
  if (has_payload && attribute.is_reference()) {
    fields.fail("attribute `{}` has both a value and a reference to `{}`",
                printable(attribute.name), printable(attribute.ref_attr_name));
  }
  attribute.kind = kind;
  if (!has_payload && kind != Attribute::Kind::undefined && !attribute.is_reference()) {
    fill_default_payload(attribute, message);
  }
  return attribute;
}

}  // namespace repose::onnx
