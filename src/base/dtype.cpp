// Element types of tensors and scalar expressions.
#include "base/dtype.h"

#include <charconv>

namespace repose {

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
  static constexpr DType all[] = {
      dtypes::boolean,  dtypes::int8,    dtypes::int16,   dtypes::int32,  dtypes::int64,
      dtypes::uint8,    dtypes::uint16,  dtypes::uint32,  dtypes::uint64, dtypes::float16,
      dtypes::bfloat16, dtypes::float32, dtypes::float64, dtypes::index,  dtypes::handle};
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
