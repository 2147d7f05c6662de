// Elementwise functions that networks use between layers: y[i] = f(x[i]), one formula each.
//     C1: the operand is a float (nn.relu takes integers too).
//     C2: the result has its shape and dtype. float16 and bfloat16 compute in float32 and round
//         once.
//   nn.prelu: y = x < 0 ? slope * x : x.
//     C3: the slope has x's dtype and the extent of dimension `axis` of x, or 1.
#include <cmath>
#include <limits>

#include "ops/gradient.h"

namespace repose {

namespace {

template <bool (*accept)(DType)>
Result<Type> infer_activation(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, accept,  // C1
                              accept == is_float_dtype ? "a float" : "a number"));
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  return tensor_like(*x, *x->shape, dtype);  // C2
}

template <Expr (*f)(const Expr&, const Attrs&)>
std::vector<te::Tensor> activation_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const DType dtype = in[0].dtype(), wide = accumulator_dtype(dtype);
  std::string name(call.op->name.substr(3));  // without "nn."
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        return make_cast(dtype, f(make_cast(wide, in[0](i)), call.attrs));
      },
      std::move(name))};
}

Expr number(const Expr& like, double value) {
  return make_const(like->dtype, value);
}
Expr quotient(const Expr& a, const Expr& b) {
  return make_binary(ExprKind::div, a, b);
}
Expr exp_of(const Expr& x) {
  return make_call(Intrinsic::exp, x);
}
Expr log1p_of(const Expr& x) {
  return make_call(Intrinsic::log1p, x);
}
Expr tanh_of(const Expr& x) {
  return make_call(Intrinsic::tanh, x);
}
Expr sigmoid_of(const Expr& x) {
  return make_call(Intrinsic::sigmoid, x);
}
Expr expm1_of(const Expr& x) {
  return make_call(Intrinsic::expm1, x);
}
Expr is_negative(const Expr& x) {
  return lt(x, number(x, 0));
}
// The operand where it is negative, else 0: for functions that would overflow on the side not
// taken.
Expr negative_part(const Expr& x) {
  return min(x, number(x, 0));
}

Expr relu(const Expr& x, const Attrs&) {
  return max(x, number(x, 0));
}
Expr relu6(const Expr& x, const Attrs&) {
  return min(max(x, number(x, 0)), number(x, 6));
}
Expr leakyrelu(const Expr& x, const Attrs& a) {
  return make_select(is_negative(x), x * number(x, a.get_float("alpha")), x);
}
Expr thresholded_relu(const Expr& x, const Attrs& a) {
  return make_select(lt(number(x, a.get_float("alpha")), x), x, number(x, 0));
}
Expr elu(const Expr& x, const Attrs& a) {
  return make_select(is_negative(x), number(x, a.get_float("alpha")) * expm1_of(negative_part(x)),
                     x);
}
Expr celu(const Expr& x, const Attrs& a) {
  const Expr alpha = number(x, a.get_float("alpha"));
  return make_select(is_negative(x), alpha * expm1_of(quotient(negative_part(x), alpha)), x);
}
Expr selu(const Expr& x, const Attrs& a) {
  const Expr gamma = number(x, a.get_float("gamma"));
  return gamma * elu(x, a);
}
Expr gelu(const Expr& x, const Attrs&) {
  const Expr phi = number(x, 1) + make_call(Intrinsic::erf, x * number(x, 0.70710678118654752440));
  return x * number(x, 0.5) * phi;
}
Expr gelu_tanh(const Expr& x, const Attrs&) {
  const Expr inner = number(x, 0.79788456080286535588) * (x + number(x, 0.044715) * x * x * x);
  return x * number(x, 0.5) * (number(x, 1) + tanh_of(inner));
}
Expr silu(const Expr& x, const Attrs&) {
  return x * sigmoid_of(x);
}
// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))
Expr log_one_plus_exp(const Expr& x) {
  return max(x, number(x, 0)) + log1p_of(exp_of(number(x, 0) - make_call(Intrinsic::abs, x)));
}
Expr softplus(const Expr& x, const Attrs& a) {
  const double beta = a.get_float("beta"), threshold = a.get_float("threshold");
  const Expr scaled = beta == 1 ? x : x * number(x, beta);
  Expr y = log_one_plus_exp(scaled);
  if (beta != 1) y = quotient(y, number(x, beta));
  return std::isinf(threshold) ? y : make_select(lt(number(x, threshold), scaled), x, y);
}
Expr softsign(const Expr& x, const Attrs&) {
  return quotient(x, number(x, 1) + make_call(Intrinsic::abs, x));
}
Expr hard_sigmoid(const Expr& x, const Attrs& a) {
  const Expr y = x * number(x, a.get_float("alpha")) + number(x, a.get_float("beta"));
  return min(max(y, number(x, 0)), number(x, 1));
}
Expr hard_swish(const Expr& x, const Attrs& a) {
  return x * hard_sigmoid(x, a);
}
Expr mish(const Expr& x, const Attrs&) {
  return x * tanh_of(log_one_plus_exp(x));
}

Result<Type> infer_prelu(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(type, infer_activation<is_float_dtype>(context, call));
  auto same = common_dtype(context, call, 0, 1);
  if (!same.ok()) return same.errors();
  REPOSE_REQUIRE(require_rank(context, call, 1, 1));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(slope, tensor_arg(context, call, 1));
  if (!x->shape || !slope->shape) return type;
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  const Expr &have = (*slope->shape)[0], &want = (*x->shape)[static_cast<size_t>(axis)];
  REPOSE_REQUIRE(context.require(  // C3
      logical_or(eq(have, make_int(1)), eq(have, want)),
      fmt::format("`nn.prelu`: the slope has {{0}} elements, dimension {} of x is {{1}}", axis),
      {have, want}));
  return type;
}

std::vector<te::Tensor> prelu_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &slope = in[1];
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  return {te::compute(
      x.shape(),
      [&](const te::Indices& i) {
        const Expr value = make_cast(wide, x(i));
        const Expr at = broadcast_index(slope.shape()[0], x.shape()[axis], i[axis]);
        return make_cast(
            dtype, make_select(is_negative(value), value * make_cast(wide, slope(at)), value));
      },
      "prelu")};
}

// The same functions as formulas, which have gradients. The side of a choice that isn't taken stays
// finite, and 0 belongs to the side of constants.
using Parameters = const Attrs&;
Formula zero_like(const Formula& x) {
  return scalar_constant(x.dtype(), 0);
}
Formula formula_of_relu(const Formula& x, Parameters) {
  return choose(x > 0, x, zero_like(x));
}
Formula clamped(const Formula& x, double low, double high) {
  const Formula top = scalar_constant(x.dtype(), high), bottom = scalar_constant(x.dtype(), low);
  return choose(x > low, choose(x < high, x, top), bottom);
}
Formula formula_of_relu6(const Formula& x, Parameters) {
  return clamped(x, 0, 6);
}
Formula formula_of_leakyrelu(const Formula& x, Parameters a) {
  return choose(x > 0, x, x * a.get_float("alpha"));
}
Formula formula_of_thresholded_relu(const Formula& x, Parameters a) {
  return choose(x > a.get_float("alpha"), x, zero_like(x));
}
Formula exponential_unit(const Formula& x, double alpha, double width) {
  const Formula below = choose(x > 0, zero_like(x), x);
  return choose(x > 0, x, (apply_op(op_exp(), below / width) - 1) * alpha);
}
Formula formula_of_elu(const Formula& x, Parameters a) {
  return exponential_unit(x, a.get_float("alpha"), 1);
}
Formula formula_of_celu(const Formula& x, Parameters a) {
  return exponential_unit(x, a.get_float("alpha"), a.get_float("alpha"));
}
Formula formula_of_selu(const Formula& x, Parameters a) {
  return formula_of_elu(x, a) * a.get_float("gamma");
}
Formula formula_of_gelu(const Formula& x, Parameters) {
  return x * 0.5 * (apply_op(op_erf(), x * 0.70710678118654752440) + 1);
}
Formula formula_of_gelu_tanh(const Formula& x, Parameters) {
  const Formula inner = (x + x * x * x * 0.044715) * 0.79788456080286535588;
  return x * 0.5 * (apply_op(op_tanh(), inner) + 1);
}
Formula formula_of_silu(const Formula& x, Parameters) {
  return x * apply_op(op_sigmoid(), x);
}
Formula formula_of_softplus(const Formula& x, Parameters a) {
  const double beta = a.get_float("beta"), threshold = a.get_float("threshold");
  const Formula y = apply_op(op_log_add_exp(), x * beta, zero_like(x)) / beta;
  return std::isinf(threshold) ? y : choose(x * beta > threshold, x, y);
}
Formula formula_of_softsign(const Formula& x, Parameters) {
  return x / (apply_op(op_abs(), x) + 1);
}
Formula formula_of_hard_sigmoid(const Formula& x, Parameters a) {
  return clamped(x * a.get_float("alpha") + a.get_float("beta"), 0, 1);
}
Formula formula_of_hard_swish(const Formula& x, Parameters a) {
  return x * formula_of_hard_sigmoid(x, a);
}
Formula formula_of_mish(const Formula& x, Parameters) {
  return x * apply_op(op_tanh(), apply_op(op_log_add_exp(), x, zero_like(x)));
}

template <Formula (*formula)(const Formula& x, Parameters)>
Result<graph::Value> compose_activation(Builder&, const graph::CallNode& call) {
  return graph::Value(formula(call.args[0], call.attrs));
}

// The slope as a tensor that broadcasts to x.
Result<graph::Value> compose_prelu(Builder&, const graph::CallNode& call) {
  const int rank = graph::tensor_of(call.args[0])->rank;
  const int64_t given = call.attrs.get_int("axis");
  Dims shape(static_cast<size_t>(rank), make_int(1));
  shape[static_cast<size_t>(given < 0 ? given + rank : given)] = shape_of_arg(call, 1)[0];
  const Formula x = call.args[0], slope(reshaped(call.args[1], shape), x.dtype());
  return graph::Value(choose(x > 0, x, x * slope));
}

}  // namespace

#define ACTIVATION(op, accept, parameters, text)                                               \
  const OpDef& op_nn_##op() {                                                                  \
    static const OpDef def{.name = "nn." #op,                                                  \
                           .args = {{"x"}},                                                    \
                           .attrs = parameters,                                                \
                           .infer = infer_activation<accept>,                                  \
                           .lower = te::lower<activation_rule<op>>,                            \
                           .gradient = composed_gradient<compose_activation<formula_of_##op>>, \
                           .doc = text};                                                       \
    return def;                                                                                \
  }

namespace {
std::vector<AttrSpec> one(const char* name, double value) {
  return {{name, AttrKind::number, Attr(value)}};
}
std::vector<AttrSpec> two(const char* a, double value_a, const char* b, double value_b) {
  return {{a, AttrKind::number, Attr(value_a)}, {b, AttrKind::number, Attr(value_b)}};
}
}  // namespace

ACTIVATION(relu, is_number_dtype, {}, "max(x, 0)")
ACTIVATION(relu6, is_number_dtype, {}, "min(max(x, 0), 6)")
ACTIVATION(leakyrelu, is_float_dtype, one("alpha", 0.01), "x where it is positive, else alpha * x")
ACTIVATION(thresholded_relu, is_float_dtype, one("alpha", 1.0), "x where it is above alpha, else 0")
ACTIVATION(elu, is_float_dtype, one("alpha", 1.0),
           "x where it is positive, else alpha * (exp(x) - 1)")
ACTIVATION(celu, is_float_dtype, one("alpha", 1.0),
           "x where it is positive, else alpha * (exp(x / alpha) - 1)")
ACTIVATION(selu, is_float_dtype,
           two("alpha", 1.67326319217681884765625, "gamma", 1.05070102214813232421875),
           "gamma * elu(x)")
ACTIVATION(gelu, is_float_dtype, {}, "x / 2 * (1 + erf(x / sqrt(2)))")
ACTIVATION(gelu_tanh, is_float_dtype, {}, "gelu, with its approximation by tanh")
ACTIVATION(silu, is_float_dtype, {}, "x * sigmoid(x)")
ACTIVATION(softplus, is_float_dtype,
           two("beta", 1.0, "threshold", std::numeric_limits<double>::infinity()),
           "log(1 + exp(beta * x)) / beta, x where beta * x is above the threshold")
ACTIVATION(softsign, is_float_dtype, {}, "x / (1 + |x|)")
ACTIVATION(hard_sigmoid, is_float_dtype, two("alpha", 0.2, "beta", 0.5),
           "alpha * x + beta, clipped to [0, 1]")
ACTIVATION(hard_swish, is_float_dtype, two("alpha", 1.0 / 6, "beta", 0.5), "x * hard_sigmoid(x)")
ACTIVATION(mish, is_float_dtype, {}, "x * tanh(softplus(x))")

const OpDef& op_nn_prelu() {
  static const OpDef def{
      .name = "nn.prelu",
      .args = {{"x"}, {"slope"}},
      .attrs = {{"axis", AttrKind::integer, Attr(1)}},
      .infer = infer_prelu,
      .lower = te::lower<prelu_rule>,
      .gradient = composed_gradient<compose_prelu>,
      .doc = "x where it is positive, else slope * x, a slope per index of `axis`"};
  return def;
}

}  // namespace repose
