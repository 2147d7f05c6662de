// Message formatting: placeholders, numbers, cutting, names of dtypes and devices.
#include "text.h"

#include <gtest/gtest.h>

#include <climits>
#include <string>

namespace repose::rt {
namespace {

std::string format(const char* message, std::initializer_list<int64_t> values) {
  char buffer[256];
  Text text(buffer, sizeof buffer);
  format_message(text, message, values.begin(), static_cast<int32_t>(values.size()));
  return buffer;
}

TEST(Text, ReplacesPlaceholders) {
  EXPECT_EQ(format("dimension {1} is {0}", {12, 3}), "dimension 3 is 12");
  EXPECT_EQ(format("{0}{0}", {-7}), "-7-7");
  EXPECT_EQ(format("{10}", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 42}), "42");
  EXPECT_EQ(format("{0} {1}", {INT64_MIN, INT64_MAX}), "-9223372036854775808 9223372036854775807");
}

TEST(Text, KeepsWhatIsNoPlaceholder) {
  EXPECT_EQ(format("{2} {x} {} {0", {5}), "{2} {x} {} {0");
  EXPECT_EQ(format("{99999999999999999999}", {5}), "{99999999999999999999}");
  EXPECT_EQ(format("input `{{0}}`: {0}", {5}), "input `{0}`: 5");
  EXPECT_EQ(format("", {}), "");
}

TEST(Text, CutsAtACharacter) {
  char buffer[6];
  Text text(buffer, sizeof buffer);
  text << "abcd\xC3\xA9" << "x";  // é does not fit any more, and nothing follows a cut
  EXPECT_STREQ(buffer, "abcd");
  Text exact(buffer, sizeof buffer);
  exact << "abc\xC3\xA9" << 1;
  EXPECT_STREQ(buffer, "abc\xC3\xA9");
  char none[1];
  Text nothing(none, 1);
  nothing << "abc" << 12;
  EXPECT_STREQ(none, "");
}

std::string dtype(DLDataType type) {
  char buffer[64];
  Text text(buffer, sizeof buffer);
  write_dtype(text, type);
  return buffer;
}

TEST(Text, NamesDtypes) {
  EXPECT_EQ(dtype({kDLFloat, 32, 1}), "float32");
  EXPECT_EQ(dtype({kDLInt, 8, 4}), "int8x4");
  EXPECT_EQ(dtype({kDLUInt, 16, 1}), "uint16");
  EXPECT_EQ(dtype({kDLBfloat, 16, 1}), "bfloat16");
  EXPECT_EQ(dtype({kDLBool, 8, 1}), "bool");
  EXPECT_EQ(dtype({kDLComplex, 64, 1}), "complex64");
  EXPECT_EQ(dtype({kDLUInt, 4, 1}), "uint4");
  EXPECT_EQ(dtype({kDLFloat8_e5m2, 8, 1}), "float8_e5m2");
  EXPECT_EQ(dtype({kDLFloat4_e2m1fn, 4, 2}), "float4_e2m1fnx2");
  EXPECT_EQ(dtype({99, 8, 1}), "dtype code 99 of 8 bits");
}

}  // namespace
}  // namespace repose::rt
