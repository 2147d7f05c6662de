// Batch normalisation with given statistics: (x - mean) / sqrt(variance + epsilon) * gamma + beta
// along `axis`.
//   C1: x is a float of rank 2 or more; float16 and bfloat16 compute in float32.
//   C2: gamma, beta, mean and variance are floats of rank 1 with the extent of x's dimension
//       `axis`. Their dtypes may differ from x's.
//   C3: nn.batch_norm_inference gives the normalised tensor, of x's type; nn.batch_norm (as in
//       Relax) a tuple of it and the two statistics, and is for inference only: `training` must
//       be false.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_batch_norm_inference(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  for (size_t i = 0; i < 5; ++i) {  // C1, C2
    auto dtype = dtype_arg(context, call, i, is_float_dtype, "a float");
    if (!dtype.ok()) return dtype.errors();
    if (i > 0) REPOSE_REQUIRE(require_rank(context, call, i, 1));
  }
  if (x->rank < 0) return ranked_like(*x, -1, x->dtype);
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  for (size_t i = 1; i < 5; ++i) {
    REPOSE_TRY(t, tensor_arg(context, call, i));
    if (!t->shape) continue;
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[static_cast<size_t>(axis)],
                                 fmt::format("dimension {} of operand 0", axis), (*t->shape)[0],
                                 fmt::format("the extent of operand {}", i)));
  }
  return tensor_like(*x, *x->shape, x->dtype);
}

std::vector<te::Tensor> batch_norm_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  const Expr epsilon = make_float(call.attrs.get_float("epsilon"), wide);
  const bool center = call.attrs.get_bool("center"), scale = call.attrs.get_bool("scale");
  return {te::compute(
      x.shape(),
      [&](const te::Indices& i) {
        auto weight = [&](size_t k) { return make_cast(wide, in[k](i[axis])); };
        // As one factor per channel, which is computed once where the channel is not the innermost
        // loop.
        Expr factor = make_call(Intrinsic::rsqrt, weight(4) + epsilon);
        if (scale) factor = factor * weight(1);
        Expr y = (make_cast(wide, x(i)) - weight(3)) * factor;
        if (center) y = y + weight(2);
        return make_cast(dtype, y);
      },
      "batch_norm")};
}

Result<Type> infer_batch_norm(InferContext& context, const graph::CallNode& call) {
  if (call.attrs.get_bool("training")) {  // C3
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`nn.batch_norm` with training=True; models are compiled for inference");
  }
  REPOSE_TRY(type, infer_batch_norm_inference(context, call));
  return tuple_type({type, call.args[3]->type, call.args[4]->type});
}

Result<graph::Value> lower_batch_norm(Builder&, const graph::CallNode& call) {
  Attrs attrs;
  for (const AttrSpec& spec : op_nn_batch_norm_inference().attrs) {
    attrs.set(spec.name, *call.attrs.find(spec.name));
  }
  return graph::make_tuple({graph::make_op_call(op_nn_batch_norm_inference(), call.args, attrs),
                            call.args[3], call.args[4]});
}

// As a formula, which has a gradient; float16 and bfloat16 in float32.
Result<graph::Value> compose_batch_norm(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis =
      static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(shape.size()) : given);
  const DType dtype = graph::tensor_of(call.args[0])->dtype, wide = accumulator_dtype(dtype);
  Dims ones(shape.size(), make_int(1));
  ones[axis] = shape[axis];
  auto wider = [&](const graph::Value& v) {
    return graph::tensor_of(v)->dtype == wide ? v : converted(v, wide);
  };
  auto weight = [&](size_t k) { return Formula(reshaped(wider(call.args[k]), ones), wide); };
  Formula y = (Formula(wider(call.args[0]), wide) - weight(3)) *
              apply_op(op_rsqrt(), weight(4) + call.attrs.get_float("epsilon"));
  if (call.attrs.get_bool("scale")) y = y * weight(1);
  if (call.attrs.get_bool("center")) y = y + weight(2);
  return wide == dtype ? y.value() : converted(y, dtype);
}

std::vector<AttrSpec> inference_attrs() {
  return {{"axis", AttrKind::integer, Attr(1)},
          {"epsilon", AttrKind::number, Attr(1e-5)},
          {"center", AttrKind::boolean, Attr(true)},
          {"scale", AttrKind::boolean, Attr(true)}};
}

std::vector<AttrSpec> relax_attrs() {
  std::vector<AttrSpec> attrs = inference_attrs();
  attrs.push_back({"momentum", AttrKind::number, Attr(0.1)});
  attrs.push_back({"training", AttrKind::boolean, Attr(false)});
  return attrs;
}

}  // namespace

const OpDef& op_nn_batch_norm_inference() {
  static const OpDef def{
      .name = "nn.batch_norm_inference",
      .args = {{"x"}, {"gamma"}, {"beta"}, {"moving_mean"}, {"moving_var"}},
      .attrs = inference_attrs(),
      .infer = infer_batch_norm_inference,
      .lower = te::lower<batch_norm_rule>,
      .gradient = composed_gradient<compose_batch_norm>,
      .doc = "(x - mean) / sqrt(variance + epsilon) * gamma + beta along `axis`"};
  return def;
}

const OpDef& op_nn_batch_norm() {
  static const OpDef def{
      .name = "nn.batch_norm",
      .args = {{"x"}, {"gamma"}, {"beta"}, {"moving_mean"}, {"moving_var"}},
      .attrs = relax_attrs(),
      .infer = infer_batch_norm,
      .lower = lower_batch_norm,
      .gradient = composed_gradient<lower_batch_norm>,
      .doc = "a tuple of nn.batch_norm_inference and the two statistics, unchanged"};
  return def;
}

}  // namespace repose
