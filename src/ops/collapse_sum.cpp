// collapse_sum_to: the sums of x over the dimensions along which a tensor of the shape would be
// broadcast to x's: the gradient of a broadcast. collapse_sum_like: to the shape of a tensor.
//   C1: x is a number; the shape has at most x's rank.
//   C2: aligned at the right, each dimension of the shape is 1 or x's. Dimensions that x alone has
//       are summed over, and so are those that are 1 in the shape.
//   C3: float16 and bfloat16 accumulate in float32.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_collapse(InferContext& context, const graph::CallNode& call, const Dims* shape,
                            int rank) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  if (x->rank >= 0 && rank > x->rank) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`{}`: operand 0 has rank {}, the new shape has rank {}", call.op->name, x->rank,
                 rank);
  }
  if (!shape) return ranked_like(*x, rank, dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));
  const size_t skip = x->shape ? x->shape->size() - shape->size() : 0;
  for (size_t d = 0; x->shape && d < shape->size(); ++d) {  // C2
    const Expr &want = (*shape)[d], &have = (*x->shape)[d + skip];
    REPOSE_REQUIRE(context.require(
        logical_or(eq(want, make_int(1)), eq(want, have)),
        fmt::format("`{}`: dimension {} of the new shape is {{0}}, of the operand {{1}}",
                    call.op->name, d),
        {want, have}));
  }
  return tensor_like(*x, *shape, dtype);
}

Result<Type> infer_collapse_sum_to(InferContext& context, const graph::CallNode& call) {
  return infer_collapse(context, call, shape_arg(call, 1),
                        as<ShapeTypeNode>(call.args[1]->type)->rank);
}

Result<Type> infer_collapse_sum_like(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(like, tensor_arg(context, call, 1));
  return infer_collapse(context, call, like->shape ? &*like->shape : nullptr, like->rank);
}

// A dimension that only a call tells to be 1 is summed over in as many steps as it then has.
std::vector<te::Tensor> collapse_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Dims& shape = result_shape(call);
  const size_t skip = x.shape().size() - shape.size();
  const Expr one = make_int(1);
  const DType dtype = x.dtype(), sum = accumulator_dtype(dtype);  // C3
  Dims box;
  std::vector<size_t> summed;
  for (size_t d = 0; d < x.shape().size(); ++d) {
    const Expr& extent = x.shape()[d];
    if (d >= skip && structural_equal(shape[d - skip], extent)) continue;
    if (d >= skip && is_constant(shape[d - skip]) && !is_const_int(shape[d - skip], 1)) continue;
    const bool always = d < skip || is_const_int(shape[d - skip], 1);
    box.push_back(always ? extent : make_select(eq(shape[d - skip], one), extent, one));
    summed.push_back(d);
  }
  auto element = [&](const te::Indices& i, const te::Indices& k) {
    te::Indices at(skip, make_int(0));
    at.insert(at.end(), i.begin(), i.end());
    for (size_t s = 0; s < summed.size(); ++s) {
      const size_t d = summed[s];
      const bool always = d < skip || is_const_int(shape[d - skip], 1);
      at[d] = always ? k[s] : make_select(eq(shape[d - skip], one), k[s], at[d]);
    }
    return make_cast(sum, x(std::move(at)));
  };
  const std::string name(call.op->name);
  if (summed.empty()) {
    return {te::compute(shape, [&](const te::Indices& i) { return x(i); }, name)};
  }
  return {cast_stage(te::reduce(shape, te::Reducer::sum, box, element, name), dtype)};
}

Gradients collapse_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{broadcast(p.gradients[0], shape_of_arg(p.call, 0)), nullptr};
}

graph::Value compose_collapse_like(const graph::CallNode& call) {
  return graph::make_op_call(
      op_collapse_sum_to(),
      {call.args[0], graph::make_shape(*graph::tensor_of(call.args[1])->shape)});
}

}  // namespace

const OpDef& op_collapse_sum_to() {
  static const OpDef def{.name = "collapse_sum_to",
                         .args = {{"x"}, {"shape", ArgKind::shape}},
                         .infer = infer_collapse_sum_to,
                         .lower = te::lower<collapse_rule>,
                         .gradient = collapse_gradient,
                         .doc =
                             "sums of x over the dimensions along which the shape would be "
                             "broadcast to x's"};
  return def;
}

const OpDef& op_collapse_sum_like() {
  static const OpDef def{.name = "collapse_sum_like",
                         .args = {{"x"}, {"collapse_target"}},
                         .infer = infer_collapse_sum_like,
                         .lower = lower_composite<compose_collapse_like>,
                         .gradient = composed_gradient<lower_composite<compose_collapse_like>>,
                         .doc =
                             "sums of x over the dimensions along which a tensor of the target's "
                             "shape would be broadcast to x's"};
  return def;
}

}  // namespace repose
