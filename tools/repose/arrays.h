// Tensors of the command line: .npy files, and the values that `--input` describes.
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "ir/array.h"

namespace repose::cli {

// NumPy's format, versions 1 to 3, little-endian, C order. bfloat16 is read and written as uint16,
// floats of 8 bits and less and integers of less as the bits of each in a byte of its own.
Result<Array> read_npy(const std::string& path);
Result<void> write_npy(const std::string& path, const ArrayNode& array);

// "name=@file.npy" or "name=4x16xi64:rand(0,9)": dimensions joined by x, then a dtype (i8 … i64, u8
// … u64, f16, bf16, f32, f64, bool, or their full names), then rand, rand(lo,hi), zeros or ones
// (default: rand). Random floats are in [-1, 1), random integers 0 or 1 unless bounded (inclusive,
// by whole numbers that the dtype has).
struct InputSpec {
  std::string name;
  Array array;
};
Result<InputSpec> parse_input(const std::string& text, uint64_t seed);

// An array filled in the way that `fill` says: "rand", "rand(lo,hi)", "zeros", "ones". Refused
// (call_refused) where no memory holds it.
Result<Array> fill_array(std::vector<int64_t> shape, DType dtype, const std::string& fill,
                         uint64_t seed);

}  // namespace repose::cli
