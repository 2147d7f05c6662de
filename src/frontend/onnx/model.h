// An ONNX model as it stands in its file: plain structs, one for each message of onnx.proto.
//
// Strings and tensor contents are views into the file's bytes, which Model::owner keeps alive; a
// part of a model must not outlive the Model. Views have no alignment: read numbers with memcpy
// (tensor_data.h does).
//
// Deliberately absent: documentation strings, metadata of inner parts, quantization annotations,
// device configurations and training information. The reader skips them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/source.h"
#include "frontend/common/names.h"

namespace repose::onnx {

using frontend::identifier;
using frontend::Identifiers;
using frontend::printable;
using frontend::printable_name;

class ExternalFiles;
struct Graph;

// TensorProto.DataType and the numbers it has in files. A file may hold other numbers: structs
// keep the number, data_type_name() and dtype_of() in tensor_data.h interpret it.
enum class DataType : int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
  float8e8m0 = 24,
  uint2 = 25,
  int2 = 26,
  float6e2m3 = 27,
  float6e3m2 = 28,
};

// StringStringEntryProto.
struct Entry {
  std::string_view key;
  std::string_view value;
};

// OperatorSetIdProto. The default domain is "" (also spelled "ai.onnx").
struct OpsetImport {
  std::string_view domain;
  int64_t version = 0;
};

// TensorShapeProto.Dimension. A value may be negative: the reader does not judge it.
struct Dimension {
  enum class Kind : uint8_t { unknown, value, param };
  Kind kind = Kind::unknown;
  int64_t value = 0;
  std::string_view param;
};

// TypeProto.
struct Type {
  enum class Kind : uint8_t { none, tensor, sequence, optional, map, sparse_tensor, opaque };
  Kind kind = Kind::none;
  DataType elem_type = DataType::undefined;     // tensor, sparse_tensor
  DataType key_type = DataType::undefined;      // map
  std::optional<std::vector<Dimension>> shape;  // tensor, sparse_tensor; nothing: unknown rank
  std::shared_ptr<const Type> element;          // sequence, optional, map (its values); or null
};

// ValueInfoProto.
struct Value {
  std::string_view name;
  Type type;
};

// TensorProto. tensor_data() in tensor_data.h reads the elements, wherever they are.
struct Tensor {
  std::string_view name;
  std::vector<int64_t> dims;
  DataType data_type = DataType::undefined;
  bool is_external = false;   // the elements are in the file that `external_data` describes
  bool is_segment = false;    // part of a larger tensor (unused by all known producers)
  uint32_t typed_fields = 0;  // bit n: field n (float_data, int32_data, …) holds something
  std::optional<std::string_view> raw_data;
  std::vector<Entry> external_data;
  std::string_view message;  // the whole TensorProto: typed fields are decoded when asked for
};

// SparseTensorProto.
struct SparseTensor {
  Tensor values;
  Tensor indices;
  std::vector<int64_t> dims;
};

// AttributeProto.
struct Attribute {
  // AttributeProto.AttributeType and its numbers.
  enum class Kind : uint8_t {
    undefined = 0,
    number = 1,  // FLOAT
    integer = 2,
    string = 3,
    tensor = 4,
    graph = 5,
    numbers = 6,  // FLOATS
    integers = 7,
    strings = 8,
    tensors = 9,
    graphs = 10,
    sparse_tensor = 11,
    sparse_tensors = 12,
    type = 13,
    types = 14,
  };
  // The payload fits the kind; a single tensor, graph, sparse tensor or type is a list of one.
  // monostate: refers to an attribute of the enclosing function, or (undefined) has no value.
  using Payload =
      std::variant<std::monostate, float, int64_t, std::string_view, std::vector<float>,
                   std::vector<int64_t>, std::vector<std::string_view>, std::vector<Tensor>,
                   std::vector<Graph>, std::vector<SparseTensor>, std::vector<Type>>;

  std::string_view name;
  std::string_view ref_attr_name;  // in a function's body: the function's attribute to take
  Kind kind = Kind::undefined;
  Payload payload;

  bool is_reference() const { return !ref_attr_name.empty(); }
  // The payload as a T, or null where the attribute is of another kind.
  template <class T>
  const T* get() const {
    return std::get_if<T>(&payload);
  }
  const Tensor* tensor() const {
    auto* list = get<std::vector<Tensor>>();
    return kind == Kind::tensor && list ? list->data() : nullptr;
  }
  const Graph* graph() const;
};

const char* attribute_kind_name(Attribute::Kind kind);  // "int", "floats", "graph"

// NodeProto. An empty input or output name is an optional one that is absent.
struct Node {
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::string_view name;
  std::string_view op_type;  // not empty
  std::string_view domain;
  std::string_view overload;
  std::vector<Attribute> attributes;

  const Attribute* find_attribute(std::string_view attribute_name) const;
};

// GraphProto.
struct Graph {
  std::string_view name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<SparseTensor> sparse_initializers;
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  std::vector<Value> value_infos;
};

inline const Graph* Attribute::graph() const {
  auto* list = get<std::vector<Graph>>();
  return kind == Kind::graph && list ? list->data() : nullptr;
}

// FunctionProto: a function that the model brings along.
struct Function {
  std::string_view name;
  std::string_view domain;
  std::string_view overload;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string_view> attributes;  // without a default
  std::vector<Attribute> default_attributes;
  std::vector<Node> nodes;
  std::vector<OpsetImport> opset_imports;
  std::vector<Value> value_infos;
};

// ModelProto.
struct Model {
  int64_t ir_version = 0;
  int64_t model_version = 0;
  std::string_view producer_name;
  std::string_view producer_version;
  std::string_view domain;
  std::vector<OpsetImport> opset_imports;
  std::vector<Entry> metadata;
  Graph graph;
  std::vector<Function> functions;

  Ref<const Source> source;           // names the file in messages
  std::shared_ptr<const void> owner;  // keeps the bytes alive, where the reader was told what does
  std::shared_ptr<ExternalFiles> external_files;

  Span span() const { return {source}; }
};

}  // namespace repose::onnx
