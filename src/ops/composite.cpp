// Types of expressions of calls.
#include "ops/composite.h"

#include <algorithm>

namespace repose {

namespace {

Result<graph::Value> typed_value(InferContext& context, const graph::Value& value) {
  if (const auto* tuple = graph::as<graph::TupleNode>(value)) {
    std::vector<graph::Value> fields;
    for (const graph::Value& field : tuple->fields) {
      REPOSE_TRY(typed, typed_value(context, field));
      fields.push_back(typed);
    }
    return graph::make_tuple(std::move(fields));
  }
  if (const auto* get = graph::as<graph::TupleGetNode>(value)) {
    REPOSE_TRY(typed, typed_value(context, get->tuple));
    return graph::make_tuple_get(typed, get->index);
  }
  const auto* call = graph::as<graph::CallNode>(value);
  if (!call || call->type) return value;
  std::vector<graph::Value> args;
  for (const graph::Value& a : call->args) {
    REPOSE_TRY(typed, typed_value(context, a));
    args.push_back(typed);
  }
  REPOSE_TRY(attrs, check_call(*call->op, args, call->attrs, context.span()));
  const graph::CallNode untyped(call->op, nullptr, args, attrs, {}, nullptr);
  REPOSE_TRY(type, call->op->infer(context, untyped));
  return graph::Value(make_ref<graph::CallNode>(call->op, nullptr, args, attrs, std::vector<Type>{},
                                                std::move(type)));
}

}  // namespace

Result<Type> composite_type(InferContext& context, const graph::Value& value) {
  REPOSE_TRY(typed, typed_value(context, value));
  return typed->type;
}

bool has_shapes(const graph::CallNode& call) {
  return std::all_of(call.args.begin(), call.args.end(), [](const graph::Value& a) {
    const TensorTypeNode* t = graph::tensor_of(a);
    return !t || t->shape;
  });
}

std::vector<graph::Value> members_of(const graph::Value& tuple) {
  if (const auto* literal = graph::as<graph::TupleNode>(tuple)) return literal->fields;
  std::vector<graph::Value> members;
  const size_t count = as<TupleTypeNode>(tuple->type)->fields.size();
  for (size_t i = 0; i < count; ++i) {
    members.push_back(graph::make_tuple_get(tuple, static_cast<int>(i)));
  }
  return members;
}

graph::Value scalar_constant(DType dtype, double value) {
  return graph::make_constant(
      make_scalar_array(dtype.is_float() ? Scalar::of_float(value, dtype)
                                         : Scalar::of_int(static_cast<int64_t>(value), dtype)));
}

graph::Value reshaped(graph::Value x, Dims shape) {
  return graph::make_op_call(op_reshape(), {std::move(x), graph::make_shape(std::move(shape))});
}

graph::Value permuted(graph::Value x, const std::vector<int64_t>& axes) {
  return graph::make_op_call(op_permute_dims(), {std::move(x)}, Attrs{{"axes", Attr(axes)}});
}

graph::Value converted(graph::Value x, DType dtype) {
  return graph::make_op_call(op_astype(), {std::move(x)}, Attrs{{"dtype", Attr(dtype)}});
}

graph::Value part_of(graph::Value x, int64_t axis, Expr begin, Expr end) {
  return graph::make_op_call(
      op_strided_slice(),
      {std::move(x), graph::make_shape({std::move(begin)}), graph::make_shape({std::move(end)})},
      Attrs{{"axes", Attr(std::vector<int64_t>{axis})}, {"assume_inbound", Attr(true)}});
}

graph::Value sliced(graph::Value x, int64_t axis, Expr begin, Expr end) {
  return graph::make_op_call(
      op_strided_slice(),
      {std::move(x), graph::make_shape({std::move(begin)}), graph::make_shape({std::move(end)})},
      Attrs{{"axes", Attr(std::vector<int64_t>{axis})}});
}

}  // namespace repose
