// slice_scatter: x with the elements begin, begin + step, … before end along `axis` replaced by
// those of a second tensor.
//   C1: both have one dtype and one rank; `axis` is one of the axes.
//   C2: the bounds are known prim values; negative ones count from the end, and they are clamped to
//       [0, d] as NumPy clamps them. The step is known to be at least 1.
//   C3: the replacement has x's extents, along `axis` that of the slice.
#include "ops/gradient.h"

namespace repose {

namespace {

// Where the slice along an axis of this extent begins, and how many elements it has.
struct SliceRange {
  Expr begin, step, count;
};

SliceRange slice_range(const graph::CallNode& call, const Expr& dim, const Facts& facts = {}) {
  const Expr zero = make_int(0);
  auto bound = [&](size_t i) {
    Expr value = prim_arg(call, i, dtypes::index);
    int64_t known = 0;
    if (as_const_int(value, &known)) {
      if (known < 0) value = dim + known;
    } else if (prove(le(zero, value), facts) != Truth::yes) {
      value = make_select(lt(value, zero), value + dim, value);
    }
    return at_most(at_least(value, zero, facts), dim, facts);
  };
  const Expr begin = bound(2), end = bound(3);
  const Expr step = has_arg(call, 4) ? prim_arg(call, 4, dtypes::index) : make_int(1);
  const Expr count = at_least(canonical(ceil_div(end - begin, step)), zero, facts);
  return {begin, step, count};
}

Result<Type> infer_slice_scatter(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 1));  // C1
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(source, tensor_arg(context, call, 1));
  for (size_t i = 2; i < 5; ++i) {
    if ((i == 4 && !has_arg(call, i)) || prim_arg(call, i, dtypes::index)) continue;
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`slice_scatter`: `{}` has no known value", call.op->args[i].name);
  }
  if (has_arg(call, 4)) {  // C2
    const Expr step = prim_arg(call, 4, dtypes::index);
    if (prove(le(make_int(1), step), context.facts()) != Truth::yes) {
      return error(DiagnosticKind::bad_argument, context.span(),
                   "`slice_scatter`: the step is {}, expected at least 1", to_string(step));
    }
  }
  if (x->rank < 0) return ranked_like(*x, source->rank, dtype);
  REPOSE_REQUIRE(require_rank(context, call, 1, x->rank));
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  for (int d = 0; source->shape && d < x->rank; ++d) {  // C3
    const Expr& dim = (*x->shape)[static_cast<size_t>(d)];
    const Expr want = d == axis ? slice_range(call, dim, context.facts()).count : dim;
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*source->shape)[static_cast<size_t>(d)],
                                 fmt::format("dimension {} of operand 1", d), want,
                                 d == axis ? "the number of elements in the slice"
                                           : fmt::format("dimension {} of operand 0", d)));
  }
  return tensor_like(*x, *x->shape, dtype);
}

std::vector<te::Tensor> slice_scatter_rule(const graph::CallNode& call,
                                           const std::vector<te::Tensor>& in) {
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + in[0].rank() : given);
  const SliceRange range = slice_range(call, in[0].shape()[axis]);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const Expr from = i[axis] - range.begin, place = floor_div(from, range.step);
        Expr inside = logical_and(le(make_int(0), from), lt(place, range.count));
        if (!is_const_int(range.step, 1)) {
          inside = logical_and(inside, eq(floor_mod(from, range.step), make_int(0)));
        }
        te::Indices source = i;
        source[axis] = place;
        return make_if_then_else(inside, in[1](std::move(source)), in[0](i));
      },
      "slice_scatter")};
}

Gradients slice_scatter_gradient(Builder&, const Pullback& p) {
  const Dims& source = shape_of_arg(p.call, 1);
  const DType dtype = result_dtype(p.call);
  std::vector<graph::Value> args = p.call.args, bounds{p.gradients[0]};
  args[0] = p.gradients[0];
  args[1] = zeros_of(source, dtype);
  for (size_t i = 2; i < 5; ++i) {
    if (has_arg(p.call, i))
      bounds.push_back(graph::make_shape({prim_arg(p.call, i, dtypes::index)}));
  }
  const graph::Value slice = graph::make_op_call(
      op_strided_slice(), bounds,
      Attrs{{"axes", Attr(std::vector<int64_t>{p.call.attrs.get_int("axis")})}});
  std::vector<graph::Value> gradients(p.call.args.size());
  gradients[0] = graph::make_op_call(*p.call.op, args, p.call.attrs);
  gradients[1] = reshaped(slice, source);
  return gradients;
}

}  // namespace

const OpDef& op_slice_scatter() {
  static const OpDef def{.name = "slice_scatter",
                         .args = {{"x"},
                                  {"src"},
                                  {"start", ArgKind::prim},
                                  {"end", ArgKind::prim},
                                  {"step", ArgKind::prim, true}},
                         .attrs = {{"axis", AttrKind::integer, Attr(0)}},
                         .infer = infer_slice_scatter,
                         .lower = te::lower<slice_scatter_rule>,
                         .gradient = slice_scatter_gradient,
                         .doc =
                             "x with a slice along `axis` replaced by `src`; bounds count from "
                             "the end where they are negative, and are clamped"};
  return def;
}

}  // namespace repose
