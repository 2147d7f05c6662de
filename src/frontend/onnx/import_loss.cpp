// Losses of classifications.
#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

enum class Reduction { none, mean, sum };

Result<Reduction> reduction_of(NodeContext& c) {
  REPOSE_TRY(name, c.string("reduction", "mean"));
  if (name == "none") return Reduction::none;
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  return c.fail(DiagnosticKind::bad_attribute,
                "attribute `reduction` is \"{}\", expected \"none\", \"mean\" or \"sum\"",
                printable(name));
}

// -x[n, target[n, …], …] * weight[target[n, …]]; 0 where the target is to be ignored. The mean is
// weighted too.
Result<Operand> negative_log_likelihood(NodeContext& c, const Operand& x) {
  REPOSE_TRY(target, c.input(1));
  REPOSE_TRY(reduction, reduction_of(c));
  REPOSE_TRY(rank, c.rank(x));
  if (rank < 2) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 2",
                  rank);
  }
  Composite m(c);
  m.shape(target, rank - 1, 1);
  Operand index = target, counts;
  if (c.find("ignore_index")) {
    REPOSE_TRY(ignored, c.integer("ignore_index"));
    const DType dtype = c.dtype(target);
    const Scalar value = Scalar::of_int(ignored, dtype);
    if (value.i == ignored) {  // otherwise no target is that
      counts = m.not_equal(target, graph::make_constant(make_scalar_array(value)));
      index = m.where(counts, target, 0.0);
    }
  }
  const Operand picked = m.call("gather_elements", {x, m.unsqueeze(index, {1})}, {{"axis", 1}});
  Operand loss = m.unary("negative", m.squeeze(picked, {1}));
  Operand weight;
  if (c.has(2)) {
    m.shape(c.optional(2), 1, 2);
    weight = m.gather(c.optional(2), index, 0);
    loss = m.multiply(loss, weight);
  }
  if (counts) {
    loss = m.where(counts, loss, 0.0);
    weight = weight ? m.where(counts, weight, 0.0) : m.cast(counts, c.dtype(x));
  }
  if (reduction == Reduction::none || !m.ok()) return m.result(loss);
  std::vector<int64_t> all;
  for (int64_t a = 0; a + 1 < rank; ++a) all.push_back(a);
  if (reduction == Reduction::mean && !weight) return m.result(m.mean(loss, all, false));
  const Operand total = m.sum(loss, all, false);
  if (reduction == Reduction::sum) return m.result(total);
  return m.result(m.divide(total, m.sum(weight, all, false)));
}

Result<Operand> nll_loss(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return negative_log_likelihood(c, x);
}

Result<Values> softmax_cross_entropy(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(logarithms, c.call("nn.log_softmax", {x}, {{"axis", 1}}));
  REPOSE_TRY(loss, negative_log_likelihood(c, logarithms));
  return Values{loss, logarithms};
}

}  // namespace

std::span<const OperatorRow> loss_operators() {
  static constexpr OperatorRow rows[] = {
      {"NegativeLogLikelihoodLoss", 12, one<nll_loss>},
      {"SoftmaxCrossEntropyLoss", 12, softmax_cross_entropy},
  };
  return rows;
}

}  // namespace repose::onnx
