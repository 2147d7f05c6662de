// Elementwise operators of one operand: y[i] = f(x[i]).
//   C1: the operand's dtype is one that the operator takes.
//   C2: the result has the operand's shape; its dtype is the operand's (bool for isfinite, isinf,
//   isnan).
#include "ops/ops.h"
#include "ops/type_rules.h"

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

}  // namespace

#define UNARY(op, accept, to_bool, f, text)                         \
  const OpDef& op_##op() {                                          \
    static const OpDef def{.name = #op,                             \
                           .args = {{"x"}},                         \
                           .infer = infer_unary<accept, to_bool>,   \
                           .lower = te::lower<unary_rule<f>>,       \
                           .elements = te::elements<unary_rule<f>>, \
                           .doc = text};                            \
    return def;                                                     \
  }

UNARY(abs, is_number_dtype, false, apply<Intrinsic::abs>,
      "absolute value; of the smallest integer: itself")
UNARY(acos, is_float_dtype, false, apply<Intrinsic::acos>, "arc cosine")
UNARY(acosh, is_float_dtype, false, apply<Intrinsic::acosh>, "inverse hyperbolic cosine")
UNARY(asin, is_float_dtype, false, apply<Intrinsic::asin>, "arc sine")
UNARY(asinh, is_float_dtype, false, apply<Intrinsic::asinh>, "inverse hyperbolic sine")
UNARY(atan, is_float_dtype, false, apply<Intrinsic::atan>, "arc tangent")
UNARY(atanh, is_float_dtype, false, apply<Intrinsic::atanh>, "inverse hyperbolic tangent")
UNARY(ceil, is_float_dtype, false, apply<Intrinsic::ceil>, "the smallest integer not below")
UNARY(cos, is_float_dtype, false, apply<Intrinsic::cos>, "cosine")
UNARY(cosh, is_float_dtype, false, apply<Intrinsic::cosh>, "hyperbolic cosine")
UNARY(erf, is_float_dtype, false, apply<Intrinsic::erf>, "error function")
UNARY(exp, is_float_dtype, false, apply<Intrinsic::exp>, "exponential")
UNARY(floor, is_float_dtype, false, apply<Intrinsic::floor>, "the largest integer not above")
UNARY(log, is_float_dtype, false, apply<Intrinsic::log>, "natural logarithm")
UNARY(negative, is_number_dtype, false, negate, "negation; integers wrap")
UNARY(round, is_float_dtype, false, apply<Intrinsic::round>, "the nearest integer, halves to even")
UNARY(rsqrt, is_float_dtype, false, apply<Intrinsic::rsqrt>, "1 / square root")
UNARY(sigmoid, is_float_dtype, false, apply<Intrinsic::sigmoid>, "1 / (1 + exp(-x))")
UNARY(sign, is_number_dtype, false, sign, "-1, 0 or 1; NaN stays NaN")
UNARY(sin, is_float_dtype, false, apply<Intrinsic::sin>, "sine")
UNARY(sinh, is_float_dtype, false, apply<Intrinsic::sinh>, "hyperbolic sine")
UNARY(sqrt, is_float_dtype, false, apply<Intrinsic::sqrt>, "square root")
UNARY(square, is_number_dtype, false, square, "x * x")
UNARY(tan, is_float_dtype, false, apply<Intrinsic::tan>, "tangent")
UNARY(tanh, is_float_dtype, false, apply<Intrinsic::tanh>, "hyperbolic tangent")
UNARY(trunc, is_float_dtype, false, apply<Intrinsic::trunc>, "the nearest integer towards 0")
UNARY(isfinite, is_float_dtype, true, apply<Intrinsic::isfinite>, "neither infinite nor NaN")
UNARY(isinf, is_float_dtype, true, apply<Intrinsic::isinf>, "infinite")
UNARY(isnan, is_float_dtype, true, apply<Intrinsic::isnan>, "not a number")
UNARY(logical_not, is_bool_dtype, false, not_, "logical negation")
UNARY(bitwise_not, is_integer_dtype, false, bit_not, "every bit inverted")

}  // namespace repose
