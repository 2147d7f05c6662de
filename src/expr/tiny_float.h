// Floats of eight bits and less, as ONNX, DLPack and ml_dtypes define them: their bits from and to
// numbers. The interpreter computes with these functions, generated code after the same table.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace repose {

// Codes are without the sign, which is the highest bit. float8_e8m0fnu has no row: its bits are an
// exponent, 255 is NaN.
struct TinyFloat {
  int significand_bits;  // those that are stored
  int bias;              // of the exponent
  uint8_t largest;       // the largest finite number
  uint8_t overflow;      // what lies beyond it: infinity, NaN, or the largest number itself
  uint8_t nan;           // 0 where there is none
  bool has_minus_zero;   // without, its bits are the NaN
};

// `dtype` is one of those types but float8_e8m0fnu.
const TinyFloat& tiny_float(DType dtype);

// Nearest, halves to even. Beyond the largest number lies infinity where the type has it, else NaN,
// else (float4_e2m1fn) the largest number. NaN is 0 in float4_e2m1fn. float8_e8m0fnu: the nearest
// power of two, at least 2^-127; what is not above 0 is NaN.
uint8_t to_tiny_float(DType dtype, double value);
double from_tiny_float(DType dtype, uint8_t bits);
double largest_tiny_float(DType dtype);

}  // namespace repose
