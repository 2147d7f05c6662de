// Recurrent layers: LSTM, GRU, RNN, and LSTM with weights of 8 bits. The product of all steps'
// inputs with their weights is one contraction before the loop over the steps; a step is the
// product of the state with its weights, and elementwise operators.
#include <algorithm>
#include <cctype>
#include <functional>

#include "frontend/common/loop_builder.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/quantized.h"

namespace repose::onnx {
namespace {

using frontend::LoopBuilder;

// ---- Activations
// ---------------------------------------------------------------------------------

struct ActivationKind {
  std::string_view name;                   // as in the standard, in lower case
  std::string_view op;                     // ours; empty: composed
  std::string_view alpha = {}, beta = {};  // what our operator calls them; "-": it is composed
  double alpha_absent = 0, beta_absent = 0;
};

constexpr ActivationKind kinds[] = {
    {"relu", "nn.relu"},
    {"tanh", "tanh"},
    {"sigmoid", "sigmoid"},
    {"softsign", "nn.softsign"},
    {"softplus", "nn.softplus"},
    {"leakyrelu", "nn.leakyrelu", "alpha", {}, 0.01},
    {"thresholdedrelu", "nn.thresholded_relu", "alpha", {}, 1.0},
    {"elu", "nn.elu", "alpha", {}, 1.0},
    {"hardsigmoid", "nn.hard_sigmoid", "alpha", "beta", 0.2, 0.5},
    {"affine", {}, "-", "-", 1.0, 0.0},
    {"scaledtanh", "tanh", "-", "-", 1.0, 1.0},
};

struct Activation {
  const ActivationKind* kind;
  double alpha = 0, beta = 0;
};

Result<Operand> scaled(NodeContext& c, const Operand& x, double factor) {
  if (factor == 1) return x;
  return c.call("multiply", {x, c.scalar_like(x, factor)});
}

Result<Operand> activate(NodeContext& c, const Activation& a, const Operand& x) {
  if (a.kind->name == "affine") {  // alpha * x + beta
    REPOSE_TRY(product, scaled(c, x, a.alpha));
    return c.call("add", {product, c.scalar_like(x, a.beta)});
  }
  if (a.kind->name == "scaledtanh") {  // alpha * tanh(beta * x)
    REPOSE_TRY(product, scaled(c, x, a.beta));
    REPOSE_TRY(y, c.call("tanh", {product}));
    return scaled(c, y, a.alpha);
  }
  Attrs attrs;
  if (!a.kind->alpha.empty()) attrs.set(std::string(a.kind->alpha), a.alpha);
  if (!a.kind->beta.empty()) attrs.set(std::string(a.kind->beta), a.beta);
  return c.call(a.kind->op, {x}, std::move(attrs));
}

Result<Activation> activation_called(const NodeContext& c, std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
  for (const ActivationKind& kind : kinds) {
    if (kind.name == lower) return Activation{&kind, kind.alpha_absent, kind.beta_absent};
  }
  return c.fail(DiagnosticKind::bad_attribute, "no activation is called `{}`", printable(name));
}

// The activations of each direction. alpha and beta are lists of those that take such a number.
Result<std::vector<std::vector<Activation>>> read_activations(
    const NodeContext& c, size_t directions, const std::vector<std::string_view>& absent) {
  std::vector<std::string_view> names;
  if (const Attribute* given = c.find("activations")) {
    const auto* list = given->get<std::vector<std::string_view>>();
    if (!list) {
      return c.fail(DiagnosticKind::bad_attribute,
                    "attribute `activations` is of kind `{}`, "
                    "expected `strings`",
                    attribute_kind_name(given->kind));
    }
    names = *list;
  }
  if (names.empty()) names = absent;
  if (names.size() != absent.size() && names.size() != absent.size() * directions) {
    return c.fail(DiagnosticKind::bad_attribute, "{} activations, expected {}", names.size(),
                  absent.size() * directions);
  }
  REPOSE_TRY(alphas, c.numbers("activation_alpha"));
  REPOSE_TRY(betas, c.numbers("activation_beta"));
  size_t next_alpha = 0, next_beta = 0;
  std::vector<std::vector<Activation>> all(directions);
  for (size_t d = 0; d < directions; ++d) {
    for (size_t k = 0; k < absent.size(); ++k) {
      REPOSE_TRY(a, activation_called(c, names[(d * absent.size() + k) % names.size()]));
      if (!a.kind->alpha.empty() && alphas && next_alpha < alphas->size()) {
        a.alpha = (*alphas)[next_alpha++];
      }
      if (!a.kind->beta.empty() && betas && next_beta < betas->size()) {
        a.beta = (*betas)[next_beta++];
      }
      all[d].push_back(a);
    }
  }
  return all;
}

// ---- What the three layers have in common
// --------------------------------------------------------

// A matrix that states and inputs are multiplied by: columns of gates.
struct Weight {
  Operand value;
  Operand scale = nullptr;  // of integers of 8 bits: one, or one for each column; null: of floats
  Operand zero = nullptr;   // as the scale; null: 0
};

// A layer in one direction: tensors without the axis of directions.
struct Direction {
  bool is_backward = false;
  std::vector<Activation> activations;
  Weight recurrent;        // (hidden, gates * hidden)
  Operand recurrent_last;  // (hidden, hidden) where the last gate has a product of its own, or null
  Operand inputs;          // (steps, batch, gates * hidden), biases added
  Operand recurrent_bias;  // (gates * hidden) where the layer adds it itself, or null
  std::vector<Operand> peepholes;  // (hidden) for each of i, o, f, or none
  std::vector<Operand> states;     // h, and c: (batch, hidden)
};

// x of this step, and the states, give the new states.
using Step = std::function<Result<std::vector<Operand>>(
    const Direction& direction, const Operand& x, const std::vector<Operand>& states)>;

struct Layer {
  int64_t gates;
  std::vector<std::string_view> activations;  // where none are named
  bool has_cell = false;
  // The last gate's product with the state is a contraction of its own; or the biases that belong
  // to the state are added to its product.
  bool splits_last_gate = false, keeps_recurrent_bias = false;
  size_t peepholes_input = 0;  // 0: none
  // Weights are integers of 8 bits, a row for each input, with scales and zero points; what is
  // multiplied by them is quantised by its range.
  bool is_quantized = false;
};

class Recurrent {
 public:
  Recurrent(NodeContext& c, Layer layer) : c_(c), layer_(std::move(layer)) {}

  Result<Values> import(const Step& step) {
    if (auto read = read_operands(); !read.ok()) return read.errors();
    std::vector<Operand> all;
    std::vector<std::vector<Operand>> states(layer_.has_cell ? 2 : 1);
    for (size_t d = 0; d < directions_; ++d) {
      REPOSE_TRY(direction, read_direction(d));
      REPOSE_TRY(done, run(direction, step));
      for (size_t k = 0; k < states.size(); ++k) {
        REPOSE_TRY(last, last_state(done.carried[k]));
        states[k].push_back(last);
      }
      if (done.stacked.empty()) continue;
      Operand y = done.stacked[0];
      if (direction.is_backward) {
        REPOSE_TRY(turned, backward(c_, y));
        y = turned;
      }
      all.push_back(y);
    }
    Values results;
    if (all.empty()) {
      results.push_back(nullptr);
    } else {
      REPOSE_TRY(y, join(all, 1));  // (steps, directions, batch, hidden)
      if (batch_first_) {
        REPOSE_TRY(moved,
                   c_.call("permute_dims", {y}, {{"axes", std::vector<int64_t>{2, 0, 1, 3}}}));
        y = moved;
      }
      results.push_back(y);
    }
    for (const std::vector<Operand>& list : states) {
      REPOSE_TRY(state, join(list, batch_first_ ? 1 : 0));
      results.push_back(state);
    }
    return results;
  }

  Result<Operand> times(const Operand& x, const Weight& w) {
    if (!w.scale) return c_.call("matmul", {x, w.value});
    Composite m(c_);
    const ByRange q = quantized_by_range(m, x);
    REPOSE_TRY(whole, m.result(q.value));
    REPOSE_TRY(sums, integer_product(c_, {whole, q.zero}, {w.value, w.zero}, 0, 0));
    return m.result(m.multiply(m.cast(sums, dtypes::float32), m.multiply(q.scale, w.scale)));
  }

  // What goes into a gate's activation, within the bounds of `clip`.
  Result<Operand> activate(const Activation& a, Operand x) {
    if (clip_ > 0) {
      const DType dtype = c_.dtype(x);
      REPOSE_TRY(clipped, c_.call("clip", {x, graph::make_prim(make_float(-clip_, dtype)),
                                           graph::make_prim(make_float(clip_, dtype))}));
      x = clipped;
    }
    return onnx::activate(c_, a, x);
  }

  // (batch, count * hidden) as `count` parts.
  Result<std::vector<Operand>> gates(const Operand& x, int64_t count) {
    REPOSE_TRY(rank, c_.rank(x));
    std::vector<Operand> parts;
    for (int64_t k = 0; k < count; ++k) {
      REPOSE_TRY(gate, columns(x, rank, k, k + 1));
      parts.push_back(gate);
    }
    return parts;
  }
  // Gates `begin` to `end` of the last axis.
  Result<Operand> columns(const Operand& x, int64_t rank, int64_t begin, int64_t end) {
    return c_.call("strided_slice",
                   {x, graph::make_shape({canonical(hidden_ * begin)}),
                    graph::make_shape({canonical(hidden_ * end)})},
                   {{"axes", std::vector<int64_t>{rank - 1}}, {"assume_inbound", true}});
  }

 private:
  Result<void> read_operands() {
    REPOSE_TRY(x, c_.input(0));
    REPOSE_TRY(w, c_.input(1));
    REPOSE_TRY(r, c_.input(2));
    REPOSE_TRY(layout, c_.integer("layout", 0));
    REPOSE_TRY(clip, c_.number("clip", 0));
    REPOSE_TRY(direction, c_.string("direction", "forward"));
    clip_ = clip;
    batch_first_ = layout != 0;
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
      return c_.fail(DiagnosticKind::bad_attribute,
                     "attribute `direction` is `{}`, expected `forward`, `reverse` or "
                     "`bidirectional`",
                     printable(direction));
    }
    is_reverse_ = direction == "reverse";
    directions_ = direction == "bidirectional" ? 2 : 1;
    for (const auto& [v, name] : {std::pair(x, "X"), std::pair(w, "W"), std::pair(r, "R")}) {
      REPOSE_TRY(rank, c_.rank(v));
      if (rank == 3) continue;
      return c_.fail(DiagnosticKind::rank_mismatch, "`{}` has rank {}, expected 3", name, rank);
    }
    REPOSE_TRY(shape_w, c_.shape(w));
    REPOSE_TRY(shape_r, c_.shape(r));
    const size_t gates_axis = layer_.is_quantized ? 2 : 1;
    hidden_ = shape_r[3 - gates_axis];
    const Expr rows = canonical(hidden_ * layer_.gates);
    const Expr count = make_int(static_cast<int64_t>(directions_));
    for (const auto& [shape, name] : {std::pair(shape_w, "W"), std::pair(shape_r, "R")}) {
      auto ok = c_.require(eq(shape[0], count),
                           fmt::format("`{}` is for {{0}} directions, expected {{1}}", name),
                           {shape[0], count});
      if (!ok.ok()) return ok;
      ok = c_.require(eq(shape[gates_axis], rows),
                      fmt::format("dimension {} of `{}` is {{0}}, expected {{1}} ({} gates)",
                                  gates_axis, name, layer_.gates),
                      {shape[gates_axis], rows});
      if (!ok.ok()) return ok;
    }
    REPOSE_TRY(x_first, batch_first_ ? c_.call("permute_dims", {x},
                                               {{"axes", std::vector<int64_t>{1, 0, 2}}})
                                     : Result<Operand>(x));
    x_ = x_first;
    REPOSE_TRY(shape_x, c_.shape(x_));
    steps_ = shape_x[0];
    batch_ = shape_x[1];
    REPOSE_TRY(activations, read_activations(c_, directions_, layer_.activations));
    activations_ = std::move(activations);
    if (!c_.has(4)) return {};
    REPOSE_TRY(lengths, c_.input(4));
    REPOSE_TRY(shape, c_.shape(lengths));
    if (shape.size() != 1) {
      return c_.fail(DiagnosticKind::rank_mismatch, "`sequence_lens` has rank {}, expected 1",
                     shape.size());
    }
    auto ok = c_.require(eq(shape[0], batch_), "`sequence_lens` has {0} elements, the batch is {1}",
                         {shape[0], batch_});
    if (!ok.ok()) return ok;
    REPOSE_TRY(wide, c_.cast(lengths, dtypes::int64));
    REPOSE_TRY(column, c_.call("expand_dims", {wide}, {{"axis", std::vector<int64_t>{1}}}));
    lengths_ = column;
    return {};
  }

  Result<Operand> entry(const Operand& v, size_t d) {
    return row_of(c_, v, make_int(static_cast<int64_t>(d)));
  }

  // Operand `input`, as columns of gates.
  Result<Weight> weight(size_t input, size_t d) {
    REPOSE_TRY(value, entry(c_.optional(input), d));
    if (!layer_.is_quantized) {
      REPOSE_TRY(columns, c_.call("permute_dims", {value}, {{"axes", std::vector<int64_t>{1, 0}}}));
      return Weight{columns};
    }
    const DType dtype = c_.dtype(value);
    if (!dtype.is_data_int() || dtype.bits != 8) {
      return c_.fail(DiagnosticKind::dtype_mismatch,
                     "operand {} has dtype {}, expected int8 or uint8", input, dtype.to_string());
    }
    const size_t scale_input = 6 + 2 * input;
    REPOSE_TRY(scales, c_.input(scale_input));
    REPOSE_TRY(scale, entry(scales, d));
    Weight w{value, scale};
    if (c_.has(scale_input + 1) && !is_zero(c_, c_.optional(scale_input + 1))) {
      REPOSE_TRY(zero, entry(c_.optional(scale_input + 1), d));
      w.zero = zero;
    }
    return w;
  }

  Result<Direction> read_direction(size_t d) {
    Direction result;
    result.is_backward = is_reverse_ || d == 1;
    result.activations = activations_[d];
    REPOSE_TRY(w, weight(1, d));
    REPOSE_TRY(r, weight(2, d));
    result.recurrent = r;
    if (layer_.splits_last_gate) {
      REPOSE_TRY(first, columns(r.value, 2, 0, layer_.gates - 1));
      REPOSE_TRY(last, columns(r.value, 2, layer_.gates - 1, layer_.gates));
      result.recurrent = Weight{first};
      result.recurrent_last = last;
    }
    REPOSE_TRY(shape, c_.shape(x_));
    const Expr all_gates = canonical(hidden_ * layer_.gates);
    REPOSE_TRY(flat, c_.reshape(x_, {canonical(steps_ * batch_), shape[2]}));
    REPOSE_TRY(product, times(flat, w));
    if (c_.has(3)) {
      REPOSE_TRY(both, entry(c_.optional(3), d));
      REPOSE_TRY(bias, columns(both, 1, 0, layer_.gates));
      REPOSE_TRY(more, columns(both, 1, layer_.gates, 2 * layer_.gates));
      if (layer_.keeps_recurrent_bias) {
        result.recurrent_bias = more;
      } else {
        REPOSE_TRY(sum, c_.call("add", {bias, more}));
        bias = sum;
      }
      REPOSE_TRY(biased, c_.call("add", {product, bias}));
      product = biased;
    }
    REPOSE_TRY(inputs, c_.reshape(product, {steps_, batch_, all_gates}));
    result.inputs = inputs;
    if (layer_.peepholes_input && c_.has(layer_.peepholes_input)) {
      REPOSE_TRY(p, entry(c_.optional(layer_.peepholes_input), d));
      for (int64_t k = 0; k < 3; ++k) {
        REPOSE_TRY(peephole, columns(p, 1, k, k + 1));
        result.peepholes.push_back(peephole);
      }
    }
    for (size_t k = 0; k < (layer_.has_cell ? 2 : 1); ++k) {
      REPOSE_TRY(state, initial_state(5 + k, d));
      result.states.push_back(state);
    }
    return result;
  }

  Result<Operand> initial_state(size_t input, size_t d) {
    if (!c_.has(input)) {
      return c_.call("zeros", {graph::make_shape({batch_, hidden_})}, {{"dtype", c_.dtype(x_)}});
    }
    Operand all = c_.optional(input);
    REPOSE_TRY(rank, c_.rank(all));
    if (rank != 3) {
      return c_.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected 3", input,
                     rank);
    }
    if (batch_first_) {
      REPOSE_TRY(moved, c_.call("permute_dims", {all}, {{"axes", std::vector<int64_t>{1, 0, 2}}}));
      all = moved;
    }
    REPOSE_TRY(shape, c_.shape(all));
    const Expr wanted[] = {make_int(static_cast<int64_t>(directions_)), batch_, hidden_};
    for (size_t k = 0; k < 3; ++k) {
      auto ok =
          c_.require(eq(shape[k], wanted[k]),
                     fmt::format("operand {} has {{0}} of what it should have {{1}}: {}", input,
                                 k == 0   ? "directions"
                                 : k == 1 ? "batch"
                                          : "hidden"),
                     {shape[k], wanted[k]});
      if (!ok.ok()) return ok.errors();
    }
    REPOSE_TRY(state, entry(all, d));
    return c_.reshape(state, {batch_, hidden_});
  }

  Result<LoopBuilder::Done> run(const Direction& direction, const Step& step) {
    const repose::Type state = tensor_type({batch_, hidden_}, c_.dtype(x_));
    LoopBuilder::Fields fields{&c_.builder(),    c_.span(), c_.name(), steps_,
                               direction.states, nullptr,   {},        true};
    if (c_.wants(0)) fields.rows.push_back({{batch_, hidden_}, c_.dtype(x_)});
    LoopBuilder loop(std::move(fields));
    if (auto begun = loop.begin_body(std::vector<repose::Type>(direction.states.size(), state));
        !begun.ok()) {
      return begun.errors();
    }
    const std::vector<Operand> before(loop.carried().begin(), loop.carried().end());
    const Expr at =
        direction.is_backward ? canonical(steps_ - 1 - loop.counter()) : Expr(loop.counter());
    auto body = [&]() -> Result<std::vector<Operand>> {
      REPOSE_TRY(x, row_of(c_, direction.inputs, at));
      REPOSE_TRY(after, step(direction, x, before));
      Operand y = after[0];
      if (lengths_) {
        REPOSE_TRY(number, c_.call("shape_to_tensor", {graph::make_shape({at})}));
        REPOSE_TRY(runs, c_.call("less", {number, lengths_}));
        for (size_t k = 0; k < after.size(); ++k) {
          REPOSE_TRY(kept, c_.call("where", {runs, after[k], before[k]}));
          after[k] = kept;
        }
        REPOSE_TRY(shown, c_.call("where", {runs, y, c_.scalar_like(y, 0)}));
        y = shown;
      }
      after.push_back(y);
      return after;
    };
    auto after = body();
    if (!after.ok()) {
      loop.drop_body();
      return after.errors();
    }
    std::vector<Operand> rows;
    if (c_.wants(0)) rows.push_back(after->back());
    after->pop_back();
    return loop.end_body(*after, nullptr, rows);
  }

  // Of a sequence without steps: zeros, as in ONNX Runtime.
  Result<Operand> last_state(const Operand& state) {
    if (!lengths_) return state;
    REPOSE_TRY(runs, c_.call("less", {c_.scalar(dtypes::int64, 0), lengths_}));
    return c_.call("where", {runs, state, c_.scalar_like(state, 0)});
  }

  // One beside the other along a new axis.
  Result<Operand> join(const std::vector<Operand>& list, int64_t axis) {
    std::vector<Operand> parts;
    for (const Operand& v : list) {
      REPOSE_TRY(p, c_.call("expand_dims", {v}, {{"axis", std::vector<int64_t>{axis}}}));
      parts.push_back(p);
    }
    if (parts.size() == 1) return parts[0];
    return c_.call("concat", {graph::make_tuple(std::move(parts))}, {{"axis", axis}});
  }

  NodeContext& c_;
  const Layer layer_;
  double clip_ = 0;
  bool batch_first_ = false, is_reverse_ = false;
  size_t directions_ = 1;
  Operand x_;  // (steps, batch, input)
  Expr steps_, batch_, hidden_;
  std::vector<std::vector<Activation>> activations_;
  Operand lengths_;  // (batch, 1) int64, or null
};

// ---- LSTM
// ----------------------------------------------------------------------------------------

template <bool is_quantized>
Result<Values> lstm(NodeContext& c) {
  REPOSE_TRY(couples, c.flag("input_forget", false));
  Recurrent layer(c, {4, {"Sigmoid", "Tanh", "Tanh"}, true, false, false, 7, is_quantized});
  return layer.import([&](const Direction& d, const Operand& x,
                          const std::vector<Operand>& states) -> Result<std::vector<Operand>> {
    const Operand &h = states[0], &cell = states[1];
    REPOSE_TRY(product, layer.times(h, d.recurrent));
    REPOSE_TRY(sum, c.call("add", {product, x}));
    REPOSE_TRY(gates, layer.gates(sum, 4));  // i, o, f, c
    auto peeped = [&](Operand& gate, size_t which, const Operand& from) -> Result<void> {
      if (d.peepholes.empty()) return {};
      REPOSE_TRY(seen, c.call("multiply", {d.peepholes[which], from}));
      REPOSE_TRY(both, c.call("add", {gate, seen}));
      gate = both;
      return {};
    };
    const Activation &f = d.activations[0], &g = d.activations[1], &out = d.activations[2];
    if (auto ok = peeped(gates[0], 0, cell); !ok.ok()) return ok.errors();
    REPOSE_TRY(input, layer.activate(f, gates[0]));
    REPOSE_TRY(one_minus, couples ? c.call("subtract", {c.scalar_like(input, 1), input})
                                  : Result<Operand>(Operand()));
    Operand forget = one_minus;
    if (!couples) {
      if (auto ok = peeped(gates[2], 2, cell); !ok.ok()) return ok.errors();
      REPOSE_TRY(active, layer.activate(f, gates[2]));
      forget = active;
    }
    REPOSE_TRY(candidate, layer.activate(g, gates[3]));
    REPOSE_TRY(kept, c.call("multiply", {forget, cell}));
    REPOSE_TRY(added, c.call("multiply", {input, candidate}));
    REPOSE_TRY(new_cell, c.call("add", {kept, added}));
    if (auto ok = peeped(gates[1], 1, new_cell); !ok.ok()) return ok.errors();
    REPOSE_TRY(output, layer.activate(f, gates[1]));
    REPOSE_TRY(shown, activate(c, out, new_cell));  // not clipped, as in ONNX Runtime
    REPOSE_TRY(new_h, c.call("multiply", {output, shown}));
    return std::vector<Operand>{new_h, new_cell};
  });
}

// ---- GRU
// -----------------------------------------------------------------------------------------

Result<Values> gru(NodeContext& c) {
  REPOSE_TRY(linear, c.flag("linear_before_reset", false));
  Recurrent layer(c, {3, {"Sigmoid", "Tanh"}, false, !linear, linear});
  return layer.import([&](const Direction& d, const Operand& x,
                          const std::vector<Operand>& states) -> Result<std::vector<Operand>> {
    const Operand& h = states[0];
    const Activation &f = d.activations[0], &g = d.activations[1];
    REPOSE_TRY(inputs, layer.gates(x, 3));  // z, r, h
    std::vector<Operand> zr;
    Operand candidate;  // before its activation; where the reset comes first, without its product
    if (linear) {
      REPOSE_TRY(product, layer.times(h, d.recurrent));
      if (d.recurrent_bias) {
        REPOSE_TRY(biased, c.call("add", {product, d.recurrent_bias}));
        product = biased;
      }
      REPOSE_TRY(parts, layer.gates(product, 3));
      for (size_t k = 0; k < 2; ++k) {
        REPOSE_TRY(sum, c.call("add", {inputs[k], parts[k]}));
        zr.push_back(sum);
      }
      candidate = parts[2];
    } else {
      REPOSE_TRY(product, layer.times(h, d.recurrent));
      REPOSE_TRY(of_x, layer.columns(x, 2, 0, 2));
      REPOSE_TRY(sum, c.call("add", {product, of_x}));
      REPOSE_TRY(parts, layer.gates(sum, 2));
      zr = parts;
    }
    REPOSE_TRY(z, layer.activate(f, zr[0]));
    REPOSE_TRY(r, layer.activate(f, zr[1]));
    if (linear) {
      REPOSE_TRY(reset, c.call("multiply", {r, candidate}));
      REPOSE_TRY(sum, c.call("add", {reset, inputs[2]}));
      candidate = sum;
    } else {
      REPOSE_TRY(reset, c.call("multiply", {r, h}));
      REPOSE_TRY(product, c.call("matmul", {reset, d.recurrent_last}));
      REPOSE_TRY(sum, c.call("add", {product, inputs[2]}));
      candidate = sum;
    }
    REPOSE_TRY(active, layer.activate(g, candidate));
    REPOSE_TRY(share, c.call("subtract", {c.scalar_like(z, 1), z}));
    REPOSE_TRY(added, c.call("multiply", {share, active}));
    REPOSE_TRY(kept, c.call("multiply", {z, h}));
    REPOSE_TRY(new_h, c.call("add", {added, kept}));
    return std::vector<Operand>{new_h};
  });
}

// ---- RNN
// -----------------------------------------------------------------------------------------

Result<Values> rnn(NodeContext& c) {
  Recurrent layer(c, {1, {"Tanh"}});
  return layer.import([&](const Direction& d, const Operand& x,
                          const std::vector<Operand>& states) -> Result<std::vector<Operand>> {
    REPOSE_TRY(product, layer.times(states[0], d.recurrent));
    REPOSE_TRY(sum, c.call("add", {product, x}));
    REPOSE_TRY(new_h, layer.activate(d.activations[0], sum));
    return std::vector<Operand>{new_h};
  });
}

}  // namespace

std::span<const OperatorRow> recurrent_operators() {
  static const OperatorRow rows[] = {
      {"GRU", 1, gru},
      {"LSTM", 1, lstm<false>},
      {"RNN", 1, rnn},
  };
  return rows;
}

std::span<const OperatorRow> microsoft_recurrent_operators() {
  static const OperatorRow rows[] = {{"DynamicQuantizeLSTM", 1, lstm<true>}};
  return rows;
}

}  // namespace repose::onnx
