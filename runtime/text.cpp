// Error texts: appending, placeholders, names of dtypes and devices.
#include "text.h"

#include <string.h>

namespace repose::rt {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

const char* dtype_name(uint8_t code) {
  switch (code) {
    case kDLInt:
      return "int";
    case kDLUInt:
      return "uint";
    case kDLFloat:
      return "float";
    case kDLBfloat:
      return "bfloat";
    case kDLComplex:
      return "complex";
    default:
      return nullptr;
  }
}

// Their names say how many bits they have.
const char* tiny_float_name(uint8_t code) {
  switch (code) {
    case kDLFloat8_e3m4:
      return "float8_e3m4";
    case kDLFloat8_e4m3:
      return "float8_e4m3";
    case kDLFloat8_e4m3b11fnuz:
      return "float8_e4m3b11fnuz";
    case kDLFloat8_e4m3fn:
      return "float8_e4m3fn";
    case kDLFloat8_e4m3fnuz:
      return "float8_e4m3fnuz";
    case kDLFloat8_e5m2:
      return "float8_e5m2";
    case kDLFloat8_e5m2fnuz:
      return "float8_e5m2fnuz";
    case kDLFloat8_e8m0fnu:
      return "float8_e8m0fnu";
    case kDLFloat6_e2m3fn:
      return "float6_e2m3fn";
    case kDLFloat6_e3m2fn:
      return "float6_e3m2fn";
    case kDLFloat4_e2m1fn:
      return "float4_e2m1fn";
    default:
      return nullptr;
  }
}

const char* device_name(int32_t type) {
  switch (type) {
    case kDLCUDA:
      return "cuda";
    case kDLCUDAHost:
      return "cuda_host";
    case kDLOpenCL:
      return "opencl";
    case kDLVulkan:
      return "vulkan";
    case kDLMetal:
      return "metal";
    case kDLROCM:
      return "rocm";
    case kDLROCMHost:
      return "rocm_host";
    case kDLCUDAManaged:
      return "cuda_managed";
    case kDLOneAPI:
      return "oneapi";
    case kDLWebGPU:
      return "webgpu";
    default:
      return nullptr;
  }
}

}  // namespace

Text::Text(char* buffer, size_t bytes) : buffer_(buffer), room_(bytes - 1) {
  buffer[0] = 0;
}

Text& Text::append(const char* text, size_t bytes) {
  size_t take = bytes;
  if (take > room_) {
    take = room_;
    while (take > 0 && is_continuation(text[take])) --take;
    room_ = take;  // a cut text takes nothing more
  }
  memcpy(buffer_, text, take);
  buffer_ += take;
  room_ -= take;
  *buffer_ = 0;
  return *this;
}

Text& Text::operator<<(const char* text) {
  return append(text, strlen(text));
}

Text& Text::operator<<(int64_t value) {
  char digits[20];
  char* end = digits + sizeof digits;
  char* begin = end;
  uint64_t rest = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  do {
    *--begin = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) *--begin = '-';
  return append(begin, static_cast<size_t>(end - begin));
}

void format_message(Text& out, const char* message, const int64_t* values, int32_t count) {
  const char* at = message;
  while (*at != 0) {
    const size_t plain = strcspn(at, "{}");
    out.append(at, plain);
    at += plain;
    if (*at == 0) return;
    if (at[1] == at[0]) {
      out.append(at, 1);
      at += 2;
      continue;
    }
    const char* digit = at + 1;
    int32_t index = 0;
    while (is_digit(*digit) && index < count) index = index * 10 + (*digit++ - '0');
    if (*at == '{' && digit != at + 1 && *digit == '}' && index < count) {
      out << values[index];
      at = digit + 1;
    } else {
      out.append(at++, 1);
    }
  }
}

void write_dtype(Text& out, DLDataType dtype) {
  const char* name = dtype_name(dtype.code);
  if (const char* tiny = tiny_float_name(dtype.code)) {
    out << tiny;
  } else if (dtype.code == kDLBool) {
    out << "bool";
    if (dtype.bits != 8) out << static_cast<int64_t>(dtype.bits);
  } else if (name != nullptr) {
    out << name << static_cast<int64_t>(dtype.bits);
  } else {
    out << "dtype code " << static_cast<int64_t>(dtype.code) << " of "
        << static_cast<int64_t>(dtype.bits) << " bits";
  }
  if (dtype.lanes != 1) out << "x" << static_cast<int64_t>(dtype.lanes);
}

void write_device(Text& out, DLDevice device) {
  const int32_t type = static_cast<int32_t>(device.device_type);
  if (type == kDLCPU) {
    out << "cpu";
  } else if (const char* name = device_name(type)) {
    out << name << ":" << device.device_id;
  } else {
    out << "device type " << type;
  }
}

void write_list(Text& out, const int64_t* values, int32_t count) {
  out << "(";
  for (int32_t i = 0; i < count; ++i) out << (i == 0 ? "" : ", ") << values[i];
  out << ")";
}

}  // namespace repose::rt
