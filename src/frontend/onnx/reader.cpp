// Decodes ModelProto and the messages within it (field numbers: onnx.proto of ONNX 1.23).
#include "frontend/onnx/reader.h"

#include <filesystem>
#include <limits>
#include <new>

#include "frontend/onnx/external_data.h"
#include "frontend/onnx/wire.h"

namespace repose::onnx {
namespace {

// Reads messages by recursive descent. `path_` says where it stands; after a WireError it still
// says where that was.
class ModelReader {
 public:
  Model read_model(std::string_view message);
  std::string place() const;

 private:
  struct Frame {
    const char* field;
    std::optional<size_t> index;
  };

  Graph read_graph(std::string_view message);
  Node read_node(std::string_view message);
  Attribute read_attribute(std::string_view message);
  bool read_payload(Fields& fields, Attribute& attribute);
  Tensor read_tensor(std::string_view message);
  SparseTensor read_sparse_tensor(std::string_view message);
  Value read_value(std::string_view message);
  Type read_type(std::string_view message);
  void read_tensor_type(std::string_view message, Type& type);
  void read_element_type(std::string_view message, Type& type, int element_field);
  std::vector<Dimension> read_shape(std::string_view message);
  Dimension read_dimension(std::string_view message);
  Function read_function(std::string_view message);
  OpsetImport read_opset_import(std::string_view message);
  Entry read_entry(std::string_view message);

  // The message in the current field, which appears once.
  template <class T>
  T one(Fields& fields, const char* name, T (ModelReader::*read)(std::string_view)) {
    fields.once(name);
    return within({name, {}}, fields.each_bytes(name), read);
  }
  // Appends the message in the current field, which is repeated.
  template <class T>
  void each(Fields& fields, const char* name, std::vector<T>& list,
            T (ModelReader::*read)(std::string_view)) {
    list.push_back(within({name, list.size()}, fields.each_bytes(name), read));
  }
  template <class T>
  T within(Frame frame, std::string_view message, T (ModelReader::*read)(std::string_view)) {
    path_.push_back(frame);
    T result = (this->*read)(message);
    path_.pop_back();
    return result;
  }
  static void enter(int& depth, const char* what, const Fields& fields) {
    if (depth++ == max_nesting) fields.fail("{} are nested deeper than {}", what, max_nesting);
  }
  [[noreturn]] static void missing(const char* what, std::string_view message) {
    throw WireError{DiagnosticKind::missing_value, fmt::format("has no {}", what), message.data()};
  }

  std::vector<Frame> path_;
  int graph_depth_ = 0;
  int type_depth_ = 0;
};

DataType data_type_from(int64_t number, const Fields& fields) {
  if (number < std::numeric_limits<int32_t>::min() ||
      number > std::numeric_limits<int32_t>::max()) {
    fields.fail("an element type is {}, expected a small number", number);
  }
  return static_cast<DataType>(number);
}

std::string ModelReader::place() const {
  std::string out = "model";
  for (const Frame& frame : path_) {
    out += '.';
    out += frame.field;
    if (frame.index) out += fmt::format("[{}]", *frame.index);
  }
  return out;
}

Model ModelReader::read_model(std::string_view message) {
  Model model;
  bool has_graph = false;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        model.ir_version = fields.integer("ir_version");
        break;
      case 2:
        model.producer_name = fields.bytes("producer_name");
        break;
      case 3:
        model.producer_version = fields.bytes("producer_version");
        break;
      case 4:
        model.domain = fields.bytes("domain");
        break;
      case 5:
        model.model_version = fields.integer("model_version");
        break;
      case 7:
        model.graph = one(fields, "graph", &ModelReader::read_graph);
        has_graph = true;
        break;
      case 8:
        each(fields, "opset_import", model.opset_imports, &ModelReader::read_opset_import);
        break;
      case 14:
        each(fields, "metadata_props", model.metadata, &ModelReader::read_entry);
        break;
      case 25:
        each(fields, "functions", model.functions, &ModelReader::read_function);
        break;
      default:
        fields.skip();
    }
  }
  if (!has_graph) missing("graph", message);
  if (model.graph.outputs.empty()) missing("outputs in its graph", message);
  return model;
}

Graph ModelReader::read_graph(std::string_view message) {
  Graph graph;
  Fields fields(message);
  enter(graph_depth_, "graphs", fields);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        each(fields, "node", graph.nodes, &ModelReader::read_node);
        break;
      case 2:
        graph.name = fields.bytes("name");
        break;
      case 5:
        each(fields, "initializer", graph.initializers, &ModelReader::read_tensor);
        break;
      case 11:
        each(fields, "input", graph.inputs, &ModelReader::read_value);
        break;
      case 12:
        each(fields, "output", graph.outputs, &ModelReader::read_value);
        break;
      case 13:
        each(fields, "value_info", graph.value_infos, &ModelReader::read_value);
        break;
      case 15:
        each(fields, "sparse_initializer", graph.sparse_initializers,
             &ModelReader::read_sparse_tensor);
        break;
      default:
        fields.skip();
    }
  }
  --graph_depth_;
  return graph;
}

Node ModelReader::read_node(std::string_view message) {
  Node node;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        node.inputs.push_back(fields.each_bytes("input"));
        break;
      case 2:
        node.outputs.push_back(fields.each_bytes("output"));
        break;
      case 3:
        node.name = fields.bytes("name");
        break;
      case 4:
        node.op_type = fields.bytes("op_type");
        break;
      case 5:
        each(fields, "attribute", node.attributes, &ModelReader::read_attribute);
        break;
      case 7:
        node.domain = fields.bytes("domain");
        break;
      case 8:
        node.overload = fields.bytes("overload");
        break;
      default:
        fields.skip();
    }
  }
  if (node.op_type.empty()) missing("`op_type`", message);
  return node;
}

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

Tensor ModelReader::read_tensor(std::string_view message) {
  Tensor tensor;
  tensor.message = message;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        fields.each_integer("dims", [&](int64_t dim) { tensor.dims.push_back(dim); });
        break;
      case 2:
        tensor.data_type = data_type_from(fields.integer("data_type"), fields);
        break;
      case 3:
        tensor.is_segment = true;
        fields.skip();
        break;
      case 4:   // float_data
      case 5:   // int32_data
      case 6:   // string_data
      case 7:   // int64_data
      case 10:  // double_data
      case 11:  // uint64_data
        tensor.typed_fields |= 1u << fields.number();
        fields.skip();
        break;
      case 8:
        tensor.name = fields.bytes("name");
        break;
      case 9:
        tensor.raw_data = fields.bytes("raw_data");
        break;
      case 13:
        each(fields, "external_data", tensor.external_data, &ModelReader::read_entry);
        break;
      case 14: {
        int64_t location = fields.integer("data_location");
        if (location != 0 && location != 1) {
          fields.fail("field `data_location` is {}, expected 0 or 1", location);
        }
        tensor.is_external = location == 1;
        break;
      }
      default:
        fields.skip();
    }
  }
  return tensor;
}

SparseTensor ModelReader::read_sparse_tensor(std::string_view message) {
  SparseTensor sparse;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        sparse.values = one(fields, "values", &ModelReader::read_tensor);
        break;
      case 2:
        sparse.indices = one(fields, "indices", &ModelReader::read_tensor);
        break;
      case 3:
        fields.each_integer("dims", [&](int64_t dim) { sparse.dims.push_back(dim); });
        break;
      default:
        fields.skip();
    }
  }
  return sparse;
}

Value ModelReader::read_value(std::string_view message) {
  Value value;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        value.name = fields.bytes("name");
        break;
      case 2:
        value.type = one(fields, "type", &ModelReader::read_type);
        break;
      default:
        fields.skip();
    }
  }
  return value;
}

Type ModelReader::read_type(std::string_view message) {
  Type type;
  Fields fields(message);
  enter(type_depth_, "types", fields);
  auto begin = [&](Type::Kind kind, const char* name) {
    if (type.kind != Type::Kind::none) fields.fail("a type is of two kinds");
    type.kind = kind;
    path_.push_back({name, {}});
    return fields.bytes(name);
  };
  while (fields.next()) {
    size_t depth = path_.size();
    switch (fields.number()) {
      case 1:
        read_tensor_type(begin(Type::Kind::tensor, "tensor_type"), type);
        break;
      case 4:
        read_element_type(begin(Type::Kind::sequence, "sequence_type"), type, 1);
        break;
      case 5:
        read_element_type(begin(Type::Kind::map, "map_type"), type, 2);
        break;
      case 7:
        begin(Type::Kind::opaque, "opaque_type");
        break;
      case 8:
        read_tensor_type(begin(Type::Kind::sparse_tensor, "sparse_tensor_type"), type);
        break;
      case 9:
        read_element_type(begin(Type::Kind::optional, "optional_type"), type, 1);
        break;
      default:
        fields.skip();
    }
    path_.resize(depth);
  }
  --type_depth_;
  return type;
}

// TypeProto.Tensor and TypeProto.SparseTensor.
void ModelReader::read_tensor_type(std::string_view message, Type& type) {
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        type.elem_type = data_type_from(fields.integer("elem_type"), fields);
        break;
      case 2:
        type.shape = one(fields, "shape", &ModelReader::read_shape);
        break;
      default:
        fields.skip();
    }
  }
}

// TypeProto.Sequence, .Optional and .Map, which have the element's type in field `element_field`.
void ModelReader::read_element_type(std::string_view message, Type& type, int element_field) {
  Fields fields(message);
  while (fields.next()) {
    if (fields.number() == element_field) {
      type.element =
          std::make_shared<const Type>(one(fields, "elem_type", &ModelReader::read_type));
    } else if (type.kind == Type::Kind::map && fields.number() == 1) {
      type.key_type = data_type_from(fields.integer("key_type"), fields);
    } else {
      fields.skip();
    }
  }
}

std::vector<Dimension> ModelReader::read_shape(std::string_view message) {
  std::vector<Dimension> dims;
  Fields fields(message);
  while (fields.next()) {
    if (fields.number() == 1) {
      each(fields, "dim", dims, &ModelReader::read_dimension);
    } else {
      fields.skip();
    }
  }
  return dims;
}

Dimension ModelReader::read_dimension(std::string_view message) {
  Dimension dim;
  Fields fields(message);
  auto begin = [&](Dimension::Kind kind) {
    if (dim.kind != Dimension::Kind::unknown) fields.fail("a dimension has two values");
    dim.kind = kind;
  };
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        begin(Dimension::Kind::value);
        dim.value = fields.integer("dim_value");
        break;
      case 2:
        begin(Dimension::Kind::param);
        dim.param = fields.bytes("dim_param");
        break;
      default:
        fields.skip();
    }
  }
  // An empty name is how some producers write "unknown".
  if (dim.kind == Dimension::Kind::param && dim.param.empty()) dim.kind = Dimension::Kind::unknown;
  return dim;
}

Function ModelReader::read_function(std::string_view message) {
  Function function;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        function.name = fields.bytes("name");
        break;
      case 4:
        function.inputs.push_back(fields.each_bytes("input"));
        break;
      case 5:
        function.outputs.push_back(fields.each_bytes("output"));
        break;
      case 6:
        function.attributes.push_back(fields.each_bytes("attribute"));
        break;
      case 7:
        each(fields, "node", function.nodes, &ModelReader::read_node);
        break;
      case 9:
        each(fields, "opset_import", function.opset_imports, &ModelReader::read_opset_import);
        break;
      case 10:
        function.domain = fields.bytes("domain");
        break;
      case 11:
        each(fields, "attribute_proto", function.default_attributes, &ModelReader::read_attribute);
        break;
      case 12:
        each(fields, "value_info", function.value_infos, &ModelReader::read_value);
        break;
      case 13:
        function.overload = fields.bytes("overload");
        break;
      default:
        fields.skip();
    }
  }
  if (function.name.empty()) missing("name", message);
  return function;
}

OpsetImport ModelReader::read_opset_import(std::string_view message) {
  OpsetImport import;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        import.domain = fields.bytes("domain");
        break;
      case 2:
        import.version = fields.integer("version");
        break;
      default:
        fields.skip();
    }
  }
  return import;
}

Entry ModelReader::read_entry(std::string_view message) {
  Entry entry;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        entry.key = fields.bytes("key");
        break;
      case 2:
        entry.value = fields.bytes("value");
        break;
      default:
        fields.skip();
    }
  }
  return entry;
}

}  // namespace

Result<Model> read_model(std::span<const std::byte> bytes, const ReadOptions& options) {
  Span span{make_text_source(options.name, "")};
  std::string_view message(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (message.empty()) return error(DiagnosticKind::bad_model, span, "the file is empty");
  if (message.starts_with("version https://git-lfs.")) {
    return error(DiagnosticKind::bad_model, span,
                 "is a pointer of git-lfs, expected the model that it stands for (`git lfs pull`)");
  }
  ModelReader reader;
  try {
    Model model = reader.read_model(message);
    model.source = span.source;
    model.owner = options.owner;
    model.external_files = std::make_shared<ExternalFiles>(options.folder);
    return model;
  } catch (const WireError& e) {
    return error(e.kind, span, "`{}`: {} (at byte {})", reader.place(), e.text,
                 e.at - message.data());
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, span, "`{}`: the model does not fit into memory",
                 reader.place());
  }
}

Result<Model> read_model_file(const std::string& path) {
  REPOSE_TRY(file, MappedFile::open(path));
  file->expect_jumps(true);
  std::string folder = std::filesystem::path(path).parent_path().string();
  auto model = read_model(file->bytes(), {.name = path, .folder = folder, .owner = file});
  file->expect_jumps(false);
  return model;
}

}  // namespace repose::onnx
