// What `topk` of all elements gives.
//   sort: x with its elements along `axis` in ascending order, or descending. argsort: where they
//   are in x.
//     C1: x is a number of rank at least 1; `axis` is one of its axes. Equal elements keep their
//         order; NaN is greater than everything else.
//     C2: the dtype of argsort's result is an integer.
//   median: of n elements in ascending order the one at (n - 1) // 2, over the dimensions `axis`
//   (None: all). Over one dimension, the tuple of it and its int64 position.
//     C3: x is a number; n is at least 1 where there are results.
//     C4: the result lacks the dimensions, or has extent 1 there with `keepdims`.
//   bucketize: for each element v the number of boundaries b below it, so that b[i - 1] < v <=
//   b[i]; with `right` of those not above, so that b[i - 1] <= v < b[i].
//     C5: the boundaries are ascending, of rank 1 and x's dtype, a number. NaN is behind all.
#include "ops/gradient.h"
#include "ops/loops.h"
#include "ops/rows.h"

namespace repose {

namespace {

graph::Value ordered(graph::Value x, Expr count, int64_t axis, bool descending) {
  return graph::make_op_call(op_topk(), {std::move(x), graph::make_prim(std::move(count))},
                             Attrs{{"axis", Attr(axis)}, {"largest", Attr(descending)}});
}

// What topk of all gives: item 0 the elements, item 1 their places.
graph::Value sorted_item(const graph::CallNode& call, int item) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  const int64_t given = call.attrs.get_int("axis"), axis = given < 0 ? given + x->rank : given;
  const Expr& extent = (*x->shape)[static_cast<size_t>(axis)];
  return graph::make_tuple_get(
      ordered(call.args[0], extent, axis, call.attrs.get_bool("descending")), item);
}
graph::Value compose_sort(const graph::CallNode& call) {
  return sorted_item(call, 0);
}
graph::Value compose_argsort(const graph::CallNode& call) {
  return converted(sorted_item(call, 1), call.attrs.get_dtype("dtype"));
}

Result<Type> infer_sort(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  if (x->rank >= 0) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);
    if (!axis.ok()) return axis.errors();
  }
  const DType out = call.attrs.get_dtype("dtype", dtype);
  if (call.attrs.find("dtype") && !is_integer_dtype(out)) {  // C2
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`argsort` with dtype {}, expected an integer", out.to_string());
  }
  return x->shape ? tensor_like(*x, *x->shape, out) : ranked_like(*x, x->rank, out);
}

bool has_positions(const graph::CallNode& call) {
  const auto given = optional_ints(call, "axis");
  return given && given->size() == 1;
}

Result<Type> infer_median(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C3
  const auto given = optional_ints(call, "axis");
  const bool keep = call.attrs.get_bool("keepdims");
  Type values = ranked_like(*x, given || keep ? -1 : 0, dtype);
  if (x->rank >= 0) {
    REPOSE_TRY(axes, normalize_axes(context, call.op->name, given ? *given : std::vector<int64_t>{},
                                    x->rank, !given));
    values = ranked_like(*x, keep ? x->rank : x->rank - static_cast<int>(axes.size()), dtype);
    if (x->shape) {
      const RowAxes rows{*x->shape, axes};
      Dims out = rows.kept_shape();
      const Expr one = make_int(1);
      const Expr count = extent_of(*x->shape, axes);
      Expr none;  // one of the kept dimensions is 0
      for (const Expr& dim : out)
        none = none ? logical_or(none, eq(dim, make_int(0))) : eq(dim, make_int(0));
      const Expr enough = le(one, count);
      REPOSE_REQUIRE(context.require(none ? logical_or(enough, none) : enough,
                                     "`median` of {0} elements", {count}));
      if (keep) {  // C4
        out = *x->shape;
        for (int a : axes) out[static_cast<size_t>(a)] = one;
      }
      values = tensor_like(*x, std::move(out), dtype);
    }
  }
  if (!has_positions(call)) return values;
  const auto* v = as<TensorTypeNode>(values);
  return tuple_type({values, v->shape ? tensor_like(*v, *v->shape, dtypes::int64)
                                      : ranked_like(*v, v->rank, dtypes::int64)});
}

// The dimensions become one, the last; of it the last of the (n + 1) // 2 smallest elements.
Result<graph::Value> lower_median(Builder& b, const graph::CallNode& call) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  const RowAxes rows{*x->shape, axes_of(call, "axis", x->rank)};
  Dims shape = rows.kept_shape();
  const Expr count = rows.count();
  const size_t last = shape.size();
  shape.push_back(count);
  REPOSE_TRY(together, te::emit_te(b, "median_rows", {call.args[0]}, [&](const auto& in) {
               return std::vector<te::Tensor>{te::compute(
                   shape,
                   [&](const te::Indices& i) {
                     const te::Indices kept(i.begin(), i.end() - 1);
                     return in[0](rows.full(kept, row_major_indices(i.back(), rows.extents())));
                   },
                   "median_rows")};
             }));
  const Expr half = canonical(floor_div(count + 1, make_int(2)));
  REPOSE_TRY(flat, b.normalize(together));
  REPOSE_TRY(typed, b.infer_only(ordered(flat, half, static_cast<int64_t>(last), false)));
  REPOSE_TRY(lowered, op_topk().lower(b, *graph::as<graph::CallNode>(typed)));
  REPOSE_TRY(both, b.normalize(lowered));
  const bool keep = call.attrs.get_bool("keepdims");
  auto item = [&](int k) {
    const Dims& result = result_shape(call, static_cast<size_t>(k));
    return te::emit_te(b, "median", {graph::make_tuple_get(both, k)}, [&](const auto& in) {
      return std::vector<te::Tensor>{te::compute(
          result,
          [&](const te::Indices& i) {
            te::Indices at = keep ? rows.kept(i) : i;
            at.push_back(half - 1);
            return in[0](std::move(at));
          },
          "median")};
    });
  };
  if (!has_positions(call)) return item(0);
  REPOSE_TRY(values, item(0));
  REPOSE_TRY(places, item(1));
  return graph::make_tuple({values, places});
}

Result<Type> infer_bucketize(InferContext& context, const graph::CallNode& call) {
  auto dtype = common_dtype(context, call, 0, 1);  // C5
  if (!dtype.ok()) return dtype.errors();
  auto number = dtype_arg(context, call, 0, is_number_dtype, "a number");
  if (!number.ok()) return number.errors();
  REPOSE_REQUIRE(require_rank(context, call, 1, 1));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const DType out = call.attrs.get_bool("out_int32") ? dtypes::int32 : dtypes::int64;
  return x->shape ? tensor_like(*x, *x->shape, out) : ranked_like(*x, x->rank, out);
}

std::vector<te::Tensor> bucketize_rule(const graph::CallNode& call,
                                       const std::vector<te::Tensor>& in) {
  const bool right = call.attrs.get_bool("right");
  const DType dtype = result_dtype(call);
  return {te::reduce(
      result_shape(call), te::Reducer::sum, {in[1].shape()[0]},
      [&](const te::Indices& i, const te::Indices& k) {
        const Expr v = in[0](i), boundary = in[1](k);
        return make_cast(dtype, make_not(right ? lt(v, boundary) : le(v, boundary)));
      },
      "bucketize")};
}

}  // namespace

const OpDef& op_sort() {
  static const OpDef def{
      .name = "sort",
      .args = {{"x"}},
      .attrs = {{"axis", AttrKind::integer, Attr(-1)},
                {"descending", AttrKind::boolean, Attr(false)}},
      .infer = infer_sort,
      .lower = lower_composite<compose_sort>,
      .gradient = composed_gradient<lower_composite<compose_sort>>,
      .doc = "x with its elements along `axis` in order; NaN is greater than everything else"};
  return def;
}

const OpDef& op_argsort() {
  static const OpDef def{
      .name = "argsort",
      .args = {{"x"}},
      .attrs = {{"axis", AttrKind::integer, Attr(-1)},
                {"descending", AttrKind::boolean, Attr(false)},
                {"dtype", AttrKind::dtype, Attr(dtypes::int32)}},
      .infer = infer_sort,
      .lower = lower_composite<compose_argsort>,
      .doc = "where the elements in order along `axis` are in x; equal ones keep their order"};
  return def;
}

const OpDef& op_median() {
  static const OpDef def{
      .name = "median",
      .args = {{"x"}},
      .attrs = {{"axis", AttrKind::optional_integers, Attr()},
                {"keepdims", AttrKind::boolean, Attr(false)}},
      .infer = infer_median,
      .lower = lower_median,
      .doc =
          "the middle element in order, the lower of two, over the dimensions `axis` (None: "
          "all); over one dimension a tuple of it and its position"};
  return def;
}

const OpDef& op_bucketize() {
  static const OpDef def{
      .name = "bucketize",
      .args = {{"x"}, {"boundaries"}},
      .attrs = {{"out_int32", AttrKind::boolean, Attr(false)},
                {"right", AttrKind::boolean, Attr(false)}},
      .infer = infer_bucketize,
      .lower = te::lower<bucketize_rule>,
      .doc = "for each element the number of ascending boundaries below it (`right`: not above)"};
  return def;
}

}  // namespace repose
