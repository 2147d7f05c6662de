// Text in a fixed buffer: error messages without allocation and without libstdc++. What does not
// fit is cut at a character of UTF-8.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "repose/repose.h"

namespace repose::rt {

constexpr size_t kErrorBytes = 1024;  // of one error text, with its zero byte

class Text {
 public:
  Text(char* buffer, size_t bytes);  // bytes >= 1; the text is empty and ends in zero at once
  Text& operator<<(const char* text);
  Text& operator<<(int64_t value);
  Text& operator<<(int32_t value) { return *this << static_cast<int64_t>(value); }
  Text& append(const char* text, size_t bytes);

 private:
  char* buffer_;
  size_t room_;  // left, without the zero byte
};

// Writes `message` with {0}, {1}, … replaced by values[0], values[1], … in decimal; "{{" is "{" and
// "}}" is "}". A number without a value stays as it is.
void format_message(Text& out, const char* message, const int64_t* values, int32_t count);

// "float32", "bool", "int8x4"; a code that DLPack 1.0 does not know is "dtype code 12 of 8 bits".
void write_dtype(Text& out, DLDataType dtype);

// "cpu", "cuda:1"; "device type 99" where it has no name.
void write_device(Text& out, DLDevice device);

// "(2, 3)"
void write_list(Text& out, const int64_t* values, int32_t count);

}  // namespace repose::rt
