// softmax: exp(x - m) / sum of exp(x - m) along `axis`, where m is the largest element there.
// log_softmax: its logarithm, x - m - log(sum of exp(x - m)).
//   C1: the operand is a float; `axis` is one of its axes.
//   C2: the result has the operand's shape and dtype. float16 and bfloat16 compute in float32.
#include "ops/ops.h"
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
};

std::vector<te::Tensor> softmax_rule(const graph::CallNode& call,
                                     const std::vector<te::Tensor>& in) {
  const Softmax s(call, in[0]);
  te::Tensor powers = te::compute(
      in[0].shape(),
      [&](const te::Indices& i) { return make_call(Intrinsic::exp, s.shifted(in[0], i)); },
      "softmax_exp");
  te::Tensor total = reduce_rows(
      s.rows, te::Reducer::sum, [&](const te::Indices& i) { return powers(i); }, "softmax_sum");
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        return make_cast(s.dtype, make_binary(ExprKind::div, powers(i), total(s.rows.kept(i))));
      },
      "softmax")};
}

std::vector<te::Tensor> log_softmax_rule(const graph::CallNode& call,
                                         const std::vector<te::Tensor>& in) {
  const Softmax s(call, in[0]);
  te::Tensor total = reduce_rows(
      s.rows, te::Reducer::sum,
      [&](const te::Indices& i) { return make_call(Intrinsic::exp, s.shifted(in[0], i)); },
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

}  // namespace

const OpDef& op_nn_softmax() {
  static const OpDef def{.name = "nn.softmax",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)}},
                         .infer = infer_softmax,
                         .lower = te::lower<softmax_rule>,
                         .doc = "exponentials along `axis`, scaled to the sum 1"};
  return def;
}

const OpDef& op_nn_log_softmax() {
  static const OpDef def{.name = "nn.log_softmax",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)}},
                         .infer = infer_softmax,
                         .lower = te::lower<log_softmax_rule>,
                         .doc = "logarithm of the softmax along `axis`"};
  return def;
}

}  // namespace repose
