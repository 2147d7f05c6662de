// The importer of one model: what the files import.cpp and import_control.cpp share.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontend/common/input_symbols.h"
#include "frontend/common/loop_builder.h"
#include "frontend/common/names.h"
#include "frontend/onnx/import.h"
#include "frontend/onnx/node_context.h"
#include "frontend/onnx/quantized.h"

namespace repose::onnx {

using frontend::DeclaredBound;
using frontend::InputSymbols;
using frontend::LoopBuilder;
using frontend::ModelInput;
using frontend::SymbolAlias;
using frontend::SymbolAliases;

// Values by name: of the main graph, of a function's body, or of a branch (which sees `outer`).
struct Scope {
  const Scope* outer = nullptr;
  std::unordered_map<std::string_view, Operand> values;  // null: its import failed
  std::unordered_map<std::string_view, const Tensor*> initializers;
  std::unordered_set<std::string_view> omitted;  // operands that a function is called without

  bool is_own(std::string_view name) const {
    return values.count(name) || initializers.count(name) || omitted.count(name);
  }
  bool is_omitted(std::string_view name) const {
    return omitted.count(name) || (outer && outer->is_omitted(name));
  }
  bool knows(std::string_view name) const { return is_own(name) || (outer && outer->knows(name)); }
};

// What the nodes of a body have in common.
struct Surroundings {
  int64_t opset = 0;
  std::string_view function;  // its name; empty in the main graph
  FunctionAttributes attributes;
  int depth = 0;
};

// `If` nodes whose branches give results of different ranks: what follows stands in both of them.
using SplitNodes = std::unordered_set<const Node*>;

// Where the importer is: nodes that are calls, loops (with the number of the attempt) and branches
// (with 1 for the first one, 0 for the other).
using NodePath = std::vector<std::pair<const Node*, int>>;
// Branches that are wrong for any values of the symbols, and why: a model that takes one fails.
using DeadBranches = std::map<NodePath, std::string>;

// One attempt to import a model, with what the attempts before found: symbols that are one, nodes
// at which the rest of the graph is split, and branches that cannot be taken.
class Importer {
 public:
  Importer(const Model& model, const OpTable& ops, const ImportOptions& options,
           const SymbolAliases& aliases, const SplitNodes& splits, const DeadBranches& dead)
      : model_(model),
        options_(options),
        aliases_(aliases),
        splits_(splits),
        dead_(dead),
        builder_(ops) {}

  Result<Module> run();
  // Symbols that an operator of this attempt needed equal, each with the one to take instead.
  const SymbolAliases& found_aliases() const { return found_aliases_; }
  const SplitNodes& found_splits() const { return found_splits_; }
  const DeadBranches& found_dead() const { return found_dead_; }
  // Whether what was found makes another attempt necessary, whatever else went wrong.
  bool has_to_start_again() const { return !found_splits_.empty() || !found_dead_.empty(); }
  const Diagnostics& warnings() const { return warnings_; }

 private:
  void report(const Diagnostics& problems);
  Result<void> open_function();
  const Value* with_declared_shape(const Value& input);
  Result<void> check_declared_shape(const std::string& name) const;
  Result<graph::Variable> make_parameter(const Value& input, size_t i);
  Result<Module> close_function();
  Result<void> add_initializers(const Graph& graph, Scope& scope);
  Result<Operand> find_value(std::string_view name, Scope& scope);

  // `wanted`: the values that are asked for afterwards.
  void import_nodes(const std::vector<Node>& nodes, Scope& scope, const Surroundings& around,
                    const std::vector<std::string_view>& wanted);
  void import_in_order(const std::vector<Node>& nodes, std::span<const size_t> order, Scope& scope,
                       const Surroundings& around, const std::vector<std::string_view>& wanted);
  void find_unsupported(const std::vector<Node>& nodes, const Surroundings& around);
  void note_unsupported(const Node& node, const Span& span, int64_t opset);
  void report_unsupported();
  static bool is_supported(const Node& node, int64_t opset);
  bool find_inputs(const Node& node, Scope& scope, Values& inputs);
  void import_node(const Node& node, const Span& span, Scope& scope, const Surroundings& around);
  Result<Values> import_operator(const Node& node, const Span& span, Values inputs, Scope& scope,
                                 const Surroundings& around);
  Result<Values> import_call(const Node& node, const Function& function, const Span& span,
                             Values inputs, const Surroundings& around);
  const Function* find_function(const Node& node) const;
  void check_hints(const std::vector<Value>& values, const Scope& scope);
  void check_hint(const Value& value, const Operand& found);
  void find_equal_symbols();
  bool has_loops_or_branches() const;
  // Grows with each error, and with what makes another attempt necessary.
  size_t num_failures() const {
    return errors_.size() + found_splits_.size() + found_dead_.size() + unsupported_.size();
  }

  // ---- Control flow: import_control.cpp
  // A node with graphs in its attributes.
  struct Control {
    const Node& node;
    const Span& span;
    const Values& inputs;
    Scope& scope;
    const Surroundings& around;
  };
  // The nodes after one of them.
  struct Rest {
    const std::vector<Node>& nodes;
    std::span<const size_t> order;
    const std::vector<std::string_view>& wanted;
  };
  // What Loop, Scan and SequenceMap have in common.
  struct LoopNode {
    Expr limit;                 // null: none
    bool limit_is_size = true;  // LoopBuilder::Fields
    Operand flag;               // whether the first iteration runs; null: it does
    bool has_flag = false;      // the first result of the body says whether the next one runs
    Values inits;
    size_t num_stacked = 0;
    // Iteration `i`, of what is carried: whether the next one runs (where `has_flag`), what is
    // carried on, and a row of each result that is stacked. Null: its import failed.
    std::function<Result<Values>(const Expr& i, const Values& carried)> body;
  };
  struct LoopResults {
    Values carried, stacked;
  };
  static constexpr size_t max_splits = 6;  // each doubles what follows
  NodeContext context_of(const Control& c);
  Result<Values> import_graph(const Graph& graph, Scope& inner, const Surroundings& around,
                              const Span& span);
  Result<Values> members(const Operand& v, size_t count, const std::string& name, const Span& span);
  Result<Operand> condition_of(const NodeContext& c, const Operand& v);
  Result<Operand> decide(const NodeContext& c, const Node& node, const Operand& condition);
  Result<Operand> condition_tensor(const NodeContext& c, const Operand& v);
  bool is_known_true(const Operand& v) const;
  Result<Expr> truth_of(const NodeContext& c, const Operand& v);
  Result<Operand> import_branch(const Graph& graph, Scope& scope, const Control& c,
                                const Rest* rest);
  // The results of an `if`; null where a branch could not be imported. What is known of their
  // elements.
  struct Joined {
    Operand value;
    std::vector<std::optional<std::vector<Expr>>> elements;
  };
  Result<Joined> import_branches(const Operand& condition, const Graph& then_graph,
                                 const Graph& else_graph, const Control& c, const Rest* rest);
  bool import_split(const Control& c, const Rest& rest);
  struct ScanNode;
  Result<LoopResults> import_loop_body(const Control& c, const LoopNode& loop);
  Result<Values> import_body(const Control& c, const Graph& body, const Values& inputs);
  Result<LoopResults> import_steps(const Control& c, const ScanNode& scan);
  Result<Values> import_if(const Control& c);
  Result<Values> import_loop(const Control& c);
  // A loop that carries sequences: building_loops.cpp.
  Result<Values> import_building_loop(const Control& c);
  Result<Values> import_scan(const Control& c);
  Result<Values> import_scan_of_batch(const Control& c, const Graph& body, size_t num_carried);
  Result<Values> import_sequence_map(const Control& c);
  using ImportControl = Result<Values> (Importer::*)(const Control&);
  // Of the operators with graphs; null: another operator.
  static ImportControl find_control(const Node& node);

  const Model& model_;
  const ImportOptions& options_;
  const SymbolAliases& aliases_;
  const SplitNodes& splits_;
  const DeadBranches& dead_;
  Builder builder_;
  QuantizedValues quantized_;
  Identifiers identifiers_;
  InputSymbols symbols_;
  std::vector<const Value*> inputs_;
  std::deque<Node> own_nodes_;       // in place of nodes of the model
  std::deque<Value> shaped_inputs_;  // those whose shape is declared
  Scope main_;
  int64_t num_nodes_ = 0;
  struct Unsupported {
    std::string what;
    Span span;  // of the first node
    size_t count;
  };
  std::vector<Unsupported> unsupported_;
  std::unordered_set<const Function*> looked_through_;
  SymbolAliases found_aliases_;
  SplitNodes found_splits_;
  DeadBranches found_dead_;
  NodePath path_;
  Diagnostics errors_, warnings_;
};

}  // namespace repose::onnx
