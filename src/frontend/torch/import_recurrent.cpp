// Recurrent layers: LSTM, GRU, RNN, several on each other and in both directions. The product of
// all steps' inputs with their weights is one contraction before the loop over the steps; a step is
// the product of the state with its weights, and elementwise operators.
//
// `repose.lstm` and the like are what torch.compile makes of the operators of ATen, whose sequences
// would have a constant length there (python/repose/frontend/_recurrent.py).
#include "frontend/common/loop_builder.h"
#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

using frontend::LoopBuilder;

// The weights of one layer in one direction.
struct RecurrentWeights {
  Operand input, state;            // (gates * hidden, features of the input; of the state)
  Operand input_bias, state_bias;  // (gates * hidden), or null
  Operand projection;              // (features of the state, hidden), or null
};

// x of this step, of gates * hidden features, and the states give the new states. All are tensors
// of a batch. `w`: as above, but matrices by columns, and without biases that x has already.
using RecurrentStep = std::vector<Operand> (*)(Composite& m, const Operand& x,
                                               const std::vector<Operand>& states,
                                               const RecurrentWeights& w);

struct RecurrentKind {
  int64_t gates;
  RecurrentStep step;
  bool has_cell = false;          // the state is a pair
  bool keeps_state_bias = false;  // the step adds the state's biases itself
};

// `count` parts of the last axis of (batch, features).
std::vector<Operand> gates_of(Composite& m, const Operand& x, int64_t count) {
  const Expr size = canonical(floor_div(m.shape(x, 2, 0)[1], make_int(count)));
  std::vector<Operand> parts;
  for (int64_t k = 0; k < count; ++k) {
    parts.push_back(m.slice(x, 1, canonical(size * k), canonical(size * (k + 1))));
  }
  return parts;
}

std::vector<Operand> lstm_step(Composite& m, const Operand& x, const std::vector<Operand>& states,
                               const RecurrentWeights& w) {
  const auto gates = gates_of(m, m.add(m.matmul(states[0], w.state), x), 4);  // i, f, g, o
  const Operand kept = m.multiply(m.unary("sigmoid", gates[1]), states[1]);
  const Operand added = m.multiply(m.unary("sigmoid", gates[0]), m.unary("tanh", gates[2]));
  const Operand cell = m.add(kept, added);
  const Operand shown = m.multiply(m.unary("sigmoid", gates[3]), m.unary("tanh", cell));
  return {w.projection ? m.matmul(shown, w.projection) : shown, cell};
}

std::vector<Operand> gru_step(Composite& m, const Operand& x, const std::vector<Operand>& states,
                              const RecurrentWeights& w) {
  Operand product = m.matmul(states[0], w.state);
  if (w.state_bias) product = m.add(product, w.state_bias);
  const auto of_input = gates_of(m, x, 3), of_state = gates_of(m, product, 3);  // r, z, n
  const Operand reset = m.unary("sigmoid", m.add(of_input[0], of_state[0]));
  const Operand keep = m.unary("sigmoid", m.add(of_input[1], of_state[1]));
  const Operand fresh = m.unary("tanh", m.add(of_input[2], m.multiply(reset, of_state[2])));
  return {m.add(fresh, m.multiply(keep, m.subtract(states[0], fresh)))};
}

template <Name activation>
std::vector<Operand> rnn_step(Composite& m, const Operand& x, const std::vector<Operand>& states,
                              const RecurrentWeights& w) {
  return {m.unary(activation.chars, m.add(m.matmul(states[0], w.state), x))};
}

class RecurrentLayers {
 public:
  RecurrentLayers(NodeContext& c, const RecurrentKind& kind) : c_(c), kind_(kind) {}

  Result<Values> import() {
    if (auto read = read_arguments(); !read.ok()) return read.errors();
    Operand x = input_;
    std::vector<std::vector<Operand>> last(states_.size());
    for (size_t layer = 0; layer < layers_; ++layer) {
      std::vector<Operand> directions;
      for (size_t d = 0; d < directions_; ++d) {
        REPOSE_TRY(done, run(x, layer * directions_ + d, d == 1));
        Composite m(c_);
        for (size_t k = 0; k < last.size(); ++k) {
          last[k].push_back(m.unsqueeze(done.carried[k], {0}));
        }
        directions.push_back(d == 1 ? m.take(frontend::backward(c_, done.stacked[0]))
                                    : done.stacked[0]);
      }
      Composite m(c_);
      REPOSE_TRY(joined, m.result(m.concat(std::move(directions), 2)));
      x = joined;
    }
    Composite m(c_);
    Values results{batch_first_ ? m.permute(x, {1, 0, 2}) : x};
    for (std::vector<Operand>& list : last) results.push_back(m.concat(std::move(list), 0));
    return m.results(std::move(results));
  }

 private:
  Result<void> read_arguments() {
    REPOSE_TRY(input, c_.tensor("input"));
    REPOSE_TRY(weights, c_.tensors("params"));
    REPOSE_TRY(has_biases, c_.flag("has_biases", true));
    REPOSE_TRY(layers, c_.integer("num_layers"));
    REPOSE_TRY(dropout, c_.number("dropout", 0));
    REPOSE_TRY(is_training, c_.flag("train", false));
    REPOSE_TRY(is_bidirectional, c_.flag("bidirectional", false));
    REPOSE_TRY(batch_first, c_.flag("batch_first", false));
    if (is_training && dropout > 0) {
      return c_.fail(DiagnosticKind::unsupported_feature,
                     "training is not supported: export the module after `.eval()`");
    }
    if (kind_.has_cell) {
      REPOSE_TRY(states, c_.tensors("hx"));
      states_ = std::move(states);
    } else {
      REPOSE_TRY(state, c_.tensor("hx"));
      states_ = {state};
    }
    if (states_.size() != (kind_.has_cell ? 2 : 1)) {
      return c_.fail(DiagnosticKind::bad_model, "{} states, expected 2", states_.size());
    }
    layers_ = static_cast<size_t>(layers);
    directions_ = is_bidirectional ? 2 : 1;
    batch_first_ = batch_first;
    const size_t all = layers_ * directions_, plain = has_biases ? 4 : 2;
    const bool has_projections = kind_.has_cell && weights.size() == all * (plain + 1);
    if (layers < 1 || (weights.size() != all * plain && !has_projections)) {
      return c_.fail(DiagnosticKind::bad_model, "{} weights for {} layers in {} directions",
                     weights.size(), layers, directions_);
    }
    auto next = weights.begin();
    for (size_t i = 0; i < all; ++i) {
      RecurrentWeights& w = weights_.emplace_back();
      w.input = *next++;
      w.state = *next++;
      if (has_biases) w.input_bias = *next++;
      if (has_biases) w.state_bias = *next++;
      if (has_projections) w.projection = *next++;
    }
    Composite m(c_);
    input_ = batch_first_ ? m.permute(input, {1, 0, 2}) : input;
    const Dims shape = m.shape(input_, 3, 0);
    steps_ = shape[0];
    batch_ = shape[1];
    for (const Operand& state : states_) {
      const Dims dims = m.shape(state, 3, 1);
      const Expr count = make_int(static_cast<int64_t>(all));
      m.require(eq(dims[0], count), "a state has {0} entries, expected {1}", {dims[0], count});
      m.require(eq(dims[1], batch_), "the batch of a state is {0}, that of the input {1}",
                {dims[1], batch_});
      features_.push_back(dims[2]);
    }
    auto done = m.result(input_);
    return done.ok() ? Result<void>() : done.errors();
  }

  // Layer and direction `at` of the stack, over x of (steps, batch, features).
  Result<LoopBuilder::Done> run(const Operand& x, size_t at, bool is_backward) {
    Composite m(c_);
    RecurrentWeights w = weights_[at];
    const Dims shape = m.shape(x, 3, 0);
    const Operand flat = m.reshape(x, {canonical(steps_ * batch_), shape[2]});
    Operand product = m.matmul(flat, m.permute(w.input, {1, 0}));
    if (w.input_bias) {
      product =
          m.add(product, kind_.keeps_state_bias ? w.input_bias : m.add(w.input_bias, w.state_bias));
    }
    const Operand inputs = m.reshape(product, {steps_, batch_, m.shape(w.input, 2, 2)[0]});
    w.state = m.permute(w.state, {1, 0});
    if (w.projection) w.projection = m.permute(w.projection, {1, 0});
    LoopBuilder::Fields fields{&c_.builder(), c_.span(), c_.name(), steps_, {}, nullptr, {}, true};
    std::vector<repose::Type> types;
    for (size_t k = 0; k < states_.size(); ++k) {
      const Operand state =
          m.take(frontend::row_of(c_, states_[k], make_int(static_cast<int64_t>(at))));
      fields.inits.push_back(m.reshape(state, {batch_, features_[k]}));
      types.push_back(tensor_type({batch_, features_[k]}, c_.dtype(input_)));
    }
    fields.rows.push_back({{batch_, features_[0]}, c_.dtype(input_)});
    if (auto ready = m.result(inputs); !ready.ok()) return ready.errors();
    LoopBuilder loop(std::move(fields));
    if (auto begun = loop.begin_body(std::move(types)); !begun.ok()) return begun.errors();
    const Expr step = is_backward ? canonical(steps_ - 1 - loop.counter()) : Expr(loop.counter());
    const std::vector<Operand> before(loop.carried().begin(), loop.carried().end());
    Composite body(c_);
    std::vector<Operand> after =
        kind_.step(body, body.take(frontend::row_of(c_, inputs, step)), before, w);
    if (auto done = body.result(after[0]); !done.ok()) {
      loop.drop_body();
      return done.errors();
    }
    return loop.end_body(after, nullptr, {after[0]});
  }

  NodeContext& c_;
  const RecurrentKind& kind_;
  bool batch_first_ = false;
  size_t layers_ = 0, directions_ = 1;
  Operand input_;                // (steps, batch, features)
  std::vector<Operand> states_;  // each (layers * directions, batch, features)
  std::vector<Expr> features_;   // of each
  std::vector<RecurrentWeights> weights_;
  Expr steps_, batch_;
};

constexpr RecurrentKind lstm_kind{4, lstm_step, true};
constexpr RecurrentKind gru_kind{3, gru_step, false, true};
constexpr RecurrentKind tanh_kind{1, rnn_step<"tanh">};
constexpr RecurrentKind relu_kind{1, rnn_step<"nn.relu">};

template <const RecurrentKind& kind>
Result<Values> recurrent(NodeContext& c) {
  return RecurrentLayers(c, kind).import();
}

}  // namespace

std::span<const OperatorRow> recurrent_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.gru.input", recurrent<gru_kind>, Effect::loop},
      {"aten.lstm.input", recurrent<lstm_kind>, Effect::loop},
      {"aten.rnn_relu.input", recurrent<relu_kind>, Effect::loop},
      {"aten.rnn_tanh.input", recurrent<tanh_kind>, Effect::loop},
      {"repose.gru.default", recurrent<gru_kind>, Effect::loop},
      {"repose.lstm.default", recurrent<lstm_kind>, Effect::loop},
      {"repose.rnn_relu.default", recurrent<relu_kind>, Effect::loop},
      {"repose.rnn_tanh.default", recurrent<tanh_kind>, Effect::loop},
  };
  return rows;
}

}  // namespace repose::torch
