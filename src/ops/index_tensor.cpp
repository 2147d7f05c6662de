// index_tensor: y[j…, s…] = x[indices[0][j'…], …, indices[n - 1][j'…], s…]: as NumPy indexes by a
// tuple of integer arrays. index_put: x with these elements replaced by values, or, with
// `accumulate`, increased by them.
//   C1: there are 1 to x.rank indices, all integers; their shapes broadcast (type_rules.h).
//   Negative
//       ones count from the end; those outside of [-d, d) are errors at run time.
//   C2: the result of index_tensor has the broadcast shape, then x's dimensions from the n-th on.
//   C3: index_put takes values of x's dtype that broadcast to that shape; where two go to one
//       element, the last one in row-major order stays.
#include "ops/gradient.h"

namespace repose {

namespace {

// The broadcast of the indices' shapes; nothing where one isn't known.
Result<std::optional<Dims>> index_shape(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const auto& fields = as<TupleTypeNode>(call.args[1]->type)->fields;
  const auto count = static_cast<int>(fields.size());
  if (count == 0 || (x->rank >= 0 && count > x->rank)) {  // C1
    return error(DiagnosticKind::wrong_arity, context.span(),
                 "`{}`: {} indices for an operand of rank {}", call.op->name, count, x->rank);
  }
  std::optional<Dims> shape = Dims{};
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto* t = as<TensorTypeNode>(fields[i]);
    if (t->dtype && !is_integer_dtype(t->dtype)) {
      return error(DiagnosticKind::dtype_mismatch, context.span(),
                   "`{}`: index {} has dtype {}, expected an integer", call.op->name, i,
                   t->dtype.to_string());
    }
    if (!t->shape) shape.reset();
    if (!shape) continue;
    REPOSE_TRY(both, broadcast_shapes(context, call.op->name, *shape, *t->shape));
    shape = both;
  }
  return shape;
}

// The shape of what the indices name.
Dims indexed_shape(const TensorTypeNode& x, const graph::CallNode& call, Dims shape) {
  const size_t count = as<TupleTypeNode>(call.args[1]->type)->fields.size();
  shape.insert(shape.end(), x.shape->begin() + static_cast<int64_t>(count), x.shape->end());
  return shape;
}

Result<Type> infer_index_tensor(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(shape, index_shape(context, call));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (!x->shape || !shape) return ranked_like(*x, -1, x->dtype);
  return tensor_like(*x, indexed_shape(*x, call, *shape), x->dtype);  // C2
}

std::vector<te::Tensor> index_tensor_rule(const graph::CallNode& call,
                                          const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Dims& shape = result_shape(call);
  const size_t count = in.size() - 1, outer = shape.size() - (x.shape().size() - count);
  const Dims grid(shape.begin(), shape.begin() + static_cast<int64_t>(outer));
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        te::Indices at;
        for (size_t k = 0; k < count; ++k) {
          const Expr index = broadcast_load(in[k + 1], grid, i);
          at.push_back(checked_index(index, x.shape()[k], call.op->name));
        }
        at.insert(at.end(), i.begin() + static_cast<int64_t>(outer), i.end());
        return x(std::move(at));
      },
      "index_tensor")};
}

Result<Type> infer_index_put(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(shape, index_shape(context, call));
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 2));  // C3
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(values, tensor_arg(context, call, 2));
  if (call.attrs.get_bool("accumulate")) {
    auto number = dtype_arg(context, call, 0, is_number_dtype, "a number");
    if (!number.ok()) return number.errors();
  }
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  if (shape && values->shape) {
    const Dims want = indexed_shape(*x, call, *shape);
    if (values->shape->size() > want.size()) {
      return error(DiagnosticKind::rank_mismatch, context.span(),
                   "`index_put`: the values have rank {}, the indices name a tensor of rank {}",
                   values->shape->size(), want.size());
    }
    const size_t skip = want.size() - values->shape->size();
    for (size_t d = 0; d < values->shape->size(); ++d) {
      const Expr& have = (*values->shape)[d];
      REPOSE_REQUIRE(context.require(
          logical_or(eq(have, make_int(1)), eq(have, want[d + skip])),
          fmt::format("`index_put`: dimension {} of the values is {{0}}, expected 1 or {{1}}", d),
          {have, want[d + skip]}));
    }
  }
  return tensor_like(*x, *x->shape, dtype);
}

// By scatter_nd, whose indices are the members of one tensor's last dimension.
Result<graph::Value> lower_index_put(Builder& b, const graph::CallNode& call) {
  REPOSE_TRY(typed,
             b.infer_only(graph::make_op_call(op_index_tensor(), {call.args[0], call.args[1]})));
  const Dims target = *graph::tensor_of(typed)->shape;
  const std::vector<graph::Value> operands = te::tensor_operands(call);
  const size_t count = operands.size() - 2;
  const size_t outer = target.size() - (graph::tensor_of(call.args[0])->shape->size() - count);
  const Dims grid(target.begin(), target.begin() + static_cast<int64_t>(outer));
  std::vector<graph::Value> indices;
  for (size_t k = 0; k < count; ++k) {
    indices.push_back(graph::make_op_call(
        op_broadcast_to(), {converted(operands[k + 1], dtypes::int64), graph::make_shape(grid)}));
  }
  const graph::Value tuples =
      graph::make_op_call(op_stack(), {graph::make_tuple(std::move(indices))},
                          Attrs{{"axis", Attr(static_cast<int64_t>(outer))}});
  const graph::Value values =
      graph::make_op_call(op_broadcast_to(), {call.args[2], graph::make_shape(target)});
  const char* reduction = call.attrs.get_bool("accumulate") ? "add" : "update";
  return graph::make_op_call(op_scatter_nd(), {call.args[0], tuples, values},
                             Attrs{{"reduction", Attr(reduction)}});
}

Gradients index_tensor_gradient(Builder&, const Pullback& p) {
  const graph::Value zeros = zeros_of(shape_of_arg(p.call, 0), result_dtype(p.call));
  return std::vector<graph::Value>{
      graph::make_op_call(op_index_put(), {zeros, p.call.args[1], p.gradients[0]},
                          Attrs{{"accumulate", Attr(true)}}),
      nullptr};
}

}  // namespace

const OpDef& op_index_tensor() {
  static const OpDef def{.name = "index_tensor",
                         .args = {{"x"}, {"indices", ArgKind::tensors}},
                         .infer = infer_index_tensor,
                         .lower = te::lower<index_tensor_rule>,
                         .gradient = index_tensor_gradient,
                         .doc =
                             "elements, or slices, of x at a tuple of index tensors, one for "
                             "each of its first dimensions"};
  return def;
}

const OpDef& op_index_put() {
  static const OpDef def{.name = "index_put",
                         .args = {{"x"}, {"indices", ArgKind::tensors}, {"values"}},
                         .attrs = {{"accumulate", AttrKind::boolean, Attr(false)}},
                         .infer = infer_index_put,
                         .lower = lower_index_put,
                         .gradient = composed_gradient<lower_index_put>,
                         .doc =
                             "x with elements, or slices, at a tuple of index tensors replaced "
                             "by values (`accumulate`: increased by them)"};
  return def;
}

}  // namespace repose
