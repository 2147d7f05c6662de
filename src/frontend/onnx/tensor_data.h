// The elements of a model's tensors, wherever the file keeps them.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/dtype.h"
#include "frontend/onnx/model.h"

namespace repose::onnx {

// Elements in memory layout: little-endian, row-major, dtype.size_bytes() each, several in a byte
// of packed types; a bool is 0 or 1.
// The bytes have no alignment and stay valid as long as `owner` (or a copy of it) lives.
struct TensorData {
  DType dtype;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  // T has the dtype's size and representation.
  template <class T>
  T element(size_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return value;
  }
};

std::string data_type_name(DataType type);  // "float32", "int4", "data type 77"

// unsupported_dtype where Repose has no such type; bad_model where ONNX has none. `what` names the
// tensor or value in messages.
Result<DType> dtype_of(DataType type, const Span& span, const std::string& what);

// "tensor `w`", for messages.
std::string describe(const Tensor& tensor);

// The product of the dimensions. bad_model: one is negative; too_large: more than 2^63 - 1.
Result<uint64_t> element_count(const Tensor& tensor, const Span& span);

// All elements, checked to be as many as the dimensions say; nothing is allocated for elements that
// the file does not hold. Raw and external data are views, typed fields are decoded.
// Errors: bad_model, missing_value, too_large, cannot_read, unsupported_dtype, unsupported_feature.
Result<TensorData> tensor_data(const Model& model, const Tensor& tensor);

// The elements of a tensor of strings.
Result<std::vector<std::string_view>> tensor_strings(const Model& model, const Tensor& tensor);

}  // namespace repose::onnx
