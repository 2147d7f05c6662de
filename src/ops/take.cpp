// take: y[a…, j…, b…] = x[a…, indices[j…], b…], where a… are the dimensions before `axis`.
//   C1: the indices are integers; `axis` is an axis of x (None: x has rank 1).
//   C2: the result's shape is x.shape[:axis] + indices.shape + x.shape[axis + 1:]; its dtype is
//       x's.
//   C3: negative indices count from the end. mode "fast": an index outside of [-d, d) is an error
//       at run time; "clip": it is clamped to [0, d); "wrap": it is taken modulo d.
//   C4: where there are indices, d is at least 1.
#include <algorithm>

#include "ops/gradient.h"
#include "ops/loops.h"

namespace repose {

namespace {

Result<Type> infer_take(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(indices, tensor_arg(context, call, 1));
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");  // C1
  if (!integer.ok()) return integer.errors();
  const std::string mode = call.attrs.get_string("mode");
  if (mode != "fast" && mode != "clip" && mode != "wrap") {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`take`: mode is \"{}\", expected \"fast\", \"clip\" or \"wrap\"", mode);
  }
  int axis = 0;
  if (call.attrs.find("axis")->is_none()) {
    REPOSE_REQUIRE(require_rank(context, call, 0, 1));
  } else if (x->rank >= 0) {
    REPOSE_TRY(normal, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
    axis = normal;
  }
  if (x->rank < 0 || indices->rank < 0) return ranked_like(*x, -1, x->dtype);
  if (!x->shape || !indices->shape) {
    return ranked_like(*x, x->rank - 1 + indices->rank, x->dtype);
  }
  const Expr& dim = (*x->shape)[static_cast<size_t>(axis)];
  if (mode != "fast") {
    REPOSE_REQUIRE(context.require(  // C4
        logical_or(le(make_int(1), dim), eq(element_count(*indices->shape), make_int(0))),
        "`take`: an index into dimension {0} of {1} elements", {make_int(axis), dim}));
  }
  Dims out(x->shape->begin(), x->shape->begin() + axis);  // C2
  out.insert(out.end(), indices->shape->begin(), indices->shape->end());
  out.insert(out.end(), x->shape->begin() + axis + 1, x->shape->end());
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> take_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &indices = in[1];
  const int64_t given = call.attrs.get_int("axis", 0);
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  const std::string mode = call.attrs.get_string("mode");
  const Expr& dim = x.shape()[axis];
  const size_t inner = axis + indices.shape().size();
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr at = indices(te::Indices(i.begin() + axis, i.begin() + inner));
        if (mode == "wrap") {
          at = floor_mod(make_cast(dtypes::index, at), dim);
        } else {
          if (mode == "fast") at = checked_index(at, dim, call.op->name);
          if (mode == "clip") at = min(max(wrapped_index(at, dim), make_int(0)), dim - 1);
        }
        te::Indices source(i.begin(), i.begin() + axis);
        source.push_back(at);
        source.insert(source.end(), i.begin() + inner, i.end());
        return x(std::move(source));
      },
      "take")};
}

// The positions that the indices name, as int64; negative ones may count from the end.
graph::Value taken_positions(const graph::CallNode& call, const Expr& dim) {
  const std::string mode = call.attrs.get_string("mode");
  const Formula index(converted(call.args[1], dtypes::int64), dtypes::int64);
  if (mode == "fast") return index;
  const Formula extent = number_of(dim, dtypes::int64);
  if (mode == "wrap") return apply_op(op_floor_mod(), index, extent);
  const Formula wrapped = choose(index < 0, index + extent, index);
  const Formula zero = scalar_constant(dtypes::int64, 0);
  return apply_op(op_minimum(), apply_op(op_maximum(), wrapped, zero), extent - 1);
}

// Slices of g added where they come from. scatter_nd wants the axis first.
Gradients take_gradient(Builder&, const Pullback& p) {
  const Dims &x = shape_of_arg(p.call, 0), &indices = shape_of_arg(p.call, 1);
  const int64_t given = p.call.attrs.get_int("axis", 0);
  const auto rank = static_cast<int64_t>(x.size()), count = static_cast<int64_t>(indices.size());
  const int64_t axis = given < 0 ? given + rank : given;
  std::vector<int64_t> to_front, back;
  for (int64_t d = 0; d < count; ++d) to_front.push_back(axis + d);
  for (int64_t d = 0; d < rank - 1 + count; ++d) {
    if (d < axis || d >= axis + count) to_front.push_back(d);
  }
  for (int64_t d = 0; d < rank; ++d) back.push_back(d < axis ? d + 1 : d == axis ? 0 : d);
  Dims moved = x, tuples = indices;
  std::rotate(moved.begin(), moved.begin() + axis, moved.begin() + axis + 1);
  tuples.push_back(make_int(1));
  const graph::Value g = axis == 0 ? p.gradients[0] : permuted(p.gradients[0], to_front);
  const graph::Value sums = graph::make_op_call(
      op_scatter_nd(),
      {zeros_of(moved, result_dtype(p.call)),
       reshaped(taken_positions(p.call, x[static_cast<size_t>(axis)]), tuples), g},
      Attrs{{"reduction", Attr("add")}});
  return std::vector<graph::Value>{axis == 0 ? sums : permuted(sums, back), nullptr};
}

}  // namespace

const OpDef& op_take() {
  static const OpDef def{
      .name = "take",
      .args = {{"x"}, {"indices"}},
      .attrs = {{"axis", AttrKind::optional_integer, Attr()},
                {"mode", AttrKind::string, Attr("fast")}},
      .infer = infer_take,
      .lower = te::lower<take_rule>,
      .elements = te::elements<take_rule>,
      .gradient = take_gradient,
      .doc = "slices of x along `axis` at the indices; negative ones count from the end"};
  return def;
}

}  // namespace repose
