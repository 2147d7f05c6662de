// What the importer of one operator sees of a node: operands, attributes, and the function that is
// being built. Every value is a tensor of known dtype.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "frontend/common/composite.h"
#include "frontend/onnx/model.h"

namespace repose::onnx {

using frontend::CallContext;
using frontend::check_size;
using frontend::Composite;
using frontend::max_rank;
using frontend::Operand;
using frontend::Values;

struct Quantized;  // quantized.h
using QuantizedValues = std::unordered_map<const graph::ValueNode*, Quantized>;

// Attributes that references in a function's body stand for.
using FunctionAttributes = std::map<std::string_view, const Attribute*>;

// The elements as a constant, without a copy where the file has them as they are in memory.
Result<Operand> make_constant_of(const Model& model, const Tensor& tensor);

class NodeContext : public CallContext {
 public:
  struct Fields {
    Builder* builder;
    const Model* model;
    const Node* node;
    const FunctionAttributes* function_attributes;
    std::vector<Operand> inputs;  // null: omitted
    int64_t opset;
    Span span;
    std::string name;  // of bindings
    QuantizedValues* quantized;
    // The results of a graph in an attribute, given its inputs.
    std::function<Result<Operand>(const Graph&, const Operand&)> apply_graph = nullptr;
  };
  explicit NodeContext(Fields fields)
      : CallContext(*fields.builder, fields.span, printable(fields.node->op_type), fields.name),
        f_(std::move(fields)) {}

  const Node& node() const { return *f_.node; }
  const Model& model() const { return *f_.model; }
  int64_t opset() const { return f_.opset; }

  // ---- Operands and results ----
  size_t num_inputs() const { return f_.inputs.size(); }
  bool has(size_t i) const { return i < f_.inputs.size() && f_.inputs[i]; }
  Result<Operand> input(size_t i) const;  // an error where it is omitted
  Operand optional(size_t i) const { return has(i) ? f_.inputs[i] : nullptr; }
  Result<std::vector<Operand>> all_inputs() const;  // at least one, none omitted
  bool wants(size_t output) const;                  // has the node that output?

  // ---- Attributes: an error where one is of another kind ----
  const Attribute* find(std::string_view name) const;  // references resolved; null if absent
  Result<int64_t> integer(std::string_view name, int64_t absent) const;
  Result<int64_t> integer(std::string_view name) const;  // an error where it is absent
  Result<bool> flag(std::string_view name, bool absent) const;
  Result<double> number(std::string_view name, double absent) const;
  Result<std::string> string(std::string_view name, std::string_view absent) const;
  Result<std::optional<std::vector<int64_t>>> integers(std::string_view name) const;
  Result<std::optional<std::vector<float>>> numbers(std::string_view name) const;
  Result<const Graph*> graph(std::string_view name) const;  // an error where it is absent

  // Operand `i`, which has to be constant, or the attribute `attr` of older operator sets.
  Result<std::optional<std::vector<int64_t>>> constants_or_attr(size_t i,
                                                                std::string_view attr) const;

  // What the value stands for; null: only itself.
  const Quantized* quantized(const Operand& v) const;
  void note_quantized(Quantized q);

  // What the graph in attribute `name`, of one input and one output, makes of x.
  Result<Operand> apply(std::string_view name, const Operand& x);

 private:
  Fields f_;
};

// Results are in the order of the node's outputs. Trailing ones that an importer cannot give are
// left out; a node that uses one of these is an error.
using ImportOperator = Result<Values> (*)(NodeContext&);

struct OperatorRow {
  std::string_view name;
  int since;  // first operator set with this meaning
  ImportOperator import;
};

// An importer of one result.
template <Result<Operand> (*f)(NodeContext&)>
Result<Values> one(NodeContext& c) {
  REPOSE_TRY(y, f(c));
  return Values{y};
}

}  // namespace repose::onnx
