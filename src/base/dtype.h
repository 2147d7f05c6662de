// Element types of tensors and scalar expressions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace repose {

// A scalar type, or a vector of `lanes` of them. `index` is a mathematical integer: shapes,
// extents, offsets and subscripts have it; machine code computes it in 64 bits after the host
// function has checked for overflow. `none` stands for "unknown" (and for void).
struct DType {
  enum class Code : uint8_t {
    none,
    boolean,
    sint,
    uint,
    flt,
    bfloat,
    index,
    handle,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float4_e2m1fn,
  };
  Code code = Code::none;
  uint8_t bits = 0;
  uint16_t lanes = 1;

  bool operator==(const DType&) const = default;
  explicit operator bool() const { return code != Code::none; }

  bool is_bool() const { return code == Code::boolean; }
  bool is_index() const { return code == Code::index; }
  bool is_sint() const { return code == Code::sint; }
  bool is_uint() const { return code == Code::uint; }
  bool is_data_int() const { return is_sint() || is_uint(); }  // wraps
  bool is_any_int() const { return is_data_int() || is_index(); }
  bool is_float() const {
    return code == Code::flt || code == Code::bfloat || code >= Code::float8_e4m3fn;
  }
  // Floats of 8 bits and less: values are kept in them, operators don't compute with them.
  bool is_tiny_float() const { return code >= Code::float8_e4m3fn; }
  bool is_vector() const { return lanes > 1; }
  bool is_handle() const { return code == Code::handle; }

  // Whether a byte holds several elements, the first one in its lowest bits.
  bool is_packed() const { return bits < 8 && code != Code::none; }
  // Bytes of one element in memory: bool is 1, index is 8; of a packed type 1, which is too many
  // for arrays: size_bytes(n).
  int size_bytes() const { return bits <= 8 ? 1 : bits / 8; }
  // Bytes of n elements; -1 where int64 doesn't hold them.
  int64_t size_bytes(int64_t n) const;
  // Where element i begins, or the byte that it lies in.
  int64_t offset_bytes(int64_t i) const { return is_packed() ? i / (8 / bits) : i * size_bytes(); }
  DType element() const { return {code, bits, 1}; }
  DType with_lanes(int n) const { return {code, bits, static_cast<uint16_t>(n)}; }

  // "float32", "int4", "float8_e4m3fn", "bool", "index", "float32x16"; "" for none.
  std::string to_string() const;
  // The inverse of to_string (scalars and vectors); nothing for a name that is no type.
  static std::optional<DType> parse(std::string_view name);
};

namespace dtypes {
inline constexpr DType none{};
inline constexpr DType boolean{DType::Code::boolean, 8};
inline constexpr DType int2{DType::Code::sint, 2};
inline constexpr DType int4{DType::Code::sint, 4};
inline constexpr DType int8{DType::Code::sint, 8};
inline constexpr DType int16{DType::Code::sint, 16};
inline constexpr DType int32{DType::Code::sint, 32};
inline constexpr DType int64{DType::Code::sint, 64};
inline constexpr DType uint2{DType::Code::uint, 2};
inline constexpr DType uint4{DType::Code::uint, 4};
inline constexpr DType uint8{DType::Code::uint, 8};
inline constexpr DType uint16{DType::Code::uint, 16};
inline constexpr DType uint32{DType::Code::uint, 32};
inline constexpr DType uint64{DType::Code::uint, 64};
inline constexpr DType float4_e2m1fn{DType::Code::float4_e2m1fn, 4};
inline constexpr DType float8_e4m3fn{DType::Code::float8_e4m3fn, 8};
inline constexpr DType float8_e4m3fnuz{DType::Code::float8_e4m3fnuz, 8};
inline constexpr DType float8_e5m2{DType::Code::float8_e5m2, 8};
inline constexpr DType float8_e5m2fnuz{DType::Code::float8_e5m2fnuz, 8};
inline constexpr DType float8_e8m0fnu{DType::Code::float8_e8m0fnu, 8};
inline constexpr DType float16{DType::Code::flt, 16};
inline constexpr DType bfloat16{DType::Code::bfloat, 16};
inline constexpr DType float32{DType::Code::flt, 32};
inline constexpr DType float64{DType::Code::flt, 64};
inline constexpr DType index{DType::Code::index, 64};
inline constexpr DType handle{DType::Code::handle, 64};
}  // namespace dtypes

}  // namespace repose

template <>
struct std::hash<repose::DType> {
  size_t operator()(const repose::DType& t) const noexcept {
    return (static_cast<size_t>(t.code) << 24) | (static_cast<size_t>(t.bits) << 16) | t.lanes;
  }
};
