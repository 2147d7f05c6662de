// softmax: exp(x - m) / sum of exp(x - m) along `axis`, where m is the largest element there (as a
// product with the reciprocal of the sum).
// log_softmax: its logarithm, x - m - log(sum of exp(x - m)).
//   C1: the operand is a float; `axis` is one of its axes.
//   C2: the result has the operand's shape and dtype. float16 and bfloat16 compute in float32.
#include "ops/gradient.h"
#include "ops/rows.h"

namespace repose {

namespace {

Result<Type> infer_softmax(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  if (x->rank >= 0) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);
    if (!axis.ok()) return axis.errors();
  }
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  return tensor_like(*x, *x->shape, dtype);  // C2
}

struct Softmax {
  RowAxes rows;
  DType dtype, wide;
  te::Tensor largest;

  Softmax(const graph::CallNode& call, const te::Tensor& x)
      : rows{x.shape(), axes_of(call, "axis", x.rank())},
        dtype(x.dtype()),
        wide(accumulator_dtype(dtype)),
        largest(reduce_rows(
            rows, te::Reducer::max, [&](const te::Indices& i) { return make_cast(wide, x(i)); },
            "softmax_max")) {}
  // x - m
  Expr shifted(const te::Tensor& x, const te::Indices& i) const {
    return make_cast(wide, x(i)) - largest(rows.kept(i));
  }
  // exp(x - m), where that would be subnormal 0: the largest is 1, so it changes no sum, and
  // arithmetic with subnormal numbers takes a hundred times as long.
  Expr power(const te::Tensor& x, const te::Indices& i) const {
    const Expr zero = make_float(0, wide), t = shifted(x, i);
    const Expr vanishes = lt(t, make_float(wide.bits == 64 ? -708.0 : -87.0, wide));
    return make_select(vanishes, zero, make_call(Intrinsic::exp, make_select(vanishes, zero, t)));
  }
};

std::vector<te::Tensor> softmax_rule(const graph::CallNode& call,
                                     const std::vector<te::Tensor>& in) {
  const Softmax s(call, in[0]);
  te::Tensor powers = te::compute(
      in[0].shape(), [&](const te::Indices& i) { return s.power(in[0], i); }, "softmax_exp");
  te::Tensor total = reduce_rows(
      s.rows, te::Reducer::sum, [&](const te::Indices& i) { return powers(i); }, "softmax_sum");
  // One division for a row: as many as there are elements would cost as much as the exponentials.
  te::Tensor scale = te::compute(
      total.shape(),
      [&](const te::Indices& i) {
        return make_binary(ExprKind::div, make_float(1, s.wide), total(i));
      },
      "softmax_scale");
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) { return make_cast(s.dtype, powers(i) * scale(s.rows.kept(i))); },
      "softmax")};
}

std::vector<te::Tensor> log_softmax_rule(const graph::CallNode& call,
                                         const std::vector<te::Tensor>& in) {
  const Softmax s(call, in[0]);
  te::Tensor total = reduce_rows(
      s.rows, te::Reducer::sum, [&](const te::Indices& i) { return s.power(in[0], i); },
      "softmax_sum");
  te::Tensor logarithm = te::compute(
      total.shape(), [&](const te::Indices& i) { return make_call(Intrinsic::log, total(i)); },
      "softmax_log");
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        return make_cast(s.dtype, s.shifted(in[0], i) - logarithm(s.rows.kept(i)));
      },
      "log_softmax")};
}

std::vector<int> softmax_axis(const Pullback& p) {
  return axes_of(p.call, "axis", static_cast<int>(result_shape(p.call).size()));
}

Gradients softmax_gradient(Builder&, const Pullback& p) {
  const Formula g = p.gradients[0], y = p.result;
  return std::vector<graph::Value>{y * (g - sum_over(g * y, softmax_axis(p)))};
}

Gradients log_softmax_gradient(Builder&, const Pullback& p) {
  const Formula g = p.gradients[0], y = p.result;
  return std::vector<graph::Value>{g - apply_op(op_exp(), y) * sum_over(g, softmax_axis(p))};
}

}  // namespace

const OpDef& op_nn_softmax() {
  static const OpDef def{.name = "nn.softmax",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)}},
                         .infer = infer_softmax,
                         .lower = te::lower<softmax_rule>,
                         .gradient = softmax_gradient,
                         .doc = "exponentials along `axis`, scaled to the sum 1"};
  return def;
}

const OpDef& op_nn_log_softmax() {
  static const OpDef def{.name = "nn.log_softmax",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)}},
                         .infer = infer_softmax,
                         .lower = te::lower<log_softmax_rule>,
                         .gradient = log_softmax_gradient,
                         .doc = "logarithm of the softmax along `axis`"};
  return def;
}

}  // namespace repose
