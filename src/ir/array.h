// Tensors with data on the host: constants of the IR, operands of the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "expr/scalar.h"

namespace repose {

// A compact row-major array. `bytes` may point into a mapped file, kept alive by `owner`, and need
// not be aligned: read it with load() or memcpy. Shared and never written once it is part of the
// IR.
struct ArrayNode : RefCounted {
  DType dtype;
  std::vector<int64_t> shape;
  std::shared_ptr<const void> owner;
  const std::byte* bytes = nullptr;
  size_t num_bytes = 0;

  int64_t num_elements() const;
  Scalar load(int64_t i) const;                // element i in row-major order
  void store(int64_t i, const Scalar& value);  // only while the array is being made
  Scalar load_bits(int64_t i) const;
  void store_bits(int64_t i, const Scalar& value);
  std::byte* mutable_bytes() { return const_cast<std::byte*>(bytes); }
};
using Array = Ref<const ArrayNode>;

// Bytes of prod(shape) elements; -1 where that overflows int64 or a dimension is negative.
int64_t array_bytes(const std::vector<int64_t>& shape, DType dtype);
Ref<ArrayNode> make_array(std::vector<int64_t> shape, DType dtype);  // zeros, 64-byte aligned
Array wrap_array(std::vector<int64_t> shape, DType dtype, const std::byte* bytes,
                 std::shared_ptr<const void> owner);       // no copy
Array make_scalar_array(const Scalar& value);              // rank 0
bool equal_bytes(const ArrayNode& a, const ArrayNode& b);  // dtype, shape and contents

}  // namespace repose
