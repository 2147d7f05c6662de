// Values as R.print writes them: the interpreter's texts (src/interp/host_value.cpp).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packed_call.h"
#include "tensor.h"

namespace repose::rt {
namespace {

constexpr int64_t kMaxElements = 16;  // of a tensor that are written

// The fewest digits that read back as `value`, and its decimal exponent. Whatever the locale.
void shortest_digits(double value, char* digits, int* exponent) {
  char text[40];
  for (int precision = 0; precision <= 17; ++precision) {
    snprintf(text, sizeof text, "%.*e", precision, value);
    if (strtod(text, nullptr) == value) break;
  }
  const char* e = strchr(text, 'e');
  *exponent = 0;
  for (const char* at = e + 2; *at != 0; ++at) *exponent = *exponent * 10 + (*at - '0');
  if (e[1] == '-') *exponent = -*exponent;
  for (const char* at = text; at < e; ++at) {
    if (*at >= '0' && *at <= '9') *digits++ = *at;
  }
  *digits = 0;
}

void write_zeros(Text& out, int count) {
  for (; count > 0; --count) out << "0";
}

void write_finite(Text& out, double value) {
  char digits[40];
  int exponent = 0;
  shortest_digits(value, digits, &exponent);
  const auto count = static_cast<int>(strlen(digits));
  if (exponent < -4 || exponent >= 16) {
    out.append(digits, 1);
    if (count > 1) out << "." << digits + 1;
    out << (exponent < 0 ? "e-" : "e+");
    const int size = exponent < 0 ? -exponent : exponent;
    if (size < 10) out << "0";
    out << size;
  } else if (exponent < 0) {
    out << "0.";
    write_zeros(out, -exponent - 1);
    out << digits;
  } else if (exponent >= count - 1) {
    out << digits;
    write_zeros(out, exponent - count + 1);
  } else {
    out.append(digits, static_cast<size_t>(exponent) + 1) << "." << digits + exponent + 1;
  }
}

void write_float(Text& out, double value) {
  if (signbit(value)) out << "-";
  if (isnan(value)) {
    out << "nan";
  } else if (isinf(value)) {
    out << "inf";
  } else {
    write_finite(out, fabs(value));
  }
}

double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double value = fraction * 0x1p-24;  // subnormal
  if (exponent > 0) value = (fraction + 1024) * 0x1p-25 * static_cast<double>(1u << exponent);
  if (exponent == 31) value = fraction == 0 ? INFINITY : NAN;
  return (bits & 0x8000) != 0 ? -value : value;
}

double float_value(const uint8_t* at, DLDataType dtype) {
  uint16_t half = 0;
  float single = 0;
  double value = 0;
  if (dtype.bits == 64) {
    memcpy(&value, at, 8);
  } else if (dtype.bits == 32) {
    memcpy(&single, at, 4);
    value = single;
  } else {
    memcpy(&half, at, 2);
    if (dtype.code == kDLFloat) return half_value(half);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    memcpy(&single, &bits, 4);
    value = single;
  }
  return value;
}

void write_unsigned(Text& out, uint64_t value) {
  if (value > INT64_MAX) {
    out << static_cast<int64_t>(value / 10);
    value %= 10;
  }
  out << static_cast<int64_t>(value);
}

void write_element(Text& out, const uint8_t* at, DLDataType dtype) {
  const bool is_float = dtype.code == kDLFloat || dtype.code == kDLBfloat;
  if (dtype.code == kDLBool) {
    out << (*at != 0 ? "True" : "False");
  } else if (is_float && dtype.bits >= 16 && dtype.bits <= 64) {
    write_float(out, float_value(at, dtype));
  } else if ((dtype.code == kDLInt || dtype.code == kDLUInt) && dtype.bits >= 8 &&
             dtype.bits <= 64) {
    uint64_t bits = 0;
    memcpy(&bits, at, dtype.bits / 8);
    const int shift = 64 - dtype.bits;
    if (dtype.code == kDLUInt) {
      write_unsigned(out, bits);
    } else {
      out << (static_cast<int64_t>(bits << shift) >> shift);
    }
  } else {
    out << "?";  // the compiler lets none of these be printed; a host may hand one over
  }
}

const uint8_t* element_at(const DLTensor& tensor, int64_t i) {
  int64_t offset = 0;
  for (int32_t k = tensor.ndim - 1; k >= 0; --k) {
    const int64_t at = i % tensor.shape[k];
    i /= tensor.shape[k];
    offset += at * (tensor.strides != nullptr ? tensor.strides[k] : 0);
  }
  return static_cast<const uint8_t*>(first_element(tensor)) + offset * (tensor.dtype.bits / 8);
}

void write_tensor(Text& out, const DLTensor& tensor) {
  write_dtype(out, tensor.dtype);
  out << "(";
  int64_t count = 1;
  for (int32_t k = 0; k < tensor.ndim; ++k) {
    out << (k > 0 ? ", " : "") << tensor.shape[k];
    count *= tensor.shape[k];
  }
  out << ")[";
  const bool is_read = tensor.device.device_type == kDLCPU && tensor.data != nullptr;
  const bool is_compact = tensor.strides == nullptr;
  for (int64_t i = 0; is_read && i < count && i < kMaxElements; ++i) {
    if (i > 0) out << ", ";
    const auto* first = static_cast<const uint8_t*>(first_element(tensor));
    write_element(out, is_compact ? first + i * (tensor.dtype.bits / 8) : element_at(tensor, i),
                  tensor.dtype);
  }
  if (count > kMaxElements || (!is_read && count > 0)) out << ", …";
  out << "]";
}

void write_dims(Text& out, const repose_packed_value& value) {
  out << "(";
  for (int32_t k = 0; k < value.count; ++k) out << (k > 0 ? ", " : "") << value.as.dims[k];
  out << ")";
}

}  // namespace

void write_value(Text& out, const repose_packed_value& value) {
  switch (value.kind) {
    case REPOSE_VALUE_NONE:
      out << "None";
      return;
    case REPOSE_VALUE_INT:
      out << value.as.integer;
      return;
    case REPOSE_VALUE_BOOL:
      out << (value.as.integer != 0 ? "True" : "False");
      return;
    case REPOSE_VALUE_FLOAT:
      return write_float(out, value.as.number);
    case REPOSE_VALUE_TENSOR:
      return write_tensor(out, *value.as.tensor);
    case REPOSE_VALUE_SHAPE:
      return write_dims(out, value);
    case REPOSE_VALUE_TEXT:
      out.append(value.as.text, static_cast<size_t>(value.count));
      return;
    case REPOSE_VALUE_DTYPE:
      return write_dtype(out, value.as.dtype);
    case REPOSE_VALUE_TUPLE:
      out << "(";
      for (int32_t i = 0; i < value.count; ++i) {
        if (i > 0) out << ", ";
        write_value(out, value.as.items[i]);
      }
      out << ")";
      return;
    default:
      out << "an object";
  }
}

}  // namespace repose::rt
