// What the importer of one operator sees of a node: arguments by their names in the operator's
// schema, what PyTorch says of the results, and the function that is being built.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/common/composite.h"
#include "frontend/torch/program.h"

namespace repose::torch {

using frontend::CallContext;
using frontend::Composite;
using frontend::Operand;
using frontend::printable;
using frontend::Values;

class NodeContext : public CallContext {
 public:
  // Values and sizes of the graph by name. An error where there is none.
  struct Names {
    std::function<Result<Operand>(const std::string&)> tensor;
    std::function<Result<Expr>(const Size&)> size;       // an index, or a condition
    std::function<Result<Operand>(const Size&)> number;  // a tensor of rank 0
  };
  NodeContext(Builder& builder, Span span, std::string name, const Node& node, const Graph& graph,
              const Names& names);

  const Node& node() const { return *node_; }

  // ---- Arguments: an error where one is of another kind; `absent` where it is omitted or None
  bool has(std::string_view arg) const { return find(arg) != nullptr; }
  const Argument* find(std::string_view arg) const;  // null: omitted or None
  Result<Operand> tensor(std::string_view arg);
  Result<Operand> optional_tensor(std::string_view arg);  // null: omitted
  // Null entries are None. At least one.
  Result<std::vector<Operand>> tensors(std::string_view arg);
  // A tensor, or a number as a tensor of rank 0 of that dtype.
  Result<Operand> tensor_or_number(std::string_view arg, DType dtype);
  Result<Expr> size(std::string_view arg);
  Result<Expr> size(std::string_view arg, int64_t absent);
  Result<Dims> sizes(std::string_view arg);
  Result<int64_t> integer(std::string_view arg);  // a constant
  Result<int64_t> integer(std::string_view arg, int64_t absent);
  Result<std::vector<int64_t>> integers(std::string_view arg, std::vector<int64_t> absent = {});
  Result<double> number(std::string_view arg, double absent);  // a constant
  Result<std::optional<std::vector<double>>> numbers(std::string_view arg);
  Result<bool> flag(std::string_view arg, bool absent);
  Result<Expr> condition(std::string_view arg);
  Result<std::string> string(std::string_view arg, std::string_view absent);
  Result<DType> dtype_arg(std::string_view arg, DType absent);

  // ---- Results
  // Does anything ask for a result? Trailing ones may be unused.
  size_t num_outputs() const { return outputs_.size(); }
  // The dtype that PyTorch gives to a result.
  Result<DType> result_dtype(size_t i = 0) const;
  const TensorMeta* result_meta(size_t i) const;  // null: no tensor
  Result<Dims> result_shape(size_t i = 0) const;

 private:
  Diagnostic wrong_kind(std::string_view arg, const Argument& found, const char* expected) const;
  Diagnostic missing(std::string_view arg) const;

  const Node* node_;
  const Graph* graph_;
  const Names* names_;
  std::vector<std::string> outputs_;  // names of tensors, flattened
};

// The first argument, or `arg`, in the result's dtype.
Result<Operand> operand(NodeContext& c, std::string_view arg = "self");

// A name as a template argument.
template <size_t n>
struct Name {
  constexpr Name(const char (&text)[n]) { std::copy_n(text, n, chars); }  // NOLINT: implicit
  char chars[n];
};

using ImportOperator = Result<Values> (*)(NodeContext&);

enum class Effect : uint8_t {
  none,
  view,  // of the memory of its first argument
  loop,  // stands outside of dataflow blocks
};

struct OperatorRow {
  std::string_view name;  // "aten.add.Tensor"
  ImportOperator import;
  Effect effect = Effect::none;
};

// An importer of one result.
template <Result<Operand> (*f)(NodeContext&)>
Result<Values> one(NodeContext& c) {
  REPOSE_TRY(y, f(c));
  return Values{y};
}

}  // namespace repose::torch
