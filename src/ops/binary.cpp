// Elementwise operators of two operands with broadcasting: y[i] = f(a[i'], b[i'']).
//   C1: both operands have one dtype, which the operator takes.
//   C2: the shapes broadcast (type_rules.h); the result has the broadcast shape.
//   C3: the result's dtype is the operands', bool for comparisons.
#include "ops/gradient.h"

namespace repose {

namespace {

bool is_any(DType) {
  return true;
}

template <bool (*accept)(DType), bool to_bool>
Result<Type> infer_binary(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 1));  // C1
  const char* expected = accept == is_float_dtype     ? "a float"
                         : accept == is_number_dtype  ? "a number"
                         : accept == is_integer_dtype ? "an integer"
                                                      : "bool";
  auto accepted = dtype_arg(context, call, 0, accept, expected);
  if (!accepted.ok()) return accepted.errors();
  const DType out = to_bool ? dtypes::boolean : dtype;  // C3
  REPOSE_TRY(a, tensor_arg(context, call, 0));
  REPOSE_TRY(b, tensor_arg(context, call, 1));
  const std::string device = a->device == b->device ? a->device : "";
  if (!a->shape || !b->shape) {
    int rank = a->rank >= 0 && b->rank >= 0 ? std::max(a->rank, b->rank) : -1;
    return tensor_type_of_rank(rank, out, device);
  }
  REPOSE_TRY(shape, broadcast_shapes(context, call.op->name, *a->shape, *b->shape));  // C2
  return tensor_type(shape, out, {}, device);
}

template <Expr (*f)(const Expr&, const Expr&)>
std::vector<te::Tensor> binary_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const Dims& shape = result_shape(call);
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        return f(broadcast_load(in[0], shape, i), broadcast_load(in[1], shape, i));
      },
      std::string(call.op->name))};
}

template <ExprKind kind>
Expr apply(const Expr& a, const Expr& b) {
  return make_binary(kind, a, b);
}
Expr power(const Expr& a, const Expr& b) {
  return make_call(Intrinsic::pow, a, b);
}
Expr divide_down(const Expr& a, const Expr& b) {
  return a->dtype.is_float() ? make_call(Intrinsic::floor, make_binary(ExprKind::div, a, b))
                             : make_binary(ExprKind::floor_div, a, b);
}
// The result has the sign of the divisor, as Python's % has.
Expr modulo_down(const Expr& a, const Expr& b) {
  if (!a->dtype.is_float()) return make_binary(ExprKind::floor_mod, a, b);
  Expr r = make_binary(ExprKind::mod, a, b), zero = make_float(0, a->dtype);
  Expr opposite = ne(lt(r, zero), lt(b, zero));
  return make_select(logical_and(ne(r, zero), opposite), r + b, r);
}
Expr arc_tangent(const Expr& a, const Expr& b) {
  return make_call(Intrinsic::atan2, a, b);
}
// The larger + log1p(exp(-|a - b|)), in float32 at least; equal infinities stay themselves.
Expr log_of_sum(const Expr& a, const Expr& b) {
  const DType dtype = a->dtype, wide = accumulator_dtype(dtype);
  const Expr x = make_cast(wide, a), y = make_cast(wide, b);
  const Expr distance = make_call(Intrinsic::abs, x - y);
  const Expr less = make_call(Intrinsic::exp, make_float(0, wide) - distance);
  const Expr same = make_float(0.69314718055994530942, wide);
  return make_cast(dtype,
                   max(x, y) + make_select(eq(x, y), same, make_call(Intrinsic::log1p, less)));
}
Expr exclusive_or(const Expr& a, const Expr& b) {
  return ne(a, b);
}

// What flows into a and b of g, the gradient in y = f(a, b), before it is summed over what was
// broadcast. Where the larger or smaller of equal ones is asked for, it is a.
struct Flows {
  graph::Value into_a, into_b;
};
using F = const Formula&;
Flows flows_of_add(F g, F, F, F) {
  return {g, g};
}
Flows flows_of_subtract(F g, F, F, F) {
  return {g, -g};
}
Flows flows_of_multiply(F g, F a, F b, F) {
  return {g * b, g * a};
}
Flows flows_of_divide(F g, F, F b, F y) {
  const Formula quotient = g / b;
  return {quotient, -(quotient * y)};
}
// y = a - n * b, where n is constant between jumps.
Flows flows_of_mod(F g, F a, F b, F) {
  return {g, -(g * apply_op(op_trunc(), a / b))};
}
Flows flows_of_floor_mod(F g, F a, F b, F) {
  return {g, -(g * apply_op(op_floor(), a / b))};
}
// Without 0 * infinity where b = 0 or a = 0.
Flows flows_of_power(F g, F a, F b, F y) {
  const Formula zero = scalar_constant(a.dtype(), 0), one = scalar_constant(a.dtype(), 1);
  const Formula of_zero = is_equal(a, 0);
  return {choose(is_equal(b, 0), zero, g * b * apply_op(op_power(), a, b - 1)),
          choose(of_zero, zero, g * y * apply_op(op_log(), choose(of_zero, one, a)))};
}
Flows flows_of_atan2(F g, F a, F b, F) {
  const Formula scaled = g / (a * a + b * b);
  return {scaled * b, -(scaled * a)};
}
Flows flows_of_log_add_exp(F g, F a, F b, F y) {
  return {g * apply_op(op_exp(), a - y), g * apply_op(op_exp(), b - y)};
}
Flows flows_of_maximum(F g, F a, F b, F) {
  const Formula zero = scalar_constant(a.dtype(), 0);
  return {choose(a < b, zero, g), choose(a < b, g, zero)};
}
Flows flows_of_minimum(F g, F a, F b, F) {
  const Formula zero = scalar_constant(a.dtype(), 0);
  return {choose(b < a, zero, g), choose(b < a, g, zero)};
}

template <Flows (*flows)(F g, F a, F b, F y)>
Gradients binary_gradient(Builder&, const Pullback& p) {
  const Flows f = flows(p.gradients[0], p.call.args[0], p.call.args[1], p.result);
  const Dims& shape = result_shape(p.call);
  return std::vector<graph::Value>{collapsed(f.into_a, shape, shape_of_arg(p.call, 0)),
                                   collapsed(f.into_b, shape, shape_of_arg(p.call, 1))};
}

}  // namespace

#define BINARY(op, accept, to_bool, f, flows, text)                  \
  const OpDef& op_##op() {                                           \
    static const OpDef def{.name = #op,                              \
                           .args = {{"a"}, {"b"}},                   \
                           .infer = infer_binary<accept, to_bool>,   \
                           .lower = te::lower<binary_rule<f>>,       \
                           .elements = te::elements<binary_rule<f>>, \
                           .gradient = flows,                        \
                           .doc = text};                             \
    return def;                                                      \
  }

BINARY(add, is_number_dtype, false, apply<ExprKind::add>, binary_gradient<flows_of_add>, "a + b")
BINARY(subtract, is_number_dtype, false, apply<ExprKind::sub>, binary_gradient<flows_of_subtract>,
       "a - b")
BINARY(multiply, is_number_dtype, false, apply<ExprKind::mul>, binary_gradient<flows_of_multiply>,
       "a * b")
BINARY(divide, is_number_dtype, false, apply<ExprKind::div>, binary_gradient<flows_of_divide>,
       "a / b; integers round to zero, x / 0 is 0")
BINARY(floor_divide, is_number_dtype, false, divide_down, no_gradient, "a / b rounded down")
BINARY(mod, is_number_dtype, false, apply<ExprKind::mod>, binary_gradient<flows_of_mod>,
       "remainder with the sign of a (fmod)")
BINARY(floor_mod, is_number_dtype, false, modulo_down, binary_gradient<flows_of_floor_mod>,
       "remainder with the sign of b")
BINARY(power, is_number_dtype, false, power, binary_gradient<flows_of_power>, "a to the power of b")
BINARY(atan2, is_float_dtype, false, arc_tangent, binary_gradient<flows_of_atan2>,
       "angle of the point (b, a), in [-pi, pi]")
BINARY(log_add_exp, is_float_dtype, false, log_of_sum, binary_gradient<flows_of_log_add_exp>,
       "log(exp(a) + exp(b))")
BINARY(maximum, is_number_dtype, false, apply<ExprKind::max>, binary_gradient<flows_of_maximum>,
       "the larger; NaN wins")
BINARY(minimum, is_number_dtype, false, apply<ExprKind::min>, binary_gradient<flows_of_minimum>,
       "the smaller; NaN wins")
BINARY(equal, is_any, true, apply<ExprKind::eq>, nullptr, "a == b")
BINARY(not_equal, is_any, true, apply<ExprKind::ne>, nullptr, "a != b")
BINARY(less, is_number_dtype, true, apply<ExprKind::lt>, nullptr, "a < b")
BINARY(less_equal, is_number_dtype, true, apply<ExprKind::le>, nullptr, "a <= b")
BINARY(greater, is_number_dtype, true, apply<ExprKind::gt>, nullptr, "a > b")
BINARY(greater_equal, is_number_dtype, true, apply<ExprKind::ge>, nullptr, "a >= b")
BINARY(logical_and, is_bool_dtype, false, apply<ExprKind::logical_and>, nullptr, "a and b")
BINARY(logical_or, is_bool_dtype, false, apply<ExprKind::logical_or>, nullptr, "a or b")
BINARY(logical_xor, is_bool_dtype, false, exclusive_or, nullptr, "exactly one of a, b")
BINARY(bitwise_and, is_integer_dtype, false, apply<ExprKind::bit_and>, nullptr, "bits in both")
BINARY(bitwise_or, is_integer_dtype, false, apply<ExprKind::bit_or>, nullptr, "bits in one or both")
BINARY(bitwise_xor, is_integer_dtype, false, apply<ExprKind::bit_xor>, nullptr,
       "bits in exactly one")
BINARY(left_shift, is_integer_dtype, false, apply<ExprKind::shift_left>, nullptr,
       "a << (b modulo the width)")
BINARY(right_shift, is_integer_dtype, false, apply<ExprKind::shift_right>, nullptr,
       "a >> (b modulo the width)")

}  // namespace repose
