// How a program becomes a function: what its files (import.cpp, import_control.cpp) share.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "expr/interval.h"
#include "frontend/common/input_symbols.h"
#include "frontend/torch/import.h"
#include "frontend/torch/node_context.h"
#include "frontend/torch/operator_table.h"
#include "frontend/torch/shared_memory.h"

namespace repose::torch {

// "aten.add.Tensor" of "torch.ops.aten.add.Tensor".
std::string_view operator_name(const Node& node);

// Operators whose arguments are graphs.
enum class Control : uint8_t {
  none,   // the node has no graph that is supported
  block,  // the graph stands in its place: it says how gradients or mixed precision are handled
  cond,   // (condition, graph, graph, operands)
  while_loop,  // (test, body, carried, others)
  map,         // (body, rows, others)
  scan,        // (body, carried, rows, others)
};
Control control_of(const Node& node);

// The name of the symbol that a size is; empty: it is none, or known already.
std::string unbound_symbol(const Size& size, const std::function<bool(const std::string&)>& known);

using frontend::Identifiers;
using frontend::InputSymbols;
using frontend::ModelInput;
using graph::Variable;

// See import_torch.
class Importer {
 public:
  Importer(const Program& program, const OpTable& ops, const ImportOptions& options)
      : program_(program), options_(options), builder_(ops), graph_(&program.graph) {
    names_.tensor = [this](const std::string& name) { return find_tensor(name); };
    names_.size = [this](const Size& size) { return find_size(size); };
    names_.number = [this](const Size& size) { return find_number(size); };
  }
  Result<Module> run();
  const Diagnostics& warnings() const { return builder_.warnings(); }

 private:
  // ---- The function
  void find_mutations();
  Result<void> open_function();
  Result<std::vector<ModelInput>> describe_inputs();
  Result<void> bind_integer(const InputSpec& spec);
  Result<Variable> make_parameter(const InputSpec& spec, size_t i);
  Result<std::string> dimension_text(const Size& size);
  std::map<std::string, Interval> declared_ranges() const;
  Result<Module> close_function();
  Result<void> add_output(const OutputSpec& spec);
  void add_result(const Operand& value, const std::string& name);

  // ---- Values
  Result<Operand> find_tensor(const std::string& name);
  Result<Expr> find_size(const Size& size);
  Result<Operand> find_number(const Size& size);
  const Size* resolve(const Size& size) const;

  // ---- Nodes
  void find_unsupported(const Graph& graph);
  void import_node(const Node& node, size_t position);
  Result<void> import_sizes(const Node& node, const Span& span);
  Result<void> import_operator(const Node& node, const OperatorRow& row, const Span& span,
                               bool in_place);

  // ---- Operators with graphs (import_control.cpp)
  Result<void> import_control(const Node& node, const Span& span);
  Result<Values> import_block(const Node& node, const Span& span);
  Result<Values> import_cond(const Node& node, CallContext& c);
  Result<Values> import_while(const Node& node, CallContext& c);
  Result<Values> import_rows(const Node& node, CallContext& c);
  Result<Values> import_graph(const Graph& graph, const Values& arguments, const Span& span);
  Result<Values> import_nodes(const Graph& graph, const Span& span);
  Result<Operand> import_branch(const Graph& graph, const Values& arguments, const Span& span);
  Result<Operand> condition_of(const Argument& condition, CallContext& c);
  Result<Operand> test_of(const Graph& graph, const Values& arguments, CallContext& c);
  Result<Values> operands_of(const Node& node, size_t first, size_t last);
  Dims row_shape(const Graph& graph, const std::string& name);

  Result<void> bind_sizes(const std::string& name, const Operand& value, const Span& span);
  Result<void> bind_symbol(const std::string& symbol, const Expr& value, const Span& span);

  const Program& program_;
  const ImportOptions& options_;
  Builder builder_;
  NodeContext::Names names_;
  Identifiers identifiers_;
  InputSymbols symbols_;
  std::map<std::string, Expr> bound_;                  // symbols that inputs don't have
  std::map<std::string, Var, std::less<>> text_vars_;  // symbols in texts of dimensions
  std::map<std::string, const InputSpec*, std::less<>> specs_;
  std::set<std::string> mutated_;             // names in the graph of buffers and inputs
  std::vector<const InputSpec*> parameters_;  // of the function, in order
  std::vector<Variable> parameter_values_;
  const Graph* graph_;  // whose nodes are imported
  std::map<std::string, Operand, std::less<>> values_;
  std::map<std::string, Operand> numbers_;  // floats that tensors hold
  SharedMemory memory_;
  std::vector<Operand> results_;
  std::vector<std::string> result_names_;
  Diagnostics errors_;
};

}  // namespace repose::torch
