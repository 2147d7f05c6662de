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

#include "frontend/onnx/model.h"
#include "ir/builder.h"

namespace repose::onnx {

// A value of the graph IR (onnx::Value is an entry of the model's lists).
using Operand = graph::Value;

// Shapes of more dimensions are refused.
inline constexpr int max_rank = 64;

struct Quantized;  // quantized.h
using QuantizedValues = std::unordered_map<const graph::ValueNode*, Quantized>;

// Attributes that references in a function's body stand for.
using FunctionAttributes = std::map<std::string_view, const Attribute*>;

// An error where the known part of the shape alone makes the tensor larger than any address space.
Result<void> check_size(const Dims& shape, DType dtype, const Span& span);
// The elements as a constant, without a copy where the file has them as they are in memory.
Result<Operand> make_constant_of(const Model& model, const Tensor& tensor);

class NodeContext {
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
  explicit NodeContext(Fields fields) : f_(std::move(fields)) {}

  const Node& node() const { return *f_.node; }
  const Model& model() const { return *f_.model; }
  int64_t opset() const { return f_.opset; }
  const Span& span() const { return f_.span; }
  const std::string& name() const { return f_.name; }  // of bindings
  Builder& builder() { return *f_.builder; }
  const Facts& facts() const { return f_.builder->facts(); }

  // "`Conv`: " and the text.
  template <class... Args>
  Diagnostic fail(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) const {
    return error(kind, f_.span, "`{}`: {}", printable(f_.node->op_type),
                 fmt::format(text, std::forward<Args>(args)...));
  }

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

  // ---- Types ----
  DType dtype(const Operand& v) const { return graph::tensor_of(v)->dtype; }
  Result<Dims> shape(const Operand& v) const;  // an error where it is not known
  Result<int64_t> rank(const Operand& v) const;
  Result<int64_t> axis(int64_t given, int64_t rank) const;  // counted from the front

  // ---- Elements ----
  // Known elements of a tensor of rank 0 or 1; null where they are not known.
  const std::vector<Expr>* known(const Operand& v) const;
  // The one element of a tensor, where it is known.
  Expr known_scalar(const Operand& v) const;
  // Elements of an integer tensor of rank 0 or 1, as indices. Where only the data can tell, a
  // match_cast binds each to a fresh symbol; `what` names them.
  Result<std::vector<Expr>> elements(const Operand& v, const std::string& what);
  // Elements that have to be constants.
  Result<std::vector<int64_t>> constants(const Operand& v, const std::string& what) const;
  // Operand `i`, which has to be constant, or the attribute `attr` of older operator sets.
  Result<std::optional<std::vector<int64_t>>> constants_or_attr(size_t i,
                                                                std::string_view attr) const;

  // What the value stands for; null: only itself.
  const Quantized* quantized(const Operand& v) const;
  void note_quantized(Quantized q);

  // ---- Building ----
  Result<Operand> call(std::string_view op, std::vector<Operand> args, Attrs attrs = {});
  // The same of an operator that gives a tuple.
  Result<std::vector<Operand>> call_tuple(std::string_view op, std::vector<Operand> args,
                                          Attrs attrs = {});
  Result<Operand> cast(const Operand& v, DType dtype);  // `v` where it has that dtype
  Result<Operand> reshape(const Operand& v, Dims shape);
  // What the graph in attribute `name`, of one input and one output, makes of x.
  Result<Operand> apply(std::string_view name, const Operand& x);
  Operand scalar(DType dtype, double value) const;  // rank 0
  Operand scalar_like(const Operand& v, double value) const { return scalar(dtype(v), value); }
  Result<void> require(const Expr& condition, const std::string& text, std::vector<Expr> values);

 private:
  Fields f_;
};

// Results in the order of the node's outputs. Trailing ones that an importer cannot give are left
// out; a node that uses one of these is an error.
using Values = std::vector<Operand>;
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
