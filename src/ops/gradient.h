// Reverse mode: gradients of a scalar in the values that it is computed from (Griewank and Walther,
// Evaluating Derivatives, 2008, chapter 3). Each operator has its rule (OpDef::gradient).
#pragma once

#include <unordered_set>

#include "ops/formula.h"

namespace repose {

// ---- What rules share

using Gradients = Result<std::vector<graph::Value>>;

// Of functions that are constant but for their jumps: nothing flows into any operand.
Gradients no_gradient(Builder& b, const Pullback& p);
// Of operators that give their first operand, in whatever shape.
Gradients reshape_gradient(Builder& b, const Pullback& p);

// The sums of `gradient`, of the shape `from`, over what was broadcast from the shape `to`.
graph::Value collapsed(const graph::Value& gradient, const Dims& from, const Dims& to);
const Dims& shape_of_arg(const graph::CallNode& call, size_t i);
graph::Value zeros_of(const Dims& shape, DType dtype);

// y = f(x) by element: `derivative` is f'(x), given y too.
template <Formula (*derivative)(const Formula& x, const Formula& y)>
Gradients unary_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{Formula(p.gradients[0]) * derivative(p.call.args[0], p.result)};
}

// Through the operators that `composition` is made of, which are emitted anew: what the gradient
// doesn't read of them is dead code.
Gradients gradient_through(Builder& b, const Pullback& p, const graph::Value& composition);
// .gradient = composed_gradient<lower>, where `lower` gives an expression of operators that have
// gradients: an operator's lowering, or a formula for this purpose.
template <Result<graph::Value> (*lower)(Builder&, const graph::CallNode&)>
Gradients composed_gradient(Builder& b, const Pullback& p) {
  REPOSE_TRY(composition, lower(b, p.call));
  return gradient_through(b, p, composition);
}

// ---- Reverse mode

// Walks back over bindings. First `want` what gradients are asked for, then `record` each binding
// in order, then `add` the gradient of the target in itself, then `run`.
class ReverseMode {
 public:
  // What stands for a value of the recorded part where gradients are computed.
  using Recompute = std::function<Result<graph::Value>(const graph::Value&)>;
  explicit ReverseMode(Builder& b, Recompute recompute = nullptr)
      : builder_(b), recompute_(std::move(recompute)) {}

  // A variable with floats, or the variables of a tuple; others are passed over.
  void want(const graph::Value& v);
  // Whether floats of `v` depend on what is wanted.
  bool is_wanted(const graph::Value& v) const;
  void record(const graph::Binding& b);
  // Adds to what flows into a leaf: tuples member by member, to what is wanted only. A null
  // gradient is none.
  Result<void> add(const graph::Value& v, const graph::Value& gradient);
  // Emits the gradients. An operator that has none is an error, with its place.
  Result<void> run();
  // What has flowed into a leaf: null where nothing did; of a tuple a tuple, with zeros.
  graph::Value gradient_in(const graph::Value& v) const;

 private:
  // Of a tensor, or of the members of a tuple.
  struct Adjoint {
    graph::Value tensor;
    std::vector<Adjoint> members;
  };
  Builder& builder_;
  const Recompute recompute_;
  std::vector<graph::Binding> tape_;
  std::unordered_set<const graph::ValueNode*> wanted_;
  std::unordered_map<const graph::ValueNode*, Adjoint> adjoints_;

  Result<void> accumulate(Adjoint& to, const Type& type, const graph::Value& gradient);
  static graph::Value value_of(const Adjoint& adjoint, const Type& type);
  Result<void> pull(const graph::Binding& b, const graph::Value& gradient);
  Result<void> pull_call(const graph::Binding& b, const graph::CallNode& call,
                         const graph::Value& gradient);
};

}  // namespace repose
