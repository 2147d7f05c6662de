// Broadcasts.
//   broadcast_to: y[i] = x[i'], after NumPy.
//     C1: the new shape has at least the operand's rank and no negative dimension.
//     C2: aligned at the right, each dimension of the operand is 1 or the new one.
//   expand: x broadcast together with a shape, both ways (ONNX's Expand).
//     C1: the two shapes broadcast (type_rules.h); the result has the broadcast shape.
//   where: y[i] = condition[i'] ? a[i''] : b[i'''].
//     C1: the condition is bool; a and b have one dtype, which the result has.
//     C2: the three shapes broadcast; the result has the broadcast shape.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_broadcast_to(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const Dims* shape = shape_arg(call, 1);
  const int rank = as<ShapeTypeNode>(call.args[1]->type)->rank;
  if (rank >= 0 && x->rank > rank) {  // C1
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`broadcast_to`: operand 0 has rank {}, the new shape has rank {}", x->rank, rank);
  }
  if (!shape) return ranked_like(*x, rank, x->dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));
  if (x->shape) {
    const size_t skip = shape->size() - x->shape->size();
    for (size_t d = 0; d < x->shape->size(); ++d) {  // C2
      const Expr &have = (*x->shape)[d], &want = (*shape)[d + skip];
      REPOSE_REQUIRE(context.require(
          logical_or(eq(have, make_int(1)), eq(have, want)),
          fmt::format(
              "`broadcast_to`: dimension {} of the operand is {{0}}, of the new shape {{1}}", d),
          {have, want}));
    }
  }
  return tensor_like(*x, *shape, x->dtype);
}

Result<Type> infer_expand(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const Dims* shape = shape_arg(call, 1);
  if (!shape || !x->shape) {
    const int rank = as<ShapeTypeNode>(call.args[1]->type)->rank;
    return ranked_like(*x, rank >= 0 && x->rank >= 0 ? std::max(rank, x->rank) : -1, x->dtype);
  }
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));
  REPOSE_TRY(out, broadcast_shapes(context, call.op->name, *x->shape, *shape));  // C1
  return tensor_like(*x, out, x->dtype);
}

std::vector<te::Tensor> broadcast_rule(const graph::CallNode& call,
                                       const std::vector<te::Tensor>& in) {
  const Dims& shape = result_shape(call);
  return {te::compute(
      shape, [&](const te::Indices& i) { return broadcast_load(in[0], shape, i); },
      std::string(call.op->name))};
}

Result<Type> infer_where(InferContext& context, const graph::CallNode& call) {
  auto condition = dtype_arg(context, call, 0, is_bool_dtype, "bool");  // C1
  if (!condition.ok()) return condition.errors();
  REPOSE_TRY(dtype, common_dtype(context, call, 1, 2));
  REPOSE_TRY(c, tensor_arg(context, call, 0));
  REPOSE_TRY(a, tensor_arg(context, call, 1));
  REPOSE_TRY(b, tensor_arg(context, call, 2));
  if (!c->shape || !a->shape || !b->shape) {
    const bool ranked = c->rank >= 0 && a->rank >= 0 && b->rank >= 0;
    return ranked_like(*a, ranked ? std::max({c->rank, a->rank, b->rank}) : -1, dtype);
  }
  REPOSE_TRY(values, broadcast_shapes(context, call.op->name, *a->shape, *b->shape));  // C2
  REPOSE_TRY(out, broadcast_shapes(context, call.op->name, *c->shape, values));
  return tensor_like(*a, out, dtype);
}

std::vector<te::Tensor> where_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const Dims& shape = result_shape(call);
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        return make_select(broadcast_load(in[0], shape, i), broadcast_load(in[1], shape, i),
                           broadcast_load(in[2], shape, i));
      },
      "where")};
}

Gradients broadcast_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{
      collapsed(p.gradients[0], result_shape(p.call), shape_of_arg(p.call, 0)), nullptr};
}

Gradients where_gradient(Builder&, const Pullback& p) {
  const Dims& shape = result_shape(p.call);
  const Formula condition = p.call.args[0], g = p.gradients[0];
  const Formula zero = scalar_constant(g.dtype(), 0);
  return std::vector<graph::Value>{
      nullptr, collapsed(choose(condition, g, zero), shape, shape_of_arg(p.call, 1)),
      collapsed(choose(condition, zero, g), shape, shape_of_arg(p.call, 2))};
}

}  // namespace

const OpDef& op_broadcast_to() {
  static const OpDef def{.name = "broadcast_to",
                         .args = {{"x"}, {"shape", ArgKind::shape}},
                         .infer = infer_broadcast_to,
                         .lower = te::lower<broadcast_rule>,
                         .elements = te::elements<broadcast_rule>,
                         .gradient = broadcast_gradient,
                         .doc = "x repeated along dimensions where it is 1, to the shape"};
  return def;
}

const OpDef& op_expand() {
  static const OpDef def{
      .name = "expand",
      .args = {{"x"}, {"shape", ArgKind::shape}},
      .infer = infer_expand,
      .lower = te::lower<broadcast_rule>,
      .elements = te::elements<broadcast_rule>,
      .gradient = broadcast_gradient,
      .doc = "x broadcast together with the shape: dimensions of either may be 1"};
  return def;
}

const OpDef& op_where() {
  static const OpDef def{.name = "where",
                         .args = {{"condition"}, {"a"}, {"b"}},
                         .infer = infer_where,
                         .lower = te::lower<where_rule>,
                         .elements = te::elements<where_rule>,
                         .gradient = where_gradient,
                         .doc = "a where the condition holds, b elsewhere"};
  return def;
}

}  // namespace repose
