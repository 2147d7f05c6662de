// Masks by position.
//   tril, triu: x where column - row <= k (>= k for triu) in its last two dimensions, 0
//       elsewhere.
//     C1: x has rank 2 or more; k is a known integer prim value (left out: 0).
//     C2: the result has x's shape and dtype.
//   one_hot: y[…, j, …] = indices[…] == j ? on_value : off_value, j running over `depth` along
//       `axis`.
//     C3: the indices are integers, negative ones count from the end; the values are known prim
//         values of one dtype, which the result has (int64 for integers without one); `depth` is
//         a known prim value, not negative.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_triangle(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (x->rank == 0 || x->rank == 1) {  // C1
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`{}`: operand 0 has rank {}, expected at least 2", call.op->name, x->rank);
  }
  if (has_arg(call, 1) && !prim_arg(call, 1, dtypes::index)) {
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`{}`: the value of k is not known", call.op->name);
  }
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  return tensor_like(*x, *x->shape, x->dtype);  // C2
}

template <bool lower>
std::vector<te::Tensor> triangle_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const Expr given = prim_arg(call, 1, dtypes::index);
  const Expr k = given ? given : make_int(0);
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        const Expr& column = i[i.size() - 1];
        const Expr limit = i[i.size() - 2] + k;
        const Expr keep = lower ? le(column, limit) : le(limit, column);
        return make_if_then_else(keep, in[0](i), make_const(in[0].dtype(), 0));
      },
      std::string(call.op->name))};
}

// What is kept of x is kept of g.
Gradients triangle_gradient(Builder&, const Pullback& p) {
  std::vector<graph::Value> args = p.call.args;
  args[0] = p.gradients[0];
  return std::vector<graph::Value>{graph::make_op_call(*p.call.op, args, p.call.attrs), nullptr};
}

DType value_dtype(const graph::CallNode& call) {
  const DType dtype = as<PrimTypeNode>(call.args[1]->type)->dtype;
  return dtype.is_index() ? dtypes::int64 : dtype;
}

Result<Type> infer_one_hot(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(indices, tensor_arg(context, call, 0));
  auto integer = dtype_arg(context, call, 0, is_integer_dtype, "an integer");  // C3
  if (!integer.ok()) return integer.errors();
  const DType dtype = value_dtype(call);
  if (!prim_arg(call, 1, dtype) || !prim_arg(call, 2, dtype) || !prim_arg(call, 3, dtypes::index)) {
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`one_hot`: the value of an operand is not known");
  }
  if (indices->rank < 0) return ranked_like(*indices, -1, dtype);
  REPOSE_TRY(axis,
             normalize_axis(context, call.op->name, call.attrs.get_int("axis"), indices->rank + 1));
  if (!indices->shape) return ranked_like(*indices, indices->rank + 1, dtype);
  Dims out = *indices->shape;
  out.insert(out.begin() + axis, prim_arg(call, 3, dtypes::index));
  REPOSE_REQUIRE(require_extents(context, call.op->name, out));
  return tensor_like(*indices, std::move(out), dtype);
}

std::vector<te::Tensor> one_hot_rule(const graph::CallNode& call,
                                     const std::vector<te::Tensor>& in) {
  const DType dtype = value_dtype(call);
  const Dims& shape = result_shape(call);
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis =
      static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(shape.size()) : given);
  const Expr on = prim_arg(call, 1, dtype), off = prim_arg(call, 2, dtype);
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        te::Indices at = i;
        at.erase(at.begin() + static_cast<int64_t>(axis));
        const Expr index = wrapped_index(in[0](std::move(at)), shape[axis]);
        return make_select(eq(index, i[axis]), on, off);
      },
      "one_hot")};
}

}  // namespace

const OpDef& op_tril() {
  static const OpDef def{.name = "tril",
                         .args = {{"x"}, {"k", ArgKind::prim, true}},
                         .infer = infer_triangle,
                         .lower = te::lower<triangle_rule<true>>,
                         .gradient = triangle_gradient,
                         .doc = "x up to diagonal k of its last two dimensions, 0 above"};
  return def;
}

const OpDef& op_triu() {
  static const OpDef def{.name = "triu",
                         .args = {{"x"}, {"k", ArgKind::prim, true}},
                         .infer = infer_triangle,
                         .lower = te::lower<triangle_rule<false>>,
                         .gradient = triangle_gradient,
                         .doc = "x from diagonal k of its last two dimensions on, 0 below"};
  return def;
}

const OpDef& op_one_hot() {
  static const OpDef def{.name = "one_hot",
                         .args = {{"indices"},
                                  {"on_value", ArgKind::prim},
                                  {"off_value", ArgKind::prim},
                                  {"depth", ArgKind::prim}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)}},
                         .infer = infer_one_hot,
                         .lower = te::lower<one_hot_rule>,
                         .elements = te::elements<one_hot_rule>,
                         .doc = "on_value at the index along a new dimension, off_value elsewhere"};
  return def;
}

}  // namespace repose
