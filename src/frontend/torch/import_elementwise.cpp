// Elementwise arithmetic, comparison and logic, and casts. PyTorch says which dtype the result has:
// operands are cast to it, or for comparisons to the one that they meet in.
#include <cmath>
#include <limits>

#include "frontend/torch/operator_table.h"
#include "frontend/torch/promotion.h"

namespace repose::torch {
namespace {

// ---- One operand

template <Name op>
Result<Operand> unary(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  return c.call(op.chars, {x});
}

// Of whole numbers nothing is to be rounded.
template <Name op>
Result<Operand> rounding(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  return c.dtype(x).is_float() ? c.call(op.chars, {x}) : Result<Operand>(x);
}

// isnan and its kin: a bool of a float.
template <Name op>
Result<Operand> classify(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("self"));
  REPOSE_TRY(x, c.cast(given, c.dtype(given).is_float() ? c.dtype(given) : dtypes::float32));
  return c.call(op.chars, {x});
}

Result<Operand> logical_not(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(truth, c.cast(x, dtypes::boolean));
  return c.call("logical_not", {truth});
}

Result<Operand> bitwise_not(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  return c.call(c.dtype(x).is_bool() ? "logical_not" : "bitwise_not", {x});
}

// A formula over the operand in the result's dtype.
template <Operand (*formula)(Composite&, const Operand&)>
Result<Operand> composed(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  Composite m(c);
  return m.result(formula(m, x));
}

Operand reciprocal(Composite& m, const Operand& x) {
  return m.divide(1.0, x);
}
Operand log2(Composite& m, const Operand& x) {
  return m.multiply(m.unary("log", x), 1 / std::log(2.0));
}
Operand log10(Composite& m, const Operand& x) {
  return m.multiply(m.unary("log", x), 1 / std::log(10.0));
}
// Exact near 0 too: with u = 1 + x, x * log(u) / (u - 1), and x where u is 1.
Operand log1p(Composite& m, const Operand& x) {
  const Operand u = m.add(x, 1.0), d = m.subtract(u, 1.0);
  const Operand safe = m.where(m.equal(d, 0.0), 1.0, d);
  const Operand scaled = m.divide(m.multiply(m.unary("log", u), x), safe);
  const Operand is_infinite = m.unary("isinf", u);
  return m.where(m.equal(d, 0.0), x, m.where(is_infinite, m.unary("log", u), scaled));
}
// 2 * sinh(x / 2) * exp(x / 2)
Operand expm1(Composite& m, const Operand& x) {
  const Operand half = m.multiply(x, 0.5);
  const Operand near = m.multiply(m.multiply(m.unary("sinh", half), 2.0), m.unary("exp", half));
  const Operand far = m.subtract(m.unary("exp", x), 1.0);
  return m.where(m.less(m.unary("abs", x), 0.5), near, far);
}
Operand exp2(Composite& m, const Operand& x) {
  return m.power(2.0, x);
}
Operand erfc(Composite& m, const Operand& x) {
  return m.subtract(1.0, m.unary("erf", x));
}
Operand truncated(Composite& m, const Operand& x) {
  return m.multiply(m.unary("sign", x), m.unary("floor", m.unary("abs", x)));
}
Operand fraction(Composite& m, const Operand& x) {
  return m.subtract(x, truncated(m, x));
}
Operand itself(Composite&, const Operand& x) {
  return x;
}

// ---- Casts and copies

// Of the same elements: dtype and memory format are all that may change.
Result<Operand> copy(NodeContext& c) {
  return operand(c);
}

// The new contents, in the dtype and shape of the old.
Result<Operand> copy_from(NodeContext& c) {
  REPOSE_TRY(self, c.tensor("self"));
  REPOSE_TRY(src, c.tensor("src"));
  REPOSE_TRY(shape, c.shape(self));
  REPOSE_TRY(value, c.cast(src, c.dtype(self)));
  return c.call("broadcast_to", {value, graph::make_shape(shape)});
}

Result<Values> dropout(NodeContext& c) {
  REPOSE_TRY(is_training, c.flag("train", false));
  REPOSE_TRY(p, c.number("p", 0));
  if (is_training && p != 0) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "training is not supported: export the module after `.eval()`");
  }
  REPOSE_TRY(x, c.tensor(c.has("input") ? "input" : "self"));
  return Values{x};
}

// ---- Two operands

// Both arguments in the result's dtype.
Result<Pair> operands(NodeContext& c, std::string_view a = "self", std::string_view b = "other") {
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(x, c.tensor_or_number(a, dtype));
  REPOSE_TRY(y, c.tensor_or_number(b, dtype));
  REPOSE_TRY(x_cast, c.cast(x, dtype));
  REPOSE_TRY(y_cast, c.cast(y, dtype));
  return Pair{x_cast, y_cast};
}

template <Name op>
Result<Operand> binary(NodeContext& c) {
  REPOSE_TRY(p, operands(c));
  return c.call(op.chars, {p.a, p.b});
}

template <Name op>
Result<Operand> compare(NodeContext& c) {
  REPOSE_TRY(p, promoted(c, "self", "other"));
  return c.call(op.chars, {p.a, p.b});
}

template <Name op>
Result<Operand> logical(NodeContext& c) {
  REPOSE_TRY(a, c.tensor("self"));
  REPOSE_TRY(b, c.tensor_or_number("other", dtypes::boolean));
  REPOSE_TRY(x, c.cast(a, dtypes::boolean));
  REPOSE_TRY(y, c.cast(b, dtypes::boolean));
  return c.call(op.chars, {x, y});
}

// Of bits, and of truth values.
template <Name of_bits, Name of_truths>
Result<Operand> bitwise(NodeContext& c) {
  REPOSE_TRY(p, operands(c));
  return c.call(c.dtype(p.a).is_bool() ? of_truths.chars : of_bits.chars, {p.a, p.b});
}

// a op alpha * b; truth values are added by `or` as PyTorch has it.
Result<Operand> sum_of(NodeContext& c, const char* op, std::string_view a, std::string_view b) {
  REPOSE_TRY(p, operands(c, a, b));
  if (c.dtype(p.a).is_bool()) return c.call("logical_or", {p.a, p.b});
  Operand y = p.b;
  if (c.has("alpha")) {
    REPOSE_TRY(alpha, c.tensor_or_number("alpha", c.dtype(y)));
    REPOSE_TRY(scaled, c.call("multiply", {y, alpha}));
    y = scaled;
  }
  return c.call(op, {p.a, y});
}

Result<Operand> add(NodeContext& c) {
  return sum_of(c, "add", "self", "other");
}
Result<Operand> subtract(NodeContext& c) {
  return sum_of(c, "subtract", "self", "other");
}
Result<Operand> subtract_from(NodeContext& c) {
  return sum_of(c, "subtract", "other", "self");
}

Result<Operand> multiply(NodeContext& c) {
  REPOSE_TRY(p, operands(c));
  return c.call(c.dtype(p.a).is_bool() ? "logical_and" : "multiply", {p.a, p.b});
}

Result<Operand> divide(NodeContext& c) {
  REPOSE_TRY(mode, c.string("rounding_mode", ""));
  REPOSE_TRY(p, operands(c));
  Composite m(c);
  if (mode == "floor") return c.call("floor_divide", {p.a, p.b});
  const Operand quotient = m.divide(p.a, p.b);
  if (mode.empty() || !c.dtype(p.a).is_float()) return m.result(quotient);
  return m.result(truncated(m, quotient));
}

Result<Operand> power(NodeContext& c) {
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(base, c.tensor_or_number("self", dtype));
  REPOSE_TRY(x, c.cast(base, dtype));
  const Argument* exponent = c.find("exponent");
  if (exponent && exponent->kind != Argument::Kind::tensor) {
    REPOSE_TRY(known, c.number("exponent", 1));
    if (known == 1) return x;
    if (known == 2) return c.call("multiply", {x, x});
    if (known == 0.5 && dtype.is_float()) return c.call("sqrt", {x});
    if (known == -0.5 && dtype.is_float()) return c.call("rsqrt", {x});
    if (known == 3) {
      REPOSE_TRY(square, c.call("multiply", {x, x}));
      return c.call("multiply", {square, x});
    }
  }
  REPOSE_TRY(y, c.tensor_or_number("exponent", dtype));
  REPOSE_TRY(y_cast, c.cast(y, dtype));
  return c.call("power", {x, y_cast});
}

// The other operand where one is NaN.
template <Name op>
Result<Operand> without_nan(NodeContext& c) {
  REPOSE_TRY(p, operands(c));
  Composite m(c);
  const Operand both = m.binary(op.chars, p.a, p.b);
  if (!c.dtype(p.a).is_float()) return m.result(both);
  return m.result(m.where(m.unary("isnan", p.a), p.b, m.where(m.unary("isnan", p.b), p.a, both)));
}

// The angle of (x, y): atan of the quotient, moved into the quadrant.
Result<Operand> atan2(NodeContext& c) {
  REPOSE_TRY(p, operands(c));
  constexpr double pi = 3.14159265358979323846;
  Composite m(c);
  const Operand y = p.a, x = p.b;
  const Operand quotient = m.unary("atan", m.divide(y, x));
  const Operand below = m.less(y, 0.0);
  const Operand turned = m.where(below, m.subtract(quotient, pi), m.add(quotient, pi));
  const Operand upright = m.multiply(m.unary("sign", y), pi / 2);
  return m.result(m.where(m.greater(x, 0.0), quotient, m.where(m.less(x, 0.0), turned, upright)));
}

// ---- Bounds and choices

Result<Operand> bounded(NodeContext& c, const Operand& x, std::string_view arg, const char* op) {
  if (!c.has(arg)) return x;
  REPOSE_TRY(bound, c.tensor_or_number(arg, c.dtype(x)));
  REPOSE_TRY(limit, c.cast(bound, c.dtype(x)));
  return c.call(op, {x, limit});
}

Result<Operand> clamp(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(low, bounded(c, x, "min", "maximum"));
  return bounded(c, low, "max", "minimum");
}

Result<Operand> where(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("condition"));
  REPOSE_TRY(condition, c.cast(given, dtypes::boolean));
  REPOSE_TRY(p, operands(c));
  return c.call("where", {condition, p.a, p.b});
}

Result<Operand> masked_fill(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(given, c.tensor("mask"));
  REPOSE_TRY(mask, c.cast(given, dtypes::boolean));
  REPOSE_TRY(number, c.tensor_or_number("value", c.dtype(x)));
  REPOSE_TRY(value, c.cast(number, c.dtype(x)));
  return c.call("where", {mask, value, x});
}

Result<Operand> nan_to_num(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  const DType t = c.dtype(x);
  if (!t.is_float()) return x;
  const double largest = t == dtypes::float64    ? std::numeric_limits<double>::max()
                         : t == dtypes::float16  ? 65504.0
                         : t == dtypes::bfloat16 ? 3.3895313892515355e38
                                                 : std::numeric_limits<float>::max();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  REPOSE_TRY(nan, c.number("nan", 0));
  REPOSE_TRY(high, c.number("posinf", largest));
  REPOSE_TRY(low, c.number("neginf", -largest));
  Composite m(c);
  const Operand finite =
      m.where(m.equal(x, infinity), high, m.where(m.equal(x, -infinity), low, x));
  return m.result(m.where(m.unary("isnan", x), nan, finite));
}

// self + value * a op b
template <Name op>
Result<Operand> add_product(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(p, operands(c, "tensor1", "tensor2"));
  REPOSE_TRY(value, c.number("value", 1));
  Composite m(c);
  const Operand product = m.binary(op.chars, p.a, p.b);
  return m.result(m.add(x, value == 1 ? product : m.multiply(product, value)));
}

Result<Operand> lerp(NodeContext& c) {
  REPOSE_TRY(p, operands(c, "self", "end"));
  REPOSE_TRY(weight, c.tensor_or_number("weight", c.dtype(p.a)));
  Composite m(c);
  return m.result(m.add(p.a, m.multiply(m.subtract(p.b, p.a), weight)));
}

// ---- What must hold

Result<Values> assert_size(NodeContext& c) {
  REPOSE_TRY(condition, c.condition("self"));
  REPOSE_TRY(message, c.string("assert_msg", "a condition of the program doesn't hold"));
  std::string text;  // braces would stand for values
  for (char letter : printable(message)) text += letter == '{' || letter == '}' ? ' ' : letter;
  if (auto stated = c.require(condition, text, {}); !stated.ok()) return stated.errors();
  return Values{};
}

Result<Values> nothing(NodeContext&) {
  return Values{};
}

}  // namespace

std::span<const OperatorRow> elementwise_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.__and__.Scalar", one<bitwise<"bitwise_and", "logical_and">>},
      {"aten.__and__.Tensor", one<bitwise<"bitwise_and", "logical_and">>},
      {"aten.__or__.Scalar", one<bitwise<"bitwise_or", "logical_or">>},
      {"aten.__or__.Tensor", one<bitwise<"bitwise_or", "logical_or">>},
      {"aten._assert_async.msg", nothing},
      {"aten._assert_scalar.default", assert_size},
      {"aten._assert_tensor_metadata.default", nothing},
      {"aten._to_copy.default", one<copy>},
      {"aten.abs.default", one<unary<"abs">>},
      {"aten.absolute.default", one<unary<"abs">>},
      {"aten.acos.default", one<unary<"acos">>},
      {"aten.acosh.default", one<unary<"acosh">>},
      {"aten.add.Scalar", one<add>},
      {"aten.add.Tensor", one<add>},
      {"aten.addcdiv.default", one<add_product<"divide">>},
      {"aten.addcmul.default", one<add_product<"multiply">>},
      {"aten.alias.default", one<copy>, Effect::view},
      {"aten.arctan2.default", one<atan2>},
      {"aten.asin.default", one<unary<"asin">>},
      {"aten.asinh.default", one<unary<"asinh">>},
      {"aten.atan.default", one<unary<"atan">>},
      {"aten.atan2.default", one<atan2>},
      {"aten.atanh.default", one<unary<"atanh">>},
      {"aten.bitwise_and.Scalar", one<bitwise<"bitwise_and", "logical_and">>},
      {"aten.bitwise_and.Tensor", one<bitwise<"bitwise_and", "logical_and">>},
      {"aten.bitwise_left_shift.Tensor", one<binary<"left_shift">>},
      {"aten.bitwise_left_shift.Tensor_Scalar", one<binary<"left_shift">>},
      {"aten.bitwise_not.default", one<bitwise_not>},
      {"aten.bitwise_or.Scalar", one<bitwise<"bitwise_or", "logical_or">>},
      {"aten.bitwise_or.Tensor", one<bitwise<"bitwise_or", "logical_or">>},
      {"aten.bitwise_right_shift.Tensor", one<binary<"right_shift">>},
      {"aten.bitwise_right_shift.Tensor_Scalar", one<binary<"right_shift">>},
      {"aten.bitwise_xor.Scalar", one<bitwise<"bitwise_xor", "logical_xor">>},
      {"aten.bitwise_xor.Tensor", one<bitwise<"bitwise_xor", "logical_xor">>},
      {"aten.ceil.default", one<rounding<"ceil">>},
      {"aten.clamp.Tensor", one<clamp>},
      {"aten.clamp.default", one<clamp>},
      {"aten.clamp_max.Tensor", one<clamp>},
      {"aten.clamp_max.default", one<clamp>},
      {"aten.clamp_min.Tensor", one<clamp>},
      {"aten.clamp_min.default", one<clamp>},
      {"aten.clone.default", one<copy>},
      {"aten.contiguous.default", one<copy>, Effect::view},
      {"aten.copy.default", one<copy_from>},
      {"aten.cos.default", one<unary<"cos">>},
      {"aten.cosh.default", one<unary<"cosh">>},
      {"aten.detach.default", one<copy>, Effect::view},
      {"aten.div.Scalar", one<divide>},
      {"aten.div.Scalar_mode", one<divide>},
      {"aten.div.Tensor", one<divide>},
      {"aten.div.Tensor_mode", one<divide>},
      {"aten.divide.Tensor", one<divide>},
      {"aten.dropout.default", dropout, Effect::view},
      {"aten.eq.Scalar", one<compare<"equal">>},
      {"aten.eq.Tensor", one<compare<"equal">>},
      {"aten.erf.default", one<unary<"erf">>},
      {"aten.erfc.default", one<composed<erfc>>},
      {"aten.exp.default", one<unary<"exp">>},
      {"aten.exp2.default", one<composed<exp2>>},
      {"aten.expm1.default", one<composed<expm1>>},
      {"aten.feature_dropout.default", dropout, Effect::view},
      {"aten.floor.default", one<rounding<"floor">>},
      {"aten.floor_divide.Scalar", one<binary<"floor_divide">>},
      {"aten.floor_divide.default", one<binary<"floor_divide">>},
      {"aten.fmax.default", one<without_nan<"maximum">>},
      {"aten.fmin.default", one<without_nan<"minimum">>},
      {"aten.fmod.Scalar", one<binary<"mod">>},
      {"aten.fmod.Tensor", one<binary<"mod">>},
      {"aten.frac.default", one<composed<fraction>>},
      {"aten.ge.Scalar", one<compare<"greater_equal">>},
      {"aten.ge.Tensor", one<compare<"greater_equal">>},
      {"aten.greater.Scalar", one<compare<"greater">>},
      {"aten.greater.Tensor", one<compare<"greater">>},
      {"aten.gt.Scalar", one<compare<"greater">>},
      {"aten.gt.Tensor", one<compare<"greater">>},
      {"aten.isfinite.default", one<classify<"isfinite">>},
      {"aten.isinf.default", one<classify<"isinf">>},
      {"aten.isnan.default", one<classify<"isnan">>},
      {"aten.le.Scalar", one<compare<"less_equal">>},
      {"aten.le.Tensor", one<compare<"less_equal">>},
      {"aten.lerp.Scalar", one<lerp>},
      {"aten.lerp.Tensor", one<lerp>},
      {"aten.less.Scalar", one<compare<"less">>},
      {"aten.less.Tensor", one<compare<"less">>},
      {"aten.lift_fresh_copy.default", one<copy>},
      {"aten.log.default", one<unary<"log">>},
      {"aten.log10.default", one<composed<log10>>},
      {"aten.log1p.default", one<composed<log1p>>},
      {"aten.log2.default", one<composed<log2>>},
      {"aten.logical_and.default", one<logical<"logical_and">>},
      {"aten.logical_not.default", one<logical_not>},
      {"aten.logical_or.default", one<logical<"logical_or">>},
      {"aten.logical_xor.default", one<logical<"logical_xor">>},
      {"aten.lt.Scalar", one<compare<"less">>},
      {"aten.lt.Tensor", one<compare<"less">>},
      {"aten.masked_fill.Scalar", one<masked_fill>},
      {"aten.masked_fill.Tensor", one<masked_fill>},
      {"aten.max.other", one<binary<"maximum">>},
      {"aten.maximum.default", one<binary<"maximum">>},
      {"aten.min.other", one<binary<"minimum">>},
      {"aten.minimum.default", one<binary<"minimum">>},
      {"aten.mul.Scalar", one<multiply>},
      {"aten.mul.Tensor", one<multiply>},
      {"aten.multiply.Scalar", one<multiply>},
      {"aten.multiply.Tensor", one<multiply>},
      {"aten.nan_to_num.default", one<nan_to_num>},
      {"aten.native_dropout.default", dropout, Effect::view},
      {"aten.ne.Scalar", one<compare<"not_equal">>},
      {"aten.ne.Tensor", one<compare<"not_equal">>},
      {"aten.neg.default", one<unary<"negative">>},
      {"aten.negative.default", one<unary<"negative">>},
      {"aten.not_equal.Scalar", one<compare<"not_equal">>},
      {"aten.not_equal.Tensor", one<compare<"not_equal">>},
      {"aten.positive.default", one<composed<itself>>, Effect::view},
      {"aten.pow.Scalar", one<power>},
      {"aten.pow.Tensor_Scalar", one<power>},
      {"aten.pow.Tensor_Tensor", one<power>},
      {"aten.reciprocal.default", one<composed<reciprocal>>},
      {"aten.remainder.Scalar", one<binary<"floor_mod">>},
      {"aten.remainder.Tensor", one<binary<"floor_mod">>},
      {"aten.round.default", one<rounding<"round">>},
      {"aten.rsqrt.default", one<unary<"rsqrt">>},
      {"aten.rsub.Scalar", one<subtract_from>},
      {"aten.rsub.Tensor", one<subtract_from>},
      {"aten.sigmoid.default", one<unary<"sigmoid">>},
      {"aten.sign.default", one<unary<"sign">>},
      {"aten.sin.default", one<unary<"sin">>},
      {"aten.sinh.default", one<unary<"sinh">>},
      {"aten.sqrt.default", one<unary<"sqrt">>},
      {"aten.square.default", one<unary<"square">>},
      {"aten.sub.Scalar", one<subtract>},
      {"aten.sub.Tensor", one<subtract>},
      {"aten.subtract.Scalar", one<subtract>},
      {"aten.subtract.Tensor", one<subtract>},
      {"aten.sym_constrain_range.default", nothing},
      {"aten.sym_constrain_range_for_size.default", nothing},
      {"aten.tan.default", one<unary<"tan">>},
      {"aten.tanh.default", one<unary<"tanh">>},
      {"aten.to.device", one<copy>, Effect::view},
      {"aten.to.dtype", one<copy>, Effect::view},
      {"aten.to.dtype_layout", one<copy>, Effect::view},
      {"aten.to.other", one<copy>, Effect::view},
      {"aten.true_divide.Tensor", one<divide>},
      {"aten.trunc.default", one<composed<truncated>>},
      {"aten.type_as.default", one<copy>, Effect::view},
      {"aten.where.Scalar", one<where>},
      {"aten.where.ScalarOther", one<where>},
      {"aten.where.ScalarSelf", one<where>},
      {"aten.where.self", one<where>},
  };
  return rows;
}

}  // namespace repose::torch
