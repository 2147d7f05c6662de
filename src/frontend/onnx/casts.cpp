// Casts to floats of 8 bits and integers of 4 and 2.
#include "frontend/onnx/casts.h"

#include "expr/tiny_float.h"

namespace repose::onnx {

namespace {

// The exponent of a float32, rounded by what is behind it; the sign doesn't count. Infinity and NaN
// are NaN.
Operand to_power_of_two(Composite& m, const Operand& x, const CastOptions& options) {
  const DType u = dtypes::uint32;
  const Operand bits = m.call("bitcast", {m.cast(x, dtypes::float32)}, {{"dtype", u}});
  const Operand rest = m.binary("bitwise_and", bits, 0x7fffff);
  Operand exponent = m.binary("right_shift", bits, 23);
  exponent = m.binary("bitwise_and", exponent, 255);
  Operand rounds_up;
  if (options.rounding == PowerRounding::up) {
    rounds_up = m.greater(rest, 0.0);
  } else if (options.rounding == PowerRounding::nearest) {
    // Halves go up, but for that of the smallest number.
    const Operand half =
        m.where(m.greater(exponent, 0.0), m.scalar(u, 0x3fffff), m.scalar(u, 0x400000));
    rounds_up = m.greater(rest, half);
  }
  if (rounds_up) {
    const double last = options.saturate ? 254 : 255;
    rounds_up = m.both(rounds_up, m.less(exponent, last));
    exponent = m.add(exponent, m.cast(rounds_up, u));
  }
  return m.call("bitcast", {m.cast(exponent, dtypes::uint8)}, {{"dtype", dtypes::float8_e8m0fnu}});
}

}  // namespace

Result<CastOptions> cast_options(NodeContext& c) {
  CastOptions options;
  REPOSE_TRY(saturate, c.integer("saturate", 1));
  options.saturate = saturate != 0;
  REPOSE_TRY(mode, c.string("round_mode", "up"));
  if (mode == "down") {
    options.rounding = PowerRounding::down;
  } else if (mode == "nearest") {
    options.rounding = PowerRounding::nearest;
  } else if (mode != "up") {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `round_mode` is `{}`, expected up, down or nearest", mode);
  }
  return options;
}

Operand convert(Composite& m, const Operand& x, DType to, const CastOptions& options) {
  const DType from = m.dtype(x);
  if (from == to) return x;
  if (to.is_packed() && to.is_data_int()) {
    const bool narrows = from.is_float();
    return m.cast(narrows ? m.cast(x, dtypes::int32) : x, to);
  }
  if (to == dtypes::float8_e8m0fnu) return to_power_of_two(m, x, options);
  if (to.is_tiny_float() && !to.is_packed() && options.saturate) {
    const bool is_wide = from.is_float() && !from.is_tiny_float();
    const double largest = largest_tiny_float(to);
    return m.cast(m.clip(is_wide ? x : m.cast(x, dtypes::float32), -largest, largest), to);
  }
  return m.cast(x, to);
}

}  // namespace repose::onnx
