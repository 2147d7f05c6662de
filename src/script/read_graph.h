// Reads graph functions (`@R.function`) from syntax trees, through a Builder.
#pragma once

#include "script/read_value.h"
#include "script/scopes.h"

namespace repose::script {

// A graph function whose parameters and result type have been read, and whose body may be.
class GraphFunctionReader : public GraphScope {
 public:
  GraphFunctionReader(ModuleReader& module, const Statement& def);

  // False: errors were reported. Afterwards type() is the function's, null without a return
  // annotation.
  bool read_signature() { return read_signature(def_, &signature_); }
  Type type() const { return signature_.type(); }
  const std::vector<graph::Variable>& params() const { return signature_.params; }
  // Adds the function to the builder's module.
  bool read_body();

  // GraphScope.
  Expr find_variable(const Node& name) override;
  graph::Variable find_value(const std::string& name) override;
  void bind_results(const Node& types) override;
  bool explain(const Node& name) override;
  std::vector<std::string> candidates() const override;

 private:
  struct Entry {
    graph::Variable variable;
    Expr symbol;
    bool poisoned = false;
  };
  struct Signature {
    std::vector<graph::Variable> params;
    Type result;  // null: no annotation
    bool pure = true;
    Type type() const;
  };

  ModuleReader& module_;
  ReadContext& context_;
  Builder& builder_;
  ExprReader exprs_;
  TypeReader types_;
  ValueReader values_;
  const Statement& def_;
  Signature signature_;
  Scopes<Entry> scopes_;
  std::set<std::string> declared_;         // symbols that no type has bound yet
  std::map<std::string, Var> of_results_;  // symbols that only return annotations mention
  VarMap results_map_;                     // of those, what stands for them in the body
  const Attrs* attrs_ = nullptr;           // of the function that is being read
  std::set<std::string> heeded_;           // symbols inside of it whose declared ranges are checked
  std::set<std::string> outputs_;  // of the dataflow block: what the statement being read binds

  Span span(const Position& at) const { return context_.tree.span(at); }
  void define(const std::string& name, graph::Variable v) {
    scopes_.innermost()[name] = {std::move(v), nullptr};
  }
  void define_symbol(const std::string& name, Expr symbol) {
    scopes_.innermost()[name] = {nullptr, std::move(symbol)};
  }

  // read_graph.cpp: names, signatures, functions.
  void drop_absent_ranges(const Statement& def, const Signature& signature, Attrs* attrs);
  void poison(const Statement& s);
  void enter_callable(const Node& annotation);
  void bind_names(const Node& annotation);
  Var result_symbol(const std::string& name, VarRole role);
  bool read_signature(const Statement& def, Signature* out);
  bool read_params(const Statement& def, Signature* out);
  void find_roles(const std::vector<Statement*>& body, std::map<std::string, VarRole>& roles);
  bool read_result_type(const Statement& def, Signature* out);
  bool read_attrs(const Statement& def, FunctionOptions* options);
  Facts read_facts(const Attrs& attrs);
  bool heed_range(const Var& symbol, const std::string& name, const Position& at);
  bool read_function_body(const Statement& def, const Signature& signature, graph::Value* closure);
  bool read_result(const Statement& def, graph::Value* result);

  // read_binding.cpp: statements.
  bool read_statements(std::span<Statement* const> body);
  bool read_statement(const Statement& s);
  bool read_assign(const Statement& s);
  bool read_items(const Statement& s);
  graph::Variable read_binding(const std::string& name, const Node& value, const Node* annotation,
                               const Position& at);
  bool name_fresh_symbols(const Node& annotation, const Type& derived, const Position& at);
  bool check_annotation(const Node& annotation, const Type& derived, const Position& at);
  bool require_equal_dims(const Type& a, const Type& b, const Position& at);

  // read_region.cpp: statements that hold others.
  bool read_dataflow(const Statement& s);
  bool read_outputs(const Statement& s, std::set<std::string>* outputs);
  struct Branch;
  graph::Value read_if_condition(const Node& node);
  bool read_branch(const std::vector<Statement*>& body, Branch* branch);
  bool read_branch_result(const Statement& last, Branch* branch);
  bool check_branch_annotation(const Branch& branch, const Type& common);
  graph::Variable read_if(const Statement& s);
  bool read_closure(const Statement& s);
};

}  // namespace repose::script
