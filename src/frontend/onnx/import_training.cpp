// Steps of optimizers: the domain ai.onnx.preview.training.
#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// Operands: the rate, the number of steps so far, and then for each of several tensors a value, and
// likewise the other groups.
struct Step {
  Operand rate, count;
  std::vector<std::vector<Operand>> groups;  // [group][tensor]
};

Result<Step> step_of(NodeContext& c, size_t groups) {
  REPOSE_TRY(all, c.all_inputs());
  if (all.size() < 2 + groups || (all.size() - 2) % groups != 0) {
    return c.fail(DiagnosticKind::wrong_arity, "{} operands, expected 2 and {} for each tensor",
                  all.size(), groups);
  }
  const size_t tensors = (all.size() - 2) / groups;
  Step s{all[0], all[1], {}};
  for (size_t g = 0; g < groups; ++g) {
    const auto first = all.begin() + static_cast<int64_t>(2 + g * tensors);
    s.groups.emplace_back(first, first + static_cast<int64_t>(tensors));
  }
  return s;
}

// All results of the first kind, then all of the second, …
Values in_groups(const std::vector<Values>& of_tensors) {
  Values all;
  for (size_t k = 0; k < of_tensors[0].size(); ++k) {
    for (const Values& v : of_tensors) all.push_back(v[k]);
  }
  return all;
}

Result<Values> adagrad(NodeContext& c) {
  REPOSE_TRY(s, step_of(c, 3));
  REPOSE_TRY(decay, c.number("decay_factor", 0));
  REPOSE_TRY(epsilon, c.number("epsilon", 0));
  REPOSE_TRY(norm, c.number("norm_coefficient", 0));
  Composite m(c);
  std::vector<Values> results;
  for (size_t i = 0; i < s.groups[0].size(); ++i) {
    const Operand &x = s.groups[0][i], &g = s.groups[1][i], &h = s.groups[2][i];
    const DType t = c.dtype(x);
    const Operand slower = m.add(m.multiply(m.cast(s.count, t), decay), 1.0);
    const Operand rate = m.divide(m.cast(s.rate, t), slower);
    const Operand gradient = m.add(m.multiply(x, norm), g);
    const Operand squares = m.add(h, m.unary("square", gradient));
    const Operand by = m.add(m.unary("sqrt", squares), epsilon);
    results.push_back({m.subtract(x, m.divide(m.multiply(rate, gradient), by)), squares});
  }
  return m.results(m.ok() ? in_groups(results) : Values());
}

Result<Values> adam(NodeContext& c) {
  REPOSE_TRY(s, step_of(c, 4));
  REPOSE_TRY(alpha, c.number("alpha", 0.9));
  REPOSE_TRY(beta, c.number("beta", 0.999));
  REPOSE_TRY(epsilon, c.number("epsilon", 0));
  REPOSE_TRY(norm, c.number("norm_coefficient", 0));
  REPOSE_TRY(norm_after, c.number("norm_coefficient_post", 0));
  Composite m(c);
  std::vector<Values> results;
  for (size_t i = 0; i < s.groups[0].size(); ++i) {
    const Operand &x = s.groups[0][i], &g = s.groups[1][i];
    const Operand &v = s.groups[2][i], &h = s.groups[3][i];
    const DType t = c.dtype(x);
    const Operand gradient = m.add(m.multiply(x, norm), g);
    const Operand mean = m.add(m.multiply(v, alpha), m.multiply(gradient, 1 - alpha));
    const Operand squares =
        m.add(m.multiply(h, beta), m.multiply(m.unary("square", gradient), 1 - beta));
    const Operand by = m.add(m.unary("sqrt", squares), epsilon);
    // Without the bias of the first steps.
    const Operand count = m.cast(s.count, t), rate = m.cast(s.rate, t);
    const Operand of_squares = m.unary("sqrt", m.subtract(1.0, m.power(m.scalar(t, beta), count)));
    const Operand of_mean = m.subtract(1.0, m.power(m.scalar(t, alpha), count));
    const Operand unbiased = m.divide(m.multiply(rate, of_squares), of_mean);
    const Operand step = m.where(m.greater(s.count, 0.0), unbiased, rate);
    const Operand moved = m.subtract(x, m.multiply(step, m.divide(mean, by)));
    results.push_back({m.multiply(moved, 1 - norm_after), mean, squares});
  }
  return m.results(m.ok() ? in_groups(results) : Values());
}

Result<Values> momentum(NodeContext& c) {
  REPOSE_TRY(s, step_of(c, 3));
  REPOSE_TRY(alpha, c.number("alpha", 0));
  REPOSE_TRY(beta, c.number("beta", 1));
  REPOSE_TRY(norm, c.number("norm_coefficient", 0));
  REPOSE_TRY(mode, c.string("mode", "standard"));
  if (mode != "standard" && mode != "nesterov") {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `mode` is \"{}\", expected \"standard\" or \"nesterov\"",
                  printable(mode));
  }
  Composite m(c);
  std::vector<Values> results;
  for (size_t i = 0; i < s.groups[0].size(); ++i) {
    const Operand &x = s.groups[0][i], &g = s.groups[1][i], &v = s.groups[2][i];
    const DType t = c.dtype(x);
    const Operand gradient = m.add(m.multiply(x, norm), g);
    // The first gradient counts in full.
    const Operand share = m.where(m.greater(s.count, 0.0), m.scalar(t, beta), 1.0);
    const Operand speed = m.add(m.multiply(v, alpha), m.multiply(gradient, share));
    const Operand step = mode == "standard" ? speed : m.add(gradient, m.multiply(speed, alpha));
    results.push_back({m.subtract(x, m.multiply(m.cast(s.rate, t), step)), speed});
  }
  return m.results(m.ok() ? in_groups(results) : Values());
}

}  // namespace

std::span<const OperatorRow> training_operators() {
  static constexpr OperatorRow rows[] = {
      {"Adagrad", 1, adagrad},
      {"Adam", 1, adam},
      {"Momentum", 1, momentum},
  };
  return rows;
}

}  // namespace repose::onnx
