// Element types of tensors and scalar expressions.
#include "base/dtype.h"

#include <charconv>

namespace repose {

int64_t DType::size_bytes(int64_t n) const {
  if (is_packed()) return n / (8 / bits) + (n % (8 / bits) != 0 ? 1 : 0);
  return __builtin_mul_overflow(n, int64_t{size_bytes()}, &n) ? -1 : n;
}

std::string DType::to_string() const {
  std::string name;
  switch (code) {
    case Code::none:
      return "";
    case Code::boolean:
      name = "bool";
      break;
    case Code::sint:
      name = "int" + std::to_string(bits);
      break;
    case Code::uint:
      name = "uint" + std::to_string(bits);
      break;
    case Code::flt:
      name = "float" + std::to_string(bits);
      break;
    case Code::bfloat:
      name = "bfloat" + std::to_string(bits);
      break;
    case Code::float8_e4m3fn:
      name = "float8_e4m3fn";
      break;
    case Code::float8_e4m3fnuz:
      name = "float8_e4m3fnuz";
      break;
    case Code::float8_e5m2:
      name = "float8_e5m2";
      break;
    case Code::float8_e5m2fnuz:
      name = "float8_e5m2fnuz";
      break;
    case Code::float8_e8m0fnu:
      name = "float8_e8m0fnu";
      break;
    case Code::float4_e2m1fn:
      name = "float4_e2m1fn";
      break;
    case Code::index:
      name = "index";
      break;
    case Code::handle:
      name = "handle";
      break;
  }
  if (lanes > 1) name += "x" + std::to_string(lanes);
  return name;
}

std::optional<DType> DType::parse(std::string_view name) {
  static constexpr DType all[] = {dtypes::boolean,       dtypes::int8,
                                  dtypes::int16,         dtypes::int32,
                                  dtypes::int64,         dtypes::uint8,
                                  dtypes::uint16,        dtypes::uint32,
                                  dtypes::uint64,        dtypes::float16,
                                  dtypes::bfloat16,      dtypes::float32,
                                  dtypes::float64,       dtypes::index,
                                  dtypes::handle,        dtypes::int4,
                                  dtypes::uint4,         dtypes::int2,
                                  dtypes::uint2,         dtypes::float4_e2m1fn,
                                  dtypes::float8_e4m3fn, dtypes::float8_e4m3fnuz,
                                  dtypes::float8_e5m2,   dtypes::float8_e5m2fnuz,
                                  dtypes::float8_e8m0fnu};
  size_t x = name.find('x', name.starts_with("index") ? 5 : 0);
  int lanes = 1;
  if (x != std::string_view::npos) {
    std::string_view digits = name.substr(x + 1);
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), lanes);
    if (ec != std::errc() || end != digits.data() + digits.size() || lanes < 2 || lanes > 4096) {
      return std::nullopt;
    }
    name = name.substr(0, x);
  }
  for (DType t : all) {
    if (t.to_string() == name) return t.with_lanes(lanes);
  }
  return std::nullopt;
}

}  // namespace repose
