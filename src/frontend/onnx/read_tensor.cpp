// Tensors, and the values of a graph with their types.
#include "frontend/onnx/model_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace repose::onnx {

namespace {

DataType data_type_from(int64_t number, const Fields& fields) {
  if (number < std::numeric_limits<int32_t>::min() ||
      number > std::numeric_limits<int32_t>::max()) {
    fields.fail("an element type is {}, expected a small number", number);
  }
  return static_cast<DataType>(number);
}

}  // namespace

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

namespace {

// Some producers write numbers as names; an empty name, or a negative number, is "unknown".
void read_number(Dimension& dim) {
  int64_t value = 0;
  const char* end = dim.param.data() + dim.param.size();
  auto [stop, ec] = std::from_chars(dim.param.data(), end, value);
  const bool is_number = ec == std::errc() && stop == end;
  if (!dim.param.empty() && !is_number) return;
  dim.kind = is_number && value >= 0 ? Dimension::Kind::value : Dimension::Kind::unknown;
  dim.value = std::max<int64_t>(value, 0);
  dim.param = {};
}

}  // namespace

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
  if (dim.kind == Dimension::Kind::param) read_number(dim);
  return dim;
}

}  // namespace repose::onnx
