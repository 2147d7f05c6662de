// Activations.
#include <cmath>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

template <Name op>
Result<Operand> activation(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  return c.call(op.chars, {x});
}

Result<Operand> gelu(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(approximate, c.string("approximate", "none"));
  return c.call(approximate == "tanh" ? "nn.gelu_tanh" : "nn.gelu", {x});
}

Result<Operand> leaky_relu(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(slope, c.number("negative_slope", 0.01));
  return c.call("nn.leakyrelu", {x}, {{"alpha", slope}});
}

// x where it is positive, else alpha * (exp(input_scale * x) - 1), both times scale.
Result<Operand> elu(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  REPOSE_TRY(scale, c.number("scale", 1));
  REPOSE_TRY(input_scale, c.number("input_scale", 1));
  if (scale == 1 && input_scale == 1) return c.call("nn.elu", {x}, {{"alpha", alpha}});
  Composite m(c);
  const Operand scaled = m.multiply(x, input_scale);
  const Operand y = m.call("nn.elu", {scaled}, {{"alpha", alpha}});
  return m.result(m.multiply(m.where(m.greater(x, 0.0), x, y), scale));
}

Result<Operand> celu(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  return c.call("nn.celu", {x}, {{"alpha", alpha}});
}

Result<Operand> hard_tanh(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(low, c.number("min_val", -1));
  REPOSE_TRY(high, c.number("max_val", 1));
  Composite m(c);
  return m.result(m.clip(x, low, high));
}

Result<Operand> hard_sigmoid(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  Composite m(c);
  return m.result(m.divide(m.clip(m.add(x, 3.0), 0, 6), 6.0));
}

Result<Operand> hard_swish(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  Composite m(c);
  return m.result(m.divide(m.multiply(x, m.clip(m.add(x, 3.0), 0, 6)), 6.0));
}

Operand softplus_of(Composite& m, const Operand& x) {
  return m.call("nn.softplus", {x});
}

// softplus(beta * x) / beta, and x where beta * x is above the threshold.
Result<Operand> softplus(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(beta, c.number("beta", 1));
  REPOSE_TRY(threshold, c.number("threshold", 20));
  Composite m(c);
  const Operand scaled = beta == 1 ? x : m.multiply(x, beta);
  const Operand y = softplus_of(m, scaled);
  return m.result(m.where(m.greater(scaled, threshold), x, beta == 1 ? y : m.divide(y, beta)));
}

Result<Operand> log_sigmoid(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  Composite m(c);
  return m.result(m.unary("negative", softplus_of(m, m.unary("negative", x))));
}

Result<Operand> threshold(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(limit, c.number("threshold", 0));
  REPOSE_TRY(value, c.number("value", 0));
  Composite m(c);
  return m.result(m.where(m.greater(x, limit), x, value));
}

// log(x / (1 - x)), x brought into [eps, 1 - eps].
Result<Operand> logit(NodeContext& c) {
  REPOSE_TRY(given, operand(c));
  REPOSE_TRY(eps, c.number("eps", -1));
  Composite m(c);
  const Operand x = eps >= 0 ? m.clip(given, eps, 1 - eps) : given;
  return m.result(m.unary("log", m.divide(x, m.subtract(1.0, x))));
}

// The first half along `dim` times the sigmoid of the other.
Result<Operand> gated_linear_unit(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(given, c.integer("dim", -1));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(halves,
             c.call_tuple("split", {x}, {{"indices_or_sections", int64_t{2}}, {"axis", axis}}));
  Composite m(c);
  return m.result(m.multiply(halves[0], m.unary("sigmoid", halves[1])));
}

Result<Operand> prelu(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(weight, c.tensor("weight"));
  REPOSE_TRY(rank, c.rank(x));
  Composite m(c);
  const Dims dims = m.shape(weight);
  Operand slope = weight;
  if (m.ok() && dims.size() == 1) {
    Dims shape(static_cast<size_t>(rank), make_int(1));
    if (rank >= 2) shape[1] = dims[0];
    slope = m.reshape(weight, shape);
  }
  return m.result(m.where(m.greater(x, 0.0), x, m.multiply(x, slope)));
}

template <Name op>
Result<Operand> softmax(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(rank, c.rank(x));
  if (rank == 0) {
    REPOSE_TRY(row, c.reshape(x, {make_int(1)}));
    REPOSE_TRY(y, c.call(op.chars, {row}, {{"axis", 0}}));
    return c.reshape(y, {});
  }
  return c.call(op.chars, {x}, {{"axis", axis}});
}

}  // namespace

std::span<const OperatorRow> activation_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten._log_softmax.default", one<softmax<"nn.log_softmax">>},
      {"aten._prelu_kernel.default", one<prelu>},
      {"aten._safe_softmax.default", one<softmax<"nn.softmax">>},
      {"aten._softmax.default", one<softmax<"nn.softmax">>},
      {"aten.celu.default", one<celu>},
      {"aten.elu.default", one<elu>},
      {"aten.gelu.default", one<gelu>},
      {"aten.glu.default", one<gated_linear_unit>},
      {"aten.hardsigmoid.default", one<hard_sigmoid>},
      {"aten.hardswish.default", one<hard_swish>},
      {"aten.hardtanh.default", one<hard_tanh>},
      {"aten.leaky_relu.default", one<leaky_relu>},
      {"aten.log_sigmoid.default", one<log_sigmoid>},
      {"aten.log_softmax.int", one<softmax<"nn.log_softmax">>},
      {"aten.logit.default", one<logit>},
      {"aten.mish.default", one<activation<"nn.mish">>},
      {"aten.prelu.default", one<prelu>},
      {"aten.relu.default", one<activation<"nn.relu">>},
      {"aten.relu6.default", one<activation<"nn.relu6">>},
      {"aten.selu.default", one<activation<"nn.selu">>},
      {"aten.silu.default", one<activation<"nn.silu">>},
      {"aten.softmax.int", one<softmax<"nn.softmax">>},
      {"aten.softplus.default", one<softplus>},
      {"aten.threshold.default", one<threshold>},
  };
  return rows;
}

}  // namespace repose::torch
