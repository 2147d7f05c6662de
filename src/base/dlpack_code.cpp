// Element types as DLPack numbers them.
#include "base/dlpack_code.h"

#include <utility>

namespace repose {

namespace {

// In the order of DLDataTypeCode.
constexpr std::pair<DType::Code, uint8_t> codes[] = {
    {DType::Code::sint, 0},
    {DType::Code::uint, 1},
    {DType::Code::flt, 2},
    {DType::Code::bfloat, 4},
    {DType::Code::boolean, 6},
    {DType::Code::float8_e4m3fn, 10},
    {DType::Code::float8_e4m3fnuz, 11},
    {DType::Code::float8_e5m2, 12},
    {DType::Code::float8_e5m2fnuz, 13},
    {DType::Code::float8_e8m0fnu, 14},
    {DType::Code::float4_e2m1fn, 17},
};

}  // namespace

uint8_t dlpack_code(DType dtype) {
  for (const auto& [code, number] : codes) {
    if (code == dtype.code) return number;
  }
  return 0;
}

std::optional<DType> dtype_of_dlpack(uint8_t code, uint8_t bits) {
  for (const auto& [own, number] : codes) {
    const DType dtype{own, bits};
    if (number == code && DType::parse(dtype.to_string()) == dtype) return dtype;
  }
  return std::nullopt;
}

}  // namespace repose
