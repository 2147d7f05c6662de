// Floats of eight bits and less from and to numbers.
#include "expr/tiny_float.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/diagnostic.h"

namespace repose {

namespace {

constexpr TinyFloat e4m3fn{3, 7, 0x7e, 0x7f, 0x7f, true};
constexpr TinyFloat e4m3fnuz{3, 8, 0x7f, 0x80, 0x80, false};
constexpr TinyFloat e5m2{2, 15, 0x7b, 0x7c, 0x7e, true};
constexpr TinyFloat e5m2fnuz{2, 16, 0x7f, 0x80, 0x80, false};
constexpr TinyFloat e2m1fn{1, 1, 0x7, 0x7, 0, true};

constexpr int power_bias = 127;  // of float8_e8m0fnu
constexpr uint8_t power_nan = 255;

uint8_t to_power(double value) {
  if (!(value > 0) || std::isinf(value)) return power_nan;
  const int exponent = std::ilogb(value);
  if (exponent < -power_bias) return 0;
  const double significand = std::ldexp(value, -exponent);
  int code = exponent + power_bias;
  if (significand > 1.5 || (significand == 1.5 && code % 2 != 0)) ++code;
  return static_cast<uint8_t>(std::min<int>(code, power_nan));
}

}  // namespace

const TinyFloat& tiny_float(DType dtype) {
  switch (dtype.code) {
    case DType::Code::float8_e4m3fn:
      return e4m3fn;
    case DType::Code::float8_e4m3fnuz:
      return e4m3fnuz;
    case DType::Code::float8_e5m2:
      return e5m2;
    case DType::Code::float8_e5m2fnuz:
      return e5m2fnuz;
    default:
      REPOSE_CHECK(dtype.code == DType::Code::float4_e2m1fn, "a float of eight bits or less");
      return e2m1fn;
  }
}

uint8_t to_tiny_float(DType dtype, double value) {
  if (dtype.code == DType::Code::float8_e8m0fnu) return to_power(value);
  const TinyFloat& format = tiny_float(dtype);
  if (std::isnan(value)) return format.nan;
  const double magnitude = std::abs(value);
  int code = format.overflow;
  if (!std::isinf(magnitude)) {
    const int smallest = 1 - format.bias;  // the exponent of the smallest normal number
    const int exponent = magnitude == 0 ? smallest : std::max(std::ilogb(magnitude), smallest);
    const double units = std::nearbyint(std::ldexp(magnitude, format.significand_bits - exponent));
    // A significand that has become too long is one more in the exponent.
    code = (exponent - smallest) * (1 << format.significand_bits) + static_cast<int>(units);
    if (code > format.largest) code = format.overflow;
  }
  if (!format.has_minus_zero && (code == 0 || code == format.nan))
    return static_cast<uint8_t>(code);
  const int sign = 1 << (dtype.bits - 1);
  return static_cast<uint8_t>(std::signbit(value) ? code | sign : code);
}

double largest_tiny_float(DType dtype) {
  const bool is_power = dtype.code == DType::Code::float8_e8m0fnu;
  return from_tiny_float(dtype, is_power ? power_nan - 1 : tiny_float(dtype).largest);
}

double from_tiny_float(DType dtype, uint8_t bits) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (dtype.code == DType::Code::float8_e8m0fnu) {
    return bits == power_nan ? nan : std::ldexp(1.0, bits - power_bias);
  }
  const TinyFloat& format = tiny_float(dtype);
  if (!format.has_minus_zero && bits == format.nan) return nan;
  const int sign = 1 << (dtype.bits - 1), code = bits & (sign - 1);
  const int hidden = 1 << format.significand_bits;
  int exponent = code >> format.significand_bits, significand = code & (hidden - 1);
  double magnitude = 0;
  if (code > format.largest) {
    const bool is_infinity = code == format.overflow && format.overflow != format.nan;
    magnitude = is_infinity ? std::numeric_limits<double>::infinity() : nan;
  } else {
    if (exponent > 0) significand += hidden;
    exponent = std::max(exponent, 1);
    magnitude = std::ldexp(significand, exponent - format.bias - format.significand_bits);
  }
  return bits & sign ? -magnitude : magnitude;
}

}  // namespace repose
