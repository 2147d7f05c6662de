// Marks that gradients heed (passes/graph/gradient.h). Elsewhere they give their operand.
//   grad.no_grad: nothing flows back through it.
//   grad.start_checkpoint, grad.end_checkpoint: what lies between the marks isn't kept for the
//       gradient, but computed again from what is marked as a start.
//     C1: the operand is a tensor; the result has its type.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_mark(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));  // C1
  return x->shape ? tensor_like(*x, *x->shape, x->dtype) : ranked_like(*x, x->rank, x->dtype);
}

Result<graph::Value> lower_mark(Builder&, const graph::CallNode& call) {
  return call.args[0];
}

Gradients mark_gradient(Builder&, const Pullback& p) {
  return p.gradients;
}

}  // namespace

#define MARK(op, op_name, derivative, text)                 \
  const OpDef& op_##op() {                                  \
    static const OpDef def{.name = op_name,                 \
                           .args = {{"x"}},                 \
                           .infer = infer_mark,             \
                           .lower = lower_mark,             \
                           .elements = elements_of_operand, \
                           .gradient = derivative,          \
                           .doc = text};                    \
    return def;                                             \
  }

MARK(grad_start_checkpoint, "grad.start_checkpoint", mark_gradient,
     "x, from which a checkpointed part begins")
MARK(grad_end_checkpoint, "grad.end_checkpoint", mark_gradient, "x, which ends a checkpointed part")
MARK(grad_no_grad, "grad.no_grad", no_gradient, "x, through which no gradient flows")

}  // namespace repose
