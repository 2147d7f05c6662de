// matmul: c[…, m, n] = sum over k of a[…, m, k] * b[…, k, n], after NumPy.
//   C1: both operands have rank 1 or more. An `a` of rank 1 is a row, a `b` of rank 1 a column,
//       and that dimension is not in the result.
//   C2: both have one dtype, a number; with `out_dtype` they may differ.
//   C3: the last dimension of a is the one before the last of b (the only one of rank 1).
//   C4: the dimensions before the last two broadcast.
//   C5: the result's dtype is `out_dtype`, or the operands'. float16 and bfloat16 accumulate in
//       float32.
#include <algorithm>
#include <numeric>

#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_matmul(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(a, tensor_arg(context, call, 0));
  REPOSE_TRY(b, tensor_arg(context, call, 1));
  DType dtype = call.attrs.get_dtype("out_dtype");
  if (!dtype) {
    REPOSE_TRY(common, common_dtype(context, call, 0, 1));  // C2
    dtype = common;
  }
  for (size_t i = 0; i < 2; ++i) {
    auto number = dtype_arg(context, call, i, is_number_dtype, "a number");
    if (!number.ok()) return number.errors();
    const int rank = (i == 0 ? a : b)->rank;
    if (rank == 0) {  // C1
      return error(DiagnosticKind::rank_mismatch, context.span(),
                   "`matmul`: operand {} has rank 0, expected at least 1", i);
    }
  }
  if (!a->shape || !b->shape) {
    const bool ranked = a->rank > 0 && b->rank > 0;
    const int lost = (a->rank == 1) + (b->rank == 1);
    const int rank = ranked ? std::max({a->rank, b->rank, 2}) - lost : -1;
    return ranked_like(*a, rank, dtype);
  }
  const int column = b->rank == 1 ? 0 : b->rank - 2;
  REPOSE_REQUIRE(require_equal(context, call.op->name, a->shape->back(),  // C3
                               fmt::format("dimension {} of operand 0", a->rank - 1),
                               (*b->shape)[column],
                               fmt::format("dimension {} of operand 1", column)));
  const Dims batch_a(a->shape->begin(), a->shape->end() - std::min(a->rank, 2));
  const Dims batch_b(b->shape->begin(), b->shape->end() - std::min(b->rank, 2));
  REPOSE_TRY(out, broadcast_shapes(context, call.op->name, batch_a, batch_b));  // C4
  if (a->rank > 1) out.push_back((*a->shape)[a->rank - 2]);
  if (b->rank > 1) out.push_back(b->shape->back());
  return tensor_like(*a, out, dtype);  // C5
}

std::vector<te::Tensor> matmul_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const te::Tensor &a = in[0], &b = in[1];
  const Dims& shape = result_shape(call);
  const DType dtype = result_dtype(call), sum = accumulator_dtype(dtype);
  const bool has_row = a.rank() > 1, has_column = b.rank() > 1;
  const size_t batch = shape.size() - has_row - has_column;
  // Both operands have this extent: the one that says most.
  const Expr& rows_of_b = b.shape()[b.rank() == 1 ? 0 : b.shape().size() - 2];
  const Expr& extent = is_constant(rows_of_b) ? rows_of_b : a.shape().back();
  te::Tensor c = te::reduce(
      shape, te::Reducer::sum, {extent},
      [&](const te::Indices& i, const te::Indices& k) {
        auto batch_indices = [&](const te::Tensor& t) {
          te::Indices own;
          const size_t count = t.rank() > 2 ? t.shape().size() - 2 : 0;
          for (size_t d = 0; d < count; ++d) {
            const size_t at = d + batch - count;
            own.push_back(broadcast_index(t.shape()[d], shape[at], i[at]));
          }
          return own;
        };
        te::Indices of_a = batch_indices(a), of_b = batch_indices(b);
        if (has_row) of_a.push_back(i[batch]);
        of_a.push_back(k[0]);
        of_b.push_back(k[0]);
        if (has_column) of_b.push_back(i.back());
        return make_cast(sum, a(std::move(of_a))) * make_cast(sum, b(std::move(of_b)));
      },
      "matmul");
  return {cast_stage(c, dtype)};
}

graph::Value transposed(const graph::Value& x, size_t rank) {
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  std::swap(axes[rank - 1], axes[rank - 2]);
  return permuted(x, axes);
}

// g b^T into a, a^T g into b, where operands of rank 1 are a row and a column; summed over the
// dimensions that were broadcast.
Gradients matmul_gradient(Builder&, const Pullback& p) {
  Dims a = shape_of_arg(p.call, 0), b = shape_of_arg(p.call, 1), y = result_shape(p.call);
  if (b.size() == 1) y.push_back(make_int(1));
  if (a.size() == 1) y.insert(y.end() - 1, make_int(1));
  if (b.size() == 1) b.push_back(make_int(1));
  if (a.size() == 1) a.insert(a.begin(), make_int(1));
  auto seen = [&](const graph::Value& x, const Dims& shape, size_t rank) {
    return rank == shape.size() ? x : reshaped(x, shape);
  };
  const graph::Value g = seen(p.gradients[0], y, result_shape(p.call).size());
  const DType dtype = result_dtype(p.call);
  std::vector<graph::Value> gradients;
  for (size_t i = 0; i < 2; ++i) {
    const Dims &own = i == 0 ? a : b, &other = i == 0 ? b : a;
    const size_t rank = shape_of_arg(p.call, 1 - i).size();
    graph::Value factor = seen(p.call.args[1 - i], other, rank);
    const DType operand = graph::tensor_of(p.call.args[i])->dtype;
    if (graph::tensor_of(p.call.args[1 - i])->dtype != dtype) factor = converted(factor, dtype);
    factor = transposed(factor, other.size());
    graph::Value flow = i == 0 ? graph::make_op_call(op_matmul(), {g, factor})
                               : graph::make_op_call(op_matmul(), {factor, g});
    Dims from(y.begin(), y.end() - 2);
    from.insert(from.end(), own.end() - 2, own.end());
    flow = collapsed(flow, from, own);
    if (operand != dtype) flow = converted(flow, operand);
    gradients.push_back(seen(flow, shape_of_arg(p.call, i), own.size()));
  }
  return gradients;
}

}  // namespace

const OpDef& op_matmul() {
  static const OpDef def{
      .name = "matmul",
      .args = {{"a"}, {"b"}},
      .attrs = {{"out_dtype", AttrKind::dtype_or_none, Attr()}},
      .infer = infer_matmul,
      .lower = te::lower<matmul_rule>,
      .elements = te::elements<matmul_rule>,
      .gradient = matmul_gradient,
      .doc =
          "matrix product over the last dimension of a and the one before the last of b; further "
          "dimensions broadcast"};
  return def;
}

}  // namespace repose
