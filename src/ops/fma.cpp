// ewise_fma: a * b + c, element by element; the product is rounded as `multiply` rounds it.
//   C1: the operands are numbers of one dtype.
//   C2: they have one shape, which the result has.
#include "ops/gradient.h"

namespace repose {

namespace {

graph::Value compose_fma(const graph::CallNode& call) {
  return graph::make_op_call(
      op_add(), {graph::make_op_call(op_multiply(), {call.args[0], call.args[1]}), call.args[2]});
}

Result<Type> infer_fma(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(a, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  Dims shape = a->shape ? *a->shape : Dims{};
  for (size_t i = 1; i < 3; ++i) {
    auto same = common_dtype(context, call, 0, i);
    if (!same.ok()) return same.errors();
    REPOSE_TRY(other, tensor_arg(context, call, i));
    if (a->rank >= 0) REPOSE_REQUIRE(require_rank(context, call, i, a->rank));
    if (!a->shape || !other->shape) continue;
    for (size_t d = 0; d < shape.size(); ++d) {  // C2
      const Expr& dim = (*other->shape)[d];
      REPOSE_REQUIRE(require_equal(context, call.op->name, shape[d],
                                   fmt::format("dimension {} of operand 0", d), dim,
                                   fmt::format("dimension {} of operand {}", d, i)));
      if (is_constant(dim)) shape[d] = dim;
    }
  }
  return a->shape ? tensor_like(*a, std::move(shape), dtype) : ranked_like(*a, a->rank, dtype);
}

}  // namespace

const OpDef& op_ewise_fma() {
  static const OpDef def{.name = "ewise_fma",
                         .args = {{"a"}, {"b"}, {"c"}},
                         .infer = infer_fma,
                         .lower = lower_composite<compose_fma>,
                         .gradient = composed_gradient<lower_composite<compose_fma>>,
                         .doc = "a * b + c of three tensors of one shape"};
  return def;
}

}  // namespace repose
