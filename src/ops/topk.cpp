// topk(x, k): the k largest (or smallest) elements along `axis`, and where they are.
//   C1: x is a number of a known rank, at least 1; `axis` is one of its axes.
//   C2: 0 <= k <= the extent of that axis; k may be any expression.
//   C3: the result is a tuple: the values, of x's dtype, and their indices, int64 unless `dtype`
//       is another integer, both of x's shape with k along the axis; or, as `ret_type` says, one of
//       them: "values" or "indices".
//   C4: values come in order, the best first; of equal ones, the one with the lower index. NaN is
//       greater than everything else.
#include "ops/gradient.h"
#include "ops/sort.h"

namespace repose {

namespace {

Result<Type> infer_topk(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  const std::string wanted = call.attrs.get_string("ret_type");
  const DType place = call.attrs.get_dtype("dtype");
  if (wanted != "both" && wanted != "values" && wanted != "indices") {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`topk`: ret_type is \"{}\", expected \"both\", \"values\" or \"indices\"",
                 wanted);
  }
  if (!is_integer_dtype(place)) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`topk` with dtype {}, expected an integer", place.to_string());
  }
  auto both = [&](const Type& values, const Type& indices) {
    if (wanted == "both") return tuple_type({values, indices});
    return wanted == "values" ? values : indices;
  };
  const Expr k = prim_arg(call, 1, dtypes::index);
  if (x->rank < 0) {
    return both(ranked_like(*x, -1, dtype), ranked_like(*x, -1, place));
  }
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!x->shape || !k) {
    return both(ranked_like(*x, x->rank, dtype), ranked_like(*x, x->rank, place));
  }
  Dims shape = *x->shape;
  Expr& extent = shape[static_cast<size_t>(axis)];
  REPOSE_REQUIRE(context.require(logical_and(le(make_int(0), k), le(k, extent)),  // C2
                                 "`topk`: {0} of {1} elements are asked for", {k, extent}));
  extent = k;
  return both(tensor_like(*x, shape, dtype), tensor_like(*x, shape, place));  // C3
}

// Rows in parallel: sorts the row's positions, and stores the first k.
Result<graph::Value> lower_topk(Builder& b, const graph::CallNode& call) {
  if (!prim_arg(call, 1, dtypes::index)) {
    return error(DiagnosticKind::unsupported_feature, {}, "`topk`: `k` has no known value");
  }
  const Buffer x = buffer_for(call.args[0], "x");
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis =
      static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(x->shape.size()) : given);
  const bool largest = call.attrs.get_bool("largest");
  const Dims& shape = result_shape(call);
  const Expr &extent = x->shape[axis], &k = shape[axis];
  const Buffer values = make_buffer("values", shape, x->dtype);
  const Buffer indices = make_buffer("indices", shape, call.attrs.get_dtype("dtype"));
  const Buffer order = make_buffer("order", {extent}, dtypes::int64, Scope::workspace);
  // What one row, at these indices but along the axis, needs.
  auto of_row = [&](const te::Indices& row) {
    auto key = [&](const Expr& i) { return make_load(x, with(row, axis, i)); };
    const tir::Stmt sort =
        sort_items(order, extent, k, [&](const Expr& i, const Expr& j, const Buffer& precedes) {
          return store(precedes, {make_int(0)},
                       largest ? is_less(key(j), key(i)) : is_less(key(i), key(j)));  // C4
        });
    const tir::Stmt copy = for_each("j", k, [&](const Expr& j) {
      const te::Indices to = with(row, axis, j);
      return tir::make_seq({store(values, to, key(load_index(order, {j}))),
                            store(indices, to, make_load(order, {j}))});
    });
    return with_buffers({order}, tir::make_seq({sort, copy}));
  };
  const Dims outer = without(x->shape, axis);
  const tir::Stmt body = for_each_element("row", outer, of_row);
  REPOSE_TRY(both, emit_program(b, "topk", {call.args[0]}, {x}, {values, indices}, body));
  const std::string wanted = call.attrs.get_string("ret_type");
  if (wanted == "both") return both;
  REPOSE_TRY(results, b.normalize(both));
  return graph::make_tuple_get(results, wanted == "values" ? 0 : 1);
}

Gradients topk_gradient(Builder&, const Pullback& p) {
  graph::Value places;
  if (p.call.attrs.get_string("ret_type") == "both") {
    places = graph::make_tuple_get(p.result, 1);
  } else {
    Attrs attrs = p.call.attrs;
    attrs.set("ret_type", Attr("indices"));
    places = graph::make_op_call(*p.call.op, p.call.args, attrs);
  }
  const graph::Value sums = graph::make_op_call(
      op_scatter_elements(),
      {zeros_of(shape_of_arg(p.call, 0), result_dtype(p.call)), places, p.gradients[0]},
      Attrs{{"axis", Attr(p.call.attrs.get_int("axis"))}, {"reduction", Attr("add")}});
  return std::vector<graph::Value>{sums, nullptr};
}

}  // namespace

const OpDef& op_topk() {
  static const OpDef def{
      .name = "topk",
      .args = {{"x"}, {"k", ArgKind::prim}},
      .attrs = {{"axis", AttrKind::integer, Attr(-1)},
                {"ret_type", AttrKind::string, Attr("both")},
                {"largest", AttrKind::boolean, Attr(true)},
                {"dtype", AttrKind::dtype, Attr(dtypes::int64)}},
      .infer = infer_topk,
      .lower = lower_topk,
      .gradient = topk_gradient,
      .doc =
          "the k largest or smallest elements along `axis`, in order, and "
          "their indices (int64 unless `dtype` is given); `ret_type` asks for one of them"};
  return def;
}

}  // namespace repose
