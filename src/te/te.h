// Tensor expressions: what an operator computes, one formula per output element, from which tensor
// programs are made (after Halide and TVM's `te`).
//
//   Tensor a = placeholder({m, k}, dtypes::float32, "a"), b = placeholder({k, n}, dtypes::float32,
//   "b"); Tensor c = reduce({m, n}, Reducer::sum, {k}, [&](auto& i, auto& r) {
//     return a(i[0], r[0]) * b(r[0], i[1]); }, "c");
//   Program p = make_program({a, b}, {c});
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/tir.h"

namespace repose::te {

using Indices = std::vector<Expr>;

enum class Reducer : uint8_t { none, sum, prod, min, max };
Expr identity_of(Reducer reducer, DType dtype);  // 0, 1, +inf or the largest, -inf or the smallest
Expr combine(Reducer reducer, Expr accumulator, Expr value);

// A tensor: given from outside (no axes), or computed. It is a buffer too: loads of it are loads of
// the buffer that it becomes in the program.
struct TensorNode : BufferNode {
  std::vector<Var> axes;         // one per dimension
  std::vector<Var> reduce_axes;  // with Reducer other than none
  Dims reduce_extents;
  Reducer reducer = Reducer::none;
  Expr body;  // null: a placeholder
  TensorNode(std::string name, DType dtype, Dims shape);
  bool is_placeholder() const { return body == nullptr; }
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<const TensorNode> node) : node_(std::move(node)) {}
  const TensorNode* operator->() const { return node_.get(); }
  const Ref<const TensorNode>& node() const { return node_; }
  Buffer buffer() const { return node_; }
  const Dims& shape() const { return node_->shape; }
  DType dtype() const { return node_->dtype; }
  int rank() const { return static_cast<int>(node_->shape.size()); }
  bool operator==(const Tensor& other) const { return node_ == other.node_; }

  Expr operator()(Indices indices) const { return make_load(node_, std::move(indices)); }
  template <class... E>
    requires(std::is_convertible_v<E, Expr> && ...)
  Expr operator()(E... index) const {
    return make_load(node_, Indices{Expr(index)...});
  }

 private:
  Ref<const TensorNode> node_;
};

Tensor placeholder(Dims shape, DType dtype, std::string name);
// element(i) = f(i).
Tensor compute(Dims shape, const std::function<Expr(const Indices&)>& f, std::string name);
// element(i) = reducer over r in the box `extents` of f(i, r). An empty box gives the identity.
Tensor reduce(Dims shape, Reducer reducer, Dims extents,
              const std::function<Expr(const Indices&, const Indices&)>& f, std::string name);

// A tensor program with its explicit symbols: those that no buffer's shape binds, in the order in
// which they follow the inputs among the program's parameters (inputs, symbols, outputs).
struct Program {
  tir::PrimFunc func;
  Dims symbols;
};
// Closes a program over its symbols: those that occur free and that no buffer's shape binds become
// scalar parameters between inputs and outputs; then everything that it binds is made anew.
Program close_program(std::vector<tir::Param> inputs, const std::vector<tir::Param>& outputs,
                      tir::Stmt body, Attrs attrs = {});

// Computed tensors between inputs and outputs become buffers of the program. An output may be an
// input or another output (then it is copied). One block per computed tensor, named as it is.
Program make_program(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);

// ---- Operators' rules
// ----------------------------------------------------------------------------

// A rule gives the result(s) of a call from its tensor operands (tuples of tensors flattened,
// absent optional operands skipped), in terms of the types that inference found (call.type has the
// result's). Operands' shapes are those of the call's types.
using Rule = std::vector<Tensor> (*)(const graph::CallNode& call, const std::vector<Tensor>& in);

Result<graph::Value> lower_by_rule(Rule rule, Builder& b, const graph::CallNode& call);
std::optional<std::vector<Expr>> elements_by_rule(Rule rule, const InferContext& context,
                                                  const graph::CallNode& call, const Type& result);

// For OpDef: .lower = te::lower<rule>, .elements = te::elements<rule>.
template <Rule rule>
Result<graph::Value> lower(Builder& b, const graph::CallNode& call) {
  return lower_by_rule(rule, b, call);
}
template <Rule rule>
std::optional<std::vector<Expr>> elements(const InferContext& context, const graph::CallNode& call,
                                          const Type& result) {
  return elements_by_rule(rule, context, call, result);
}

// The tensor operands of a call, in order, tuples flattened, null values skipped.
std::vector<graph::Value> tensor_operands(const graph::CallNode& call);

// Emits a program made from a formula written in place: `f` gets a placeholder per argument.
Result<graph::Value> emit_te(
    Builder& b, const std::string& name, const std::vector<graph::Value>& args,
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& f);

}  // namespace repose::te
