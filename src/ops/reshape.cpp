// reshape: the same elements in row-major order under another shape. It stays a call of the
// graph: a view of the operand's memory. flatten, squeeze and expand_dims are spellings of it.
//   reshape
//     C1: the new shape has as many elements as the operand.
//     C2: no dimension is negative.
//     C3: the result has the operand's dtype.
//   flatten
//     C1: the result has rank 1 and the operand's number of elements.
//   expand_dims
//     C1: each axis lies in the result's rank, and is given once.
//     C2: the result has extent 1 there, elsewhere the operand's dimensions in order.
//   squeeze
//     C1: each axis lies in the operand's rank, and is given once.
//     C2: the operand has extent 1 there. Without axes: every dimension that is 1 is dropped, and
//         of every other it is stated that it is not 1.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_reshape(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const Dims* shape = shape_arg(call, 1);
  if (!shape) return ranked_like(*x, as<ShapeTypeNode>(call.args[1]->type)->rank, x->dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));  // C2
  Type result = tensor_like(*x, *shape, x->dtype);                  // C3
  if (x->shape) {
    const Expr have = num_elements(*x), want = num_elements(*as<TensorTypeNode>(result));
    REPOSE_REQUIRE(context.require(  // C1
        eq(have, want),
        fmt::format(
            "`reshape`: the operand of shape {} has {{0}} elements, the new shape {} has {{1}}",
            to_string(*x->shape), to_string(*shape)),
        {have, want}));
  }
  return result;
}

Result<Type> infer_flatten(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (!x->shape) return ranked_like(*x, 1, x->dtype);
  return tensor_like(*x, {num_elements(*x)}, x->dtype);  // C1
}

Result<Type> infer_expand_dims(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const std::vector<int64_t> given = call.attrs.get_ints("axis");
  if (x->rank < 0) return ranked_like(*x, -1, x->dtype);
  const int rank = x->rank + static_cast<int>(given.size());
  REPOSE_TRY(axes, normalize_axes(context, call.op->name, given, rank, false));  // C1
  if (!x->shape) return ranked_like(*x, rank, x->dtype);
  Dims out = *x->shape;
  for (int axis : axes) out.insert(out.begin() + axis, make_int(1));  // C2
  return tensor_like(*x, std::move(out), x->dtype);
}

Result<Type> infer_squeeze(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const auto given = optional_ints(call, "axis");
  if (x->rank < 0 || (!x->shape && !given)) return ranked_like(*x, -1, x->dtype);
  std::vector<int> axes;
  if (given) {
    REPOSE_TRY(normal, normalize_axes(context, call.op->name, *given, x->rank, false));  // C1
    axes = normal;
    if (!x->shape) return ranked_like(*x, x->rank - static_cast<int>(axes.size()), x->dtype);
  } else {
    for (int i = 0; i < x->rank; ++i) {
      const Expr& dim = (*x->shape)[i];
      if (prove_equal(dim, make_int(1), context.facts()) == Truth::yes) {
        axes.push_back(i);
        continue;
      }
      REPOSE_REQUIRE(context.require(  // C2
          ne(dim, make_int(1)),
          fmt::format(
              "`squeeze` without axes drops dimension {}, which is {{0}}, although that was "
              "not known when the model was compiled",
              i),
          {dim}));
    }
  }
  Dims out;
  for (int i = 0; i < x->rank; ++i) {
    const Expr& dim = (*x->shape)[i];
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) {
      out.push_back(dim);
      continue;
    }
    REPOSE_REQUIRE(context.require(  // C2
        eq(dim, make_int(1)), fmt::format("`squeeze`: dimension {} is {{0}}, expected 1", i),
        {dim}));
  }
  return tensor_like(*x, std::move(out), x->dtype);
}

Result<graph::Value> lower_to_reshape(Builder&, const graph::CallNode& call) {
  return graph::make_op_call(op_reshape(), {call.args[0], graph::make_shape(result_shape(call))});
}

}  // namespace

const OpDef& op_reshape() {
  static const OpDef def{.name = "reshape",
                         .args = {{"x"}, {"shape", ArgKind::shape}},
                         .infer = infer_reshape,
                         .elements = elements_of_operand,
                         .gradient = reshape_gradient,
                         .doc =
                             "the same elements, in row-major order, under another shape with as "
                             "many elements; a view"};
  return def;
}

const OpDef& op_flatten() {
  static const OpDef def{.name = "flatten",
                         .args = {{"x"}},
                         .infer = infer_flatten,
                         .lower = lower_to_reshape,
                         .elements = elements_of_operand,
                         .gradient = reshape_gradient,
                         .doc = "the elements in row-major order as a tensor of rank 1"};
  return def;
}

const OpDef& op_expand_dims() {
  static const OpDef def{.name = "expand_dims",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integers}},
                         .infer = infer_expand_dims,
                         .lower = lower_to_reshape,
                         .elements = elements_of_operand,
                         .gradient = reshape_gradient,
                         .doc = "new dimensions of extent 1 at `axis`, counted in the result"};
  return def;
}

const OpDef& op_squeeze() {
  static const OpDef def{
      .name = "squeeze",
      .args = {{"x"}},
      .attrs = {{"axis", AttrKind::optional_integers, Attr()}},
      .infer = infer_squeeze,
      .lower = lower_to_reshape,
      .elements = elements_of_operand,
      .gradient = reshape_gradient,
      .doc = "drops the dimensions `axis`, which are 1 (None: every dimension that is 1)"};
  return def;
}

}  // namespace repose
