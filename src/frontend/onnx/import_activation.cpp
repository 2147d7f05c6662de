// Activation functions and softmax.
#include <limits>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// One attribute of an ONNX operator that our operator has too.
struct Parameter {
  const char* theirs;
  const char* ours;
  double absent;
};

// An activation with an operator of its own.
struct Activation {
  const char* op;
  Parameter first = {}, second = {};
};

constexpr Activation relu{"nn.relu"};
constexpr Activation elu{"nn.elu", {"alpha", "alpha", 1.0}};
constexpr Activation celu{"nn.celu", {"alpha", "alpha", 1.0}};
constexpr Activation selu{"nn.selu",
                          {"alpha", "alpha", 1.67326319217681884765625},
                          {"gamma", "gamma", 1.05070102214813232421875}};
// Before operator set 6.
constexpr Activation selu_of_few_digits{
    "nn.selu", {"alpha", "alpha", 1.6732}, {"gamma", "gamma", 1.0507}};
constexpr Activation leaky_relu{"nn.leakyrelu", {"alpha", "alpha", 0.01}};
constexpr Activation thresholded_relu{"nn.thresholded_relu", {"alpha", "alpha", 1.0}};
constexpr Activation hard_sigmoid{
    "nn.hard_sigmoid", {"alpha", "alpha", 0.2}, {"beta", "beta", 0.5}};
constexpr Activation hard_swish{"nn.hard_swish"};
constexpr Activation softplus{"nn.softplus"};
constexpr Activation softsign{"nn.softsign"};
constexpr Activation mish{"nn.mish"};

template <const Activation& a>
Result<Operand> activation(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  Attrs attrs;
  for (const Parameter& p : {a.first, a.second}) {
    if (!p.theirs) continue;
    REPOSE_TRY(value, c.number(p.theirs, p.absent));
    attrs.set(p.ours, value);
  }
  return c.call(a.op, {x}, std::move(attrs));
}

Result<Operand> gelu(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(approximate, c.string("approximate", "none"));
  return c.call(approximate == "tanh" ? "nn.gelu_tanh" : "nn.gelu", {x});
}

// x * sigmoid(alpha * x)
Result<Operand> swish(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  if (alpha == 1) return c.call("nn.silu", {x});
  REPOSE_TRY(scaled, c.call("multiply", {x, c.scalar_like(x, alpha)}));
  REPOSE_TRY(gate, c.call("sigmoid", {scaled}));
  return c.call("multiply", {x, gate});
}

// The slope broadcasts to x.
Result<Operand> prelu(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(slope, c.input(1));
  if (c.opset() < 7) {  // one for each channel
    REPOSE_TRY(rank, c.rank(x));
    REPOSE_TRY(dims, c.shape(slope));
    const bool is_one = dims.size() == 1 && is_const_int(dims[0], 1);
    if (dims.size() == 1 && !is_one && rank > 1) {
      dims.resize(static_cast<size_t>(rank - 1), make_int(1));
      REPOSE_TRY(column, c.reshape(slope, dims));
      slope = column;
    }
  }
  REPOSE_TRY(is_negative, c.call("less", {x, c.scalar_like(x, 0)}));
  REPOSE_TRY(scaled, c.call("multiply", {x, slope}));
  return c.call("where", {is_negative, scaled, x});
}

// x + bias below -lambd, x - bias above lambd, else 0.
Result<Operand> shrink(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(bias, c.number("bias", 0));
  REPOSE_TRY(lambd, c.number("lambd", 0.5));
  REPOSE_TRY(below, c.call("less", {x, c.scalar_like(x, -lambd)}));
  REPOSE_TRY(above, c.call("greater", {x, c.scalar_like(x, lambd)}));
  REPOSE_TRY(raised, c.call("add", {x, c.scalar_like(x, bias)}));
  REPOSE_TRY(lowered, c.call("subtract", {x, c.scalar_like(x, bias)}));
  REPOSE_TRY(inner, c.call("where", {above, lowered, c.scalar_like(x, 0)}));
  return c.call("where", {below, raised, inner});
}

// ---- Softmax
// -------------------------------------------------------------------------------------

// Exactly one 1 along the axis: at the first of the largest elements.
Result<Operand> hardmax_along(NodeContext& c, const Operand& x, int64_t axis) {
  REPOSE_TRY(dims, c.shape(x));
  const size_t at = static_cast<size_t>(axis);
  Composite m(c);
  // Of no elements there is no largest: one behind them is none of theirs.
  const Operand filled =
      prove(le(make_int(1), dims[at]), c.facts()) == Truth::yes
          ? x
          : m.pad(x, axis, make_int(0), make_int(1),
                  m.scalar(c.dtype(x), -std::numeric_limits<double>::infinity()));
  REPOSE_TRY(best, m.result(m.call("argmax", {filled}, {{"axis", axis}, {"keepdims", true}})));
  REPOSE_TRY(positions, c.call("arange", {graph::make_prim(dims[at])}));
  Dims row(dims.size(), make_int(1));
  row[at] = dims[at];
  REPOSE_TRY(columns, c.reshape(positions, row));
  REPOSE_TRY(hits, c.call("equal", {best, columns}));
  return c.cast(hits, c.dtype(x));
}

enum class Kind { softmax, log_softmax, hardmax };

template <Kind kind>
Result<Operand> along(NodeContext& c, const Operand& x, int64_t axis) {
  if constexpr (kind == Kind::hardmax) return hardmax_along(c, x, axis);
  return c.call(kind == Kind::softmax ? "nn.softmax" : "nn.log_softmax", {x}, {{"axis", axis}});
}

template <Kind kind>
Result<Operand> softmax(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("axis", -1));
  REPOSE_TRY(axis, c.axis(given, rank));
  return along<kind>(c, x, axis);
}

// Before operator set 13: over all dimensions from `axis` on, as rows of a matrix.
template <Kind kind>
Result<Operand> softmax_of_rows(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  const int64_t rank = static_cast<int64_t>(dims.size());
  REPOSE_TRY(given, c.integer("axis", 1));
  if (given < -rank || given > rank) {
    return c.fail(DiagnosticKind::bad_attribute, "axis {} of a tensor of rank {}", given, rank);
  }
  const int64_t axis = given < 0 ? given + rank : given;
  if (axis == rank - 1) return along<kind>(c, x, axis);
  Expr rows = make_int(1), columns = make_int(1);
  for (int64_t i = 0; i < rank; ++i) {
    Expr& extent = i < axis ? rows : columns;
    extent = canonical(extent * dims[static_cast<size_t>(i)]);
  }
  REPOSE_TRY(matrix, c.reshape(x, {rows, columns}));
  REPOSE_TRY(y, along<kind>(c, matrix, 1));
  return c.reshape(y, dims);
}

}  // namespace

std::span<const OperatorRow> activation_operators() {
  static constexpr OperatorRow rows[] = {
      {"Celu", 12, one<activation<celu>>},
      {"Elu", 1, one<activation<elu>>},
      {"Gelu", 20, one<gelu>},
      {"HardSigmoid", 1, one<activation<hard_sigmoid>>},
      {"HardSwish", 14, one<activation<hard_swish>>},
      {"Hardmax", 1, one<softmax_of_rows<Kind::hardmax>>},
      {"Hardmax", 13, one<softmax<Kind::hardmax>>},
      {"LeakyRelu", 1, one<activation<leaky_relu>>},
      {"LogSoftmax", 1, one<softmax_of_rows<Kind::log_softmax>>},
      {"LogSoftmax", 13, one<softmax<Kind::log_softmax>>},
      {"Mish", 18, one<activation<mish>>},
      {"PRelu", 1, one<prelu>},
      {"Relu", 1, one<activation<relu>>},
      {"Selu", 1, one<activation<selu_of_few_digits>>},
      {"Selu", 6, one<activation<selu>>},
      {"Shrink", 9, one<shrink>},
      {"Softmax", 1, one<softmax_of_rows<Kind::softmax>>},
      {"Softmax", 13, one<softmax<Kind::softmax>>},
      {"Softplus", 1, one<activation<softplus>>},
      {"Softsign", 1, one<activation<softsign>>},
      {"Swish", 24, one<swish>},
      {"ThresholdedRelu", 10, one<activation<thresholded_relu>>},
  };
  return rows;
}

}  // namespace repose::onnx
