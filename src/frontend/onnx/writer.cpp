// Writes ONNX files (field numbers: onnx.proto of ONNX 1.23).
#include "frontend/onnx/writer.h"

#include <protozero/pbf_writer.hpp>
#include <type_traits>

namespace repose::onnx {
namespace {

using Writer = protozero::pbf_writer;

// What templates below find: the messages within messages.
#define REPOSE_MESSAGE(type) void write(Writer& w, const type& value);
REPOSE_MESSAGE(Entry)
REPOSE_MESSAGE(OpsetImport)
REPOSE_MESSAGE(Dimension)
REPOSE_MESSAGE(Type)
REPOSE_MESSAGE(Value)
REPOSE_MESSAGE(SparseTensor)
REPOSE_MESSAGE(Attribute)
REPOSE_MESSAGE(Node)
REPOSE_MESSAGE(Graph)
REPOSE_MESSAGE(Function)
#undef REPOSE_MESSAGE

void text(Writer& w, protozero::pbf_tag_type field, std::string_view value) {
  if (!value.empty()) w.add_bytes(field, value.data(), value.size());
}

void texts(Writer& w, protozero::pbf_tag_type field, const std::vector<std::string_view>& values) {
  for (std::string_view value : values) w.add_bytes(field, value.data(), value.size());
}

// Messages that hold tensors are written in place, others apart: an empty one, such as the shape of
// a scalar, has to be there, and a nested writer leaves it out.
template <class T>
void message(Writer& w, protozero::pbf_tag_type field, const T& value) {
  if constexpr (std::is_same_v<T, Graph> || std::is_same_v<T, Node> ||
                std::is_same_v<T, Attribute> || std::is_same_v<T, SparseTensor>) {
    Writer inner(w, field);
    write(inner, value);
  } else {
    std::string bytes;
    Writer inner(bytes);
    write(inner, value);
    w.add_message(field, bytes);
  }
}

template <class T>
void messages(Writer& w, protozero::pbf_tag_type field, const std::vector<T>& values) {
  for (const T& value : values) message(w, field, value);
}

void write(Writer& w, const Entry& entry) {
  text(w, 1, entry.key);
  text(w, 2, entry.value);
}

void write(Writer& w, const OpsetImport& import) {
  text(w, 1, import.domain);
  w.add_int64(2, import.version);
}

void write(Writer& w, const Dimension& dimension) {
  if (dimension.kind == Dimension::Kind::value) w.add_int64(1, dimension.value);
  if (dimension.kind == Dimension::Kind::param) text(w, 2, dimension.param);
}

void write_tensor_type(Writer& w, const Type& type) {
  w.add_int32(1, static_cast<int32_t>(type.elem_type));
  if (!type.shape) return;
  std::string bytes;
  Writer shape(bytes);
  messages(shape, 1, *type.shape);
  w.add_message(2, bytes);
}

void write_element(Writer& w, protozero::pbf_tag_type field, const Type& type) {
  if (type.element) message(w, field, *type.element);
}

void write(Writer& w, const Type& type) {
  static constexpr protozero::pbf_tag_type fields[] = {0, 1, 4, 9, 5, 8, 7};
  if (type.kind == Type::Kind::none) return;
  std::string bytes;
  Writer inner(bytes);
  if (type.kind == Type::Kind::tensor || type.kind == Type::Kind::sparse_tensor) {
    write_tensor_type(inner, type);
  } else if (type.kind == Type::Kind::map) {
    inner.add_int32(1, static_cast<int32_t>(type.key_type));
    write_element(inner, 2, type);
  } else if (type.kind != Type::Kind::opaque) {
    write_element(inner, 1, type);
  }
  w.add_message(fields[static_cast<size_t>(type.kind)], bytes);
}

void write(Writer& w, const Value& value) {
  text(w, 1, value.name);
  if (value.type.kind != Type::Kind::none) message(w, 2, value.type);
}

void tensor(Writer& w, protozero::pbf_tag_type field, const Tensor& value) {
  w.add_message(field, value.message.data(), value.message.size());
}

void write(Writer& w, const SparseTensor& sparse) {
  tensor(w, 1, sparse.values);
  tensor(w, 2, sparse.indices);
  for (int64_t dim : sparse.dims) w.add_int64(3, dim);
}

struct PayloadWriter {
  Writer& w;
  Attribute::Kind kind;

  void operator()(std::monostate) const {}
  void operator()(float value) const { w.add_float(2, value); }
  void operator()(int64_t value) const { w.add_int64(3, value); }
  void operator()(std::string_view value) const { w.add_bytes(4, value.data(), value.size()); }
  void operator()(const std::vector<float>& values) const {
    for (float value : values) w.add_float(7, value);
  }
  void operator()(const std::vector<int64_t>& values) const {
    for (int64_t value : values) w.add_int64(8, value);
  }
  void operator()(const std::vector<std::string_view>& values) const { texts(w, 9, values); }
  void operator()(const std::vector<Tensor>& values) const {
    for (const Tensor& value : values) tensor(w, kind == Attribute::Kind::tensor ? 5 : 10, value);
  }
  void operator()(const std::vector<Graph>& values) const {
    messages(w, kind == Attribute::Kind::graph ? 6 : 11, values);
  }
  void operator()(const std::vector<SparseTensor>& values) const {
    messages(w, kind == Attribute::Kind::sparse_tensor ? 22 : 23, values);
  }
  void operator()(const std::vector<Type>& values) const {
    messages(w, kind == Attribute::Kind::type ? 14 : 15, values);
  }
};

void write(Writer& w, const Attribute& attribute) {
  text(w, 1, attribute.name);
  std::visit(PayloadWriter{w, attribute.kind}, attribute.payload);
  if (attribute.kind != Attribute::Kind::undefined) {
    w.add_int32(20, static_cast<int32_t>(attribute.kind));
  }
  text(w, 21, attribute.ref_attr_name);
}

void write(Writer& w, const Node& node) {
  texts(w, 1, node.inputs);
  texts(w, 2, node.outputs);
  text(w, 3, node.name);
  text(w, 4, node.op_type);
  messages(w, 5, node.attributes);
  text(w, 7, node.domain);
  text(w, 8, node.overload);
}

void write(Writer& w, const Graph& graph) {
  messages(w, 1, graph.nodes);
  text(w, 2, graph.name);
  for (const Tensor& initializer : graph.initializers) tensor(w, 5, initializer);
  messages(w, 11, graph.inputs);
  messages(w, 12, graph.outputs);
  messages(w, 13, graph.value_infos);
  messages(w, 15, graph.sparse_initializers);
}

void write(Writer& w, const Function& function) {
  text(w, 1, function.name);
  texts(w, 4, function.inputs);
  texts(w, 5, function.outputs);
  texts(w, 6, function.attributes);
  messages(w, 7, function.nodes);
  messages(w, 9, function.opset_imports);
  text(w, 10, function.domain);
  messages(w, 11, function.default_attributes);
  messages(w, 12, function.value_infos);
  text(w, 13, function.overload);
}

}  // namespace

std::string write_model(const Model& model) {
  std::string bytes;
  Writer w(bytes);
  w.add_int64(1, model.ir_version);
  text(w, 2, model.producer_name);
  text(w, 3, model.producer_version);
  text(w, 4, model.domain);
  if (model.model_version != 0) w.add_int64(5, model.model_version);
  message(w, 7, model.graph);
  messages(w, 8, model.opset_imports);
  messages(w, 14, model.metadata);
  messages(w, 25, model.functions);
  return bytes;
}

}  // namespace repose::onnx
