// Operators that consist of others: one expression of calls gives their type and their lowering.
#pragma once

#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

// What a call is in terms of other operators: calls within calls, none of them typed yet. Operands
// of `call` are typed, and their shapes are known.
using Composition = graph::Value (*)(const graph::CallNode& call);

// The type of an expression of calls, whose leaves are typed; what the calls require is stated.
Result<Type> composite_type(InferContext& context, const graph::Value& value);

// Whether the shapes of all tensor operands are known.
bool has_shapes(const graph::CallNode& call);

template <Composition compose>
Result<graph::Value> lower_composite(Builder&, const graph::CallNode& call) {
  return compose(call);
}

// The members of a tuple, one by one.
std::vector<graph::Value> members_of(const graph::Value& tuple);
// A tensor of rank 0.
graph::Value scalar_constant(DType dtype, double value);

// ---- Calls that composites are made of
graph::Value reshaped(graph::Value x, Dims shape);
graph::Value permuted(graph::Value x, const std::vector<int64_t>& axes);
graph::Value converted(graph::Value x, DType dtype);
graph::Value sliced(graph::Value x, int64_t axis, Expr begin, Expr end);
// The same where 0 <= begin <= end <= the dimension.
graph::Value part_of(graph::Value x, int64_t axis, Expr begin, Expr end);

}  // namespace repose
