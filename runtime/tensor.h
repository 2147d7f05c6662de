// The tensor contract: checks of what callers give, and making results.
#pragma once

#include <stdint.h>

#include "abi.h"
#include "memory.h"
#include "repose/repose.h"
#include "text.h"

namespace repose::rt {

// The bytes that a tensor's elements lie in: [begin, end); empty if it has none.
struct ByteRange {
  uintptr_t begin, end;
};

// Writes the strides (in elements) that `value` requires for these dimensions into strides[rank],
// and into *bytes how far they reach from the first element; false: that overflows. Strides that
// are expressions are those of `tensor`, or compact where that is null.
bool required_strides(const repose_rt_value& value, const int64_t* dims, const DLTensor* tensor,
                      int64_t* strides, int64_t* bytes);

// Does a stride of the declaration depend on symbols?
inline bool has_stride_expressions(const repose_rt_value& value) {
  for (int32_t k = 0; value.strides != nullptr && k < value.rank; ++k) {
    if (value.strides[k] == -2) return true;
  }
  return false;
}

constexpr int32_t kMaxRank = 64;

// Checks one tensor against its declaration, except for the values of its dimensions. what: "input"
// or "output". On failure returns a status and writes "input `x`: dtype is float64, expected
// float32".
int32_t check_tensor(const char* what, const repose_rt_value& value, const DLTensor* tensor,
                     ByteRange* range, Text& error);

// The first element.
inline void* first_element(const DLTensor& tensor) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset);
}

inline bool overlap(ByteRange a, ByteRange b) {
  return a.begin < a.end && b.begin < b.end && a.begin < b.end && b.begin < a.end;
}

// A new tensor for the caller, elements not initialised. Without a hook its deleter is free(), so
// that it outlives the model. On failure null, with *status and the text.
DLManagedTensorVersioned* make_result(const repose_allocator& allocator,
                                      const repose_rt_value& value, const int64_t* dims,
                                      int32_t* status, Text& error);

}  // namespace repose::rt
