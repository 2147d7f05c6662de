// view: a run of the operand's elements, in row-major order, under another shape: element i of the
// result is element offset + i of the operand. It stays a call of the graph: the result lies in the
// operand's memory. Passes make it from programs that copy such a run.
//   C1: `offset` is an index, and not negative.
//   C2: the operand has at least offset + (the new shape's) elements.
//   C3: no dimension is negative; the result has the operand's dtype.
// memory.ensure_zero_offset: the operand. Tensors of ours always begin where their memory does.
#include "ops/gradient.h"

namespace repose {

namespace {

const Expr* offset_of(const graph::CallNode& call) {
  const auto* prim = graph::as<graph::PrimValueNode>(call.args[1]);
  return prim ? &prim->value : nullptr;
}

Result<Type> infer_view(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const Dims* shape = shape_arg(call, 2);
  const Expr* offset = offset_of(call);
  if (!offset || !(*offset)->dtype.is_index()) {  // C1
    return error(DiagnosticKind::bad_argument, context.span(),
                 "`view`: operand 1 must be the value of an index");
  }
  if (!shape) return ranked_like(*x, as<ShapeTypeNode>(call.args[2]->type)->rank, x->dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));  // C3
  Type result = tensor_like(*x, *shape, x->dtype);
  if (x->shape) {
    const Expr have = num_elements(*x), want = num_elements(*as<TensorTypeNode>(result));
    REPOSE_REQUIRE(context.require(  // C1, C2
        logical_and(le(make_int(0), *offset), le(*offset + want, have)),
        "`view`: {1} elements from {0} on leave the operand, which has {2}",
        {*offset, want, have}));
  }
  return result;
}

std::vector<te::Tensor> view_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const Dims& shape = result_shape(call);
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        Expr flat = make_int(0);
        for (size_t d = 0; d < i.size(); ++d) flat = flat * shape[d] + i[d];
        flat = flat + *offset_of(call);
        const Dims& from = in[0].shape();
        te::Indices source(from.size());
        for (size_t d = from.size(); d-- > 0;) {
          source[d] = d == 0 ? flat : floor_mod(flat, from[d]);
          flat = d == 0 ? flat : floor_div(flat, from[d]);
        }
        return in[0](std::move(source));
      },
      "view")};
}

Result<Type> infer_ensure_zero_offset(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  return x->shape ? tensor_like(*x, *x->shape, x->dtype) : ranked_like(*x, x->rank, x->dtype);
}

Result<graph::Value> lower_ensure_zero_offset(Builder&, const graph::CallNode& call) {
  return call.args[0];
}

}  // namespace

const OpDef& op_memory_ensure_zero_offset() {
  static const OpDef def{.name = "memory.ensure_zero_offset",
                         .args = {{"x"}},
                         .infer = infer_ensure_zero_offset,
                         .lower = lower_ensure_zero_offset,
                         .elements = elements_of_operand,
                         .gradient = reshape_gradient,
                         .doc = "the operand, whose memory begins with its first element anyway"};
  return def;
}

const OpDef& op_view() {
  static const OpDef def{
      .name = "view",
      .args = {{"x"}, {"offset", ArgKind::prim}, {"shape", ArgKind::shape}},
      .infer = infer_view,
      .lower = te::lower<view_rule>,
      .elements = te::elements<view_rule>,
      .doc = "the elements from `offset` on, in row-major order, under `shape`; a view"};
  return def;
}

}  // namespace repose
