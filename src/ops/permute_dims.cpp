// permute_dims: y[i…] = x with dimension d of the result running over dimension axes[d] of x.
//   C1: `axes` names every dimension of the operand once; None reverses them.
//   C2: dimension d of the result is dimension axes[d] of the operand; the dtype stays.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

std::vector<int> permutation_of(const graph::CallNode& call, int rank) {
  std::vector<int> axes;
  if (const auto given = optional_ints(call, "axes")) {
    for (int64_t a : *given) axes.push_back(static_cast<int>(a < 0 ? a + rank : a));
  } else {
    for (int i = rank; i-- > 0;) axes.push_back(i);
  }
  return axes;
}

Result<Type> infer_permute_dims(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const auto given = optional_ints(call, "axes");
  if (given) {  // C1
    const int rank = x->rank < 0 ? static_cast<int>(given->size()) : x->rank;
    REPOSE_TRY(sorted, normalize_axes(context, call.op->name, *given, rank, false));
    if (static_cast<int>(sorted.size()) != rank) {
      return error(DiagnosticKind::bad_attribute, context.span(),
                   "`permute_dims`: {} axes for a tensor of rank {}", sorted.size(), rank);
    }
  }
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  Dims out;
  for (int a : permutation_of(call, x->rank)) out.push_back((*x->shape)[a]);  // C2
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> permute_dims_rule(const graph::CallNode& call,
                                          const std::vector<te::Tensor>& in) {
  const std::vector<int> axes = permutation_of(call, in[0].rank());
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices source(i.size());
        for (size_t d = 0; d < i.size(); ++d) source[axes[d]] = i[d];
        return in[0](std::move(source));
      },
      "permute_dims")};
}

Gradients permute_gradient(Builder&, const Pullback& p) {
  const std::vector<int> axes =
      permutation_of(p.call, static_cast<int>(result_shape(p.call).size()));
  std::vector<int64_t> inverse(axes.size());
  for (size_t d = 0; d < axes.size(); ++d) {
    inverse[static_cast<size_t>(axes[d])] = static_cast<int64_t>(d);
  }
  return std::vector<graph::Value>{permuted(p.gradients[0], inverse)};
}

}  // namespace

const OpDef& op_permute_dims() {
  static const OpDef def{
      .name = "permute_dims",
      .args = {{"x"}},
      .attrs = {{"axes", AttrKind::optional_integers, Attr()}},
      .infer = infer_permute_dims,
      .lower = te::lower<permute_dims_rule>,
      .elements = te::elements<permute_dims_rule>,
      .gradient = permute_gradient,
      .doc = "dimension d of the result is dimension axes[d] of the operand (None: reversed)"};
  return def;
}

}  // namespace repose
