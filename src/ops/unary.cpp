// Elementwise operators of one operand: y[i] = f(x[i]). What jumps between constants has the
// gradient 0; what takes or gives no floats has none.
//   C1: the operand's dtype is one that the operator takes.
//   C2: the result has the operand's shape; its dtype is the operand's (bool for isfinite, isinf,
//   isnan).
#include "ops/gradient.h"

namespace repose {

namespace {

template <bool (*accept)(DType), bool to_bool>
Result<Type> infer_unary(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const char* expected = accept == is_float_dtype    ? "a float"
                         : accept == is_number_dtype ? "a number"
                         : accept == is_bool_dtype   ? "bool"
                                                     : "an integer";
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, accept, expected));  // C1
  DType out = to_bool ? dtypes::boolean : dtype;
  if (!x->shape) return tensor_type_of_rank(x->rank, out, x->device);
  return tensor_type(*x->shape, out, {}, x->device);  // C2
}

template <Expr (*f)(const Expr&)>
std::vector<te::Tensor> unary_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  return {te::compute(
      in[0].shape(), [&](const te::Indices& i) { return f(in[0](i)); },
      std::string(call.op->name))};
}

template <Intrinsic intrinsic>
Expr apply(const Expr& x) {
  return make_call(intrinsic, x);
}
Expr negate(const Expr& x) {
  // -0.0 - x would turn 0.0 into -0.0 only with this operand order: 0.0 -> -0.0, as IEEE negation
  // does.
  return x->dtype.is_float() ? make_float(-0.0, x->dtype) - x : make_int(0, x->dtype) - x;
}
Expr square(const Expr& x) {
  return x * x;
}
Expr not_(const Expr& x) {
  return make_not(x);
}
Expr bit_not(const Expr& x) {
  return make_bit_not(x);
}
Expr sign(const Expr& x) {
  Expr zero = make_const(x->dtype, 0), one = make_const(x->dtype, 1);
  if (x->dtype.is_uint()) return make_select(eq(x, zero), zero, one);
  // NaN and zero stay themselves.
  return make_select(lt(zero, x), one, make_select(lt(x, zero), make_const(x->dtype, -1), x));
}

// Derivatives, given x and y = f(x).
Formula slope_of_abs(const Formula& x, const Formula&) {
  return apply_op(op_sign(), x);
}
Formula slope_of_acos(const Formula& x, const Formula&) {
  return -1.0 / apply_op(op_sqrt(), 1.0 - x * x);
}
Formula slope_of_acosh(const Formula& x, const Formula&) {
  return 1.0 / (apply_op(op_sqrt(), x - 1) * apply_op(op_sqrt(), x + 1));
}
Formula slope_of_asin(const Formula& x, const Formula&) {
  return 1.0 / apply_op(op_sqrt(), 1.0 - x * x);
}
Formula slope_of_asinh(const Formula& x, const Formula&) {
  return 1.0 / apply_op(op_sqrt(), x * x + 1);
}
Formula slope_of_atan(const Formula& x, const Formula&) {
  return 1.0 / (x * x + 1);
}
Formula slope_of_atanh(const Formula& x, const Formula&) {
  return 1.0 / (1.0 - x * x);
}
Formula slope_of_cos(const Formula& x, const Formula&) {
  return -apply_op(op_sin(), x);
}
Formula slope_of_cosh(const Formula& x, const Formula&) {
  return apply_op(op_sinh(), x);
}
Formula slope_of_erf(const Formula& x, const Formula&) {
  return apply_op(op_exp(), -(x * x)) * 1.12837916709551257390;
}
Formula slope_of_exp(const Formula&, const Formula& y) {
  return y;
}
Formula slope_of_log(const Formula& x, const Formula&) {
  return 1.0 / x;
}
Formula slope_of_rsqrt(const Formula&, const Formula& y) {
  return y * y * y * -0.5;
}
Formula slope_of_sigmoid(const Formula&, const Formula& y) {
  return y * (1.0 - y);
}
Formula slope_of_sin(const Formula& x, const Formula&) {
  return apply_op(op_cos(), x);
}
Formula slope_of_sinh(const Formula& x, const Formula&) {
  return apply_op(op_cosh(), x);
}
Formula slope_of_sqrt(const Formula&, const Formula& y) {
  return 0.5 / y;
}
Formula slope_of_square(const Formula& x, const Formula&) {
  return x * 2;
}
Formula slope_of_tan(const Formula&, const Formula& y) {
  return y * y + 1;
}
Formula slope_of_tanh(const Formula&, const Formula& y) {
  return 1.0 - y * y;
}
Formula slope_of_negative(const Formula& x, const Formula&) {
  return scalar_constant(x.dtype(), -1);
}

}  // namespace

#define UNARY(op, accept, to_bool, f, derivative, text)             \
  const OpDef& op_##op() {                                          \
    static const OpDef def{.name = #op,                             \
                           .args = {{"x"}},                         \
                           .infer = infer_unary<accept, to_bool>,   \
                           .lower = te::lower<unary_rule<f>>,       \
                           .elements = te::elements<unary_rule<f>>, \
                           .gradient = derivative,                  \
                           .doc = text};                            \
    return def;                                                     \
  }

UNARY(abs, is_number_dtype, false, apply<Intrinsic::abs>, unary_gradient<slope_of_abs>,
      "absolute value; of the smallest integer: itself")
UNARY(acos, is_float_dtype, false, apply<Intrinsic::acos>, unary_gradient<slope_of_acos>,
      "arc cosine")
UNARY(acosh, is_float_dtype, false, apply<Intrinsic::acosh>, unary_gradient<slope_of_acosh>,
      "inverse hyperbolic cosine")
UNARY(asin, is_float_dtype, false, apply<Intrinsic::asin>, unary_gradient<slope_of_asin>,
      "arc sine")
UNARY(asinh, is_float_dtype, false, apply<Intrinsic::asinh>, unary_gradient<slope_of_asinh>,
      "inverse hyperbolic sine")
UNARY(atan, is_float_dtype, false, apply<Intrinsic::atan>, unary_gradient<slope_of_atan>,
      "arc tangent")
UNARY(atanh, is_float_dtype, false, apply<Intrinsic::atanh>, unary_gradient<slope_of_atanh>,
      "inverse hyperbolic tangent")
UNARY(ceil, is_float_dtype, false, apply<Intrinsic::ceil>, no_gradient,
      "the smallest integer not below")
UNARY(cos, is_float_dtype, false, apply<Intrinsic::cos>, unary_gradient<slope_of_cos>, "cosine")
UNARY(cosh, is_float_dtype, false, apply<Intrinsic::cosh>, unary_gradient<slope_of_cosh>,
      "hyperbolic cosine")
UNARY(erf, is_float_dtype, false, apply<Intrinsic::erf>, unary_gradient<slope_of_erf>,
      "error function")
UNARY(exp, is_float_dtype, false, apply<Intrinsic::exp>, unary_gradient<slope_of_exp>,
      "exponential")
UNARY(floor, is_float_dtype, false, apply<Intrinsic::floor>, no_gradient,
      "the largest integer not above")
UNARY(log, is_float_dtype, false, apply<Intrinsic::log>, unary_gradient<slope_of_log>,
      "natural logarithm")
UNARY(negative, is_number_dtype, false, negate, unary_gradient<slope_of_negative>,
      "negation; integers wrap")
UNARY(round, is_float_dtype, false, apply<Intrinsic::round>, no_gradient,
      "the nearest integer, halves to even")
UNARY(rsqrt, is_float_dtype, false, apply<Intrinsic::rsqrt>, unary_gradient<slope_of_rsqrt>,
      "1 / square root")
UNARY(sigmoid, is_float_dtype, false, apply<Intrinsic::sigmoid>, unary_gradient<slope_of_sigmoid>,
      "1 / (1 + exp(-x))")
UNARY(sign, is_number_dtype, false, sign, no_gradient, "-1, 0 or 1; NaN stays NaN")
UNARY(sin, is_float_dtype, false, apply<Intrinsic::sin>, unary_gradient<slope_of_sin>, "sine")
UNARY(sinh, is_float_dtype, false, apply<Intrinsic::sinh>, unary_gradient<slope_of_sinh>,
      "hyperbolic sine")
UNARY(sqrt, is_float_dtype, false, apply<Intrinsic::sqrt>, unary_gradient<slope_of_sqrt>,
      "square root")
UNARY(square, is_number_dtype, false, square, unary_gradient<slope_of_square>, "x * x")
UNARY(tan, is_float_dtype, false, apply<Intrinsic::tan>, unary_gradient<slope_of_tan>, "tangent")
UNARY(tanh, is_float_dtype, false, apply<Intrinsic::tanh>, unary_gradient<slope_of_tanh>,
      "hyperbolic tangent")
UNARY(trunc, is_float_dtype, false, apply<Intrinsic::trunc>, no_gradient,
      "the nearest integer towards 0")
UNARY(isfinite, is_float_dtype, true, apply<Intrinsic::isfinite>, nullptr,
      "neither infinite nor NaN")
UNARY(isinf, is_float_dtype, true, apply<Intrinsic::isinf>, nullptr, "infinite")
UNARY(isnan, is_float_dtype, true, apply<Intrinsic::isnan>, nullptr, "not a number")
UNARY(logical_not, is_bool_dtype, false, not_, nullptr, "logical negation")
UNARY(bitwise_not, is_integer_dtype, false, bit_not, nullptr, "every bit inverted")

}  // namespace repose
