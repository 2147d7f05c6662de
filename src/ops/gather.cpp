// Elements picked by index tensors. Negative indices count from the end; indices outside of [-d,
// d) are errors at run time, caught where accesses are checked.
//   gather_elements: y[i…] = x[i… with i[axis] replaced by indices[i…]].
//     C1: the indices are integers; x and the indices have one rank; `axis` is one of their axes.
//     C2: but for `axis`, no dimension of the indices is larger than x's. The result has the
//         indices' shape and x's dtype.
//   gather_nd: y[b…, j…, s…] = x[b…, indices[b…, j…, 0], …, indices[b…, j…, n - 1], s…].
//     C3: the last dimension n of the indices is a constant; there are `batch_dims` dimensions b,
//         which agree; x has at least batch_dims + n dimensions.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_gather_elements(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(indices, tensor_arg(context, call, 1));
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");  // C1
  if (!integer.ok()) return integer.errors();
  const int rank = x->rank < 0 ? indices->rank : x->rank;
  if (rank < 0) return ranked_like(*x, -1, x->dtype);
  REPOSE_REQUIRE(require_rank(context, call, 1, rank));
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), rank));
  if (!indices->shape) return ranked_like(*x, rank, x->dtype);
  if (x->shape) {
    for (int d = 0; d < rank; ++d) {
      if (d == axis) continue;
      const Expr &have = (*indices->shape)[static_cast<size_t>(d)],
                 &limit = (*x->shape)[static_cast<size_t>(d)];
      REPOSE_REQUIRE(context.require(  // C2
          le(have, limit),
          fmt::format("`gather_elements`: dimension {} of the indices is {{0}}, of x {{1}}", d),
          {have, limit}));
    }
  }
  return tensor_like(*x, *indices->shape, x->dtype);
}

std::vector<te::Tensor> gather_elements_rule(const graph::CallNode& call,
                                             const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &indices = in[1];
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices source = i;
        source[axis] = checked_index(indices(i), x.shape()[axis], call.op->name);
        return x(std::move(source));
      },
      "gather_elements")};
}

Result<Type> infer_gather_nd(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(indices, tensor_arg(context, call, 1));
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  const int64_t batch = call.attrs.get_int("batch_dims");
  if (!indices->shape) return ranked_like(*x, -1, x->dtype);
  int64_t depth = 0;
  if (indices->rank == 0 ||
      !as_const_int(simplify(indices->shape->back(), context.facts()), &depth)) {  // C3
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`gather_nd`: the last dimension of the indices must be a constant");
  }
  if (batch < 0 || batch >= indices->rank || (x->rank >= 0 && batch + depth > x->rank)) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`gather_nd`: {} batch dimensions and {} indices for an operand of rank {}", batch,
                 depth, x->rank);
  }
  if (!x->shape) {
    const int rank =
        x->rank < 0 ? -1 : static_cast<int>(indices->rank - 1 + x->rank - batch - depth);
    return ranked_like(*x, rank, x->dtype);
  }
  for (int64_t d = 0; d < batch; ++d) {
    const auto at = static_cast<size_t>(d);
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[at],
                                 fmt::format("dimension {} of operand 0", d), (*indices->shape)[at],
                                 fmt::format("dimension {} of operand 1", d)));
  }
  Dims out(indices->shape->begin(), indices->shape->end() - 1);
  out.insert(out.end(), x->shape->begin() + batch + depth, x->shape->end());
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> gather_nd_rule(const graph::CallNode& call,
                                       const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &indices = in[1];
  const int64_t batch = call.attrs.get_int("batch_dims");
  const int64_t outer = indices.rank() - 1;
  const Dims& shape = result_shape(call);
  const int64_t depth = x.rank() - batch - (static_cast<int64_t>(shape.size()) - outer);
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        te::Indices source(i.begin(), i.begin() + batch);
        for (int64_t k = 0; k < depth; ++k) {
          te::Indices at(i.begin(), i.begin() + outer);
          at.push_back(make_int(k));
          source.push_back(checked_index(indices(std::move(at)),
                                         x.shape()[static_cast<size_t>(batch + k)], call.op->name));
        }
        source.insert(source.end(), i.begin() + outer, i.end());
        return x(std::move(source));
      },
      "gather_nd")};
}

Gradients gather_elements_gradient(Builder&, const Pullback& p) {
  const graph::Value sums = graph::make_op_call(
      op_scatter_elements(),
      {zeros_of(shape_of_arg(p.call, 0), result_dtype(p.call)), p.call.args[1], p.gradients[0]},
      Attrs{{"axis", Attr(p.call.attrs.get_int("axis"))}, {"reduction", Attr("add")}});
  return std::vector<graph::Value>{sums, nullptr};
}

// scatter_nd has no batches: their positions go before the indices.
Gradients gather_nd_gradient(Builder&, const Pullback& p) {
  const Dims& indices = shape_of_arg(p.call, 1);
  std::vector<graph::Value> columns;
  Dims column = indices;
  column.back() = make_int(1);
  for (size_t d = 0; d < static_cast<size_t>(p.call.attrs.get_int("batch_dims")); ++d) {
    Dims line(indices.size(), make_int(1));
    line[d] = indices[d];
    const graph::Value positions = graph::make_op_call(op_arange(), {graph::make_prim(indices[d])},
                                                       Attrs{{"dtype", Attr(dtypes::int64)}});
    columns.push_back(graph::make_op_call(op_broadcast_to(),
                                          {reshaped(positions, line), graph::make_shape(column)}));
  }
  graph::Value tuples = p.call.args[1];
  if (!columns.empty()) {
    columns.push_back(converted(tuples, dtypes::int64));
    tuples = graph::make_op_call(op_concat(), {graph::make_tuple(std::move(columns))},
                                 Attrs{{"axis", Attr(-1)}});
  }
  const graph::Value sums = graph::make_op_call(
      op_scatter_nd(),
      {zeros_of(shape_of_arg(p.call, 0), result_dtype(p.call)), tuples, p.gradients[0]},
      Attrs{{"reduction", Attr("add")}});
  return std::vector<graph::Value>{sums, nullptr};
}

}  // namespace

const OpDef& op_gather_elements() {
  static const OpDef def{.name = "gather_elements",
                         .args = {{"x"}, {"indices"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(0)}},
                         .infer = infer_gather_elements,
                         .lower = te::lower<gather_elements_rule>,
                         .elements = te::elements<gather_elements_rule>,
                         .gradient = gather_elements_gradient,
                         .doc = "for each index the element of x at it along `axis`"};
  return def;
}

const OpDef& op_gather_nd() {
  static const OpDef def{
      .name = "gather_nd",
      .args = {{"x"}, {"indices"}},
      .attrs = {{"batch_dims", AttrKind::integer, Attr(0)}},
      .infer = infer_gather_nd,
      .lower = te::lower<gather_nd_rule>,
      .gradient = gather_nd_gradient,
      .doc = "slices of x at index tuples along the last dimension of the indices"};
  return def;
}

}  // namespace repose
