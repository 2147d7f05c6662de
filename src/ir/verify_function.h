// The part of the verifier that looks at graph functions; verifier.cpp has the invariants.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/function_facts.h"
#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Whether a call of the operator says its results itself: call_tir and its kin.
bool allocates_results(std::string_view op);

// Adds every violation of the invariants M1 and G1 … G15 by the function `name`. One traversal; its
// state is what is bound and visible where it stands. Defined in verify_function.cpp (scopes,
// bodies, values) and verify_calls.cpp (calls, storage).
class FunctionVerifier {
 public:
  FunctionVerifier(const std::string& name, const Module& module, const OpTable& ops,
                   Diagnostics& problems)
      : name_(name), module_(module), ops_(ops), problems_(problems) {}

  void run(const graph::FunctionNode& f) {
    span_ = f.span;
    force_pure_ = is_forced_pure(f.attrs);
    check(f);
    check_donations(f);
  }

 private:
  using Roots = std::vector<const graph::ValueNode*>;  // variables whose storage a value may share

  struct Visible {
    int depth;     // of functions around the binding
    int dataflow;  // number of the dataflow block that it is confined to; 0: none
  };

  template <class... Args>
  void report(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(
        error(kind, span_, "`{}`: {}", name_, fmt::format(text, std::forward<Args>(args)...)));
  }

  // ---- Donations

  void check_donations(const graph::FunctionNode& f);
  void check_donation(const Type& result, int64_t position, const graph::VariableNode& param);

  // ---- Scopes. What a sequence binds is undone when it ends.

  class ScopeGuard {
   public:
    explicit ScopeGuard(FunctionVerifier& v)
        : v_(v), vars_(v.var_stack_.size()), symbols_(v.symbol_stack_.size()) {}
    ~ScopeGuard() {
      v_.hide_variables(vars_);
      for (; v_.symbol_stack_.size() > symbols_; v_.symbol_stack_.pop_back()) {
        v_.symbols_.erase(v_.symbol_stack_.back());
      }
    }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    FunctionVerifier& v_;
    size_t vars_, symbols_;
  };

  void hide_variables(size_t keep);
  void bind(const graph::Variable& v);
  void bind_symbol(const Var& v);
  void bind_symbols(const Type& t);
  void check_symbols(const std::vector<Var>& used, std::string_view where);
  void check_symbols(const Type& t, std::string_view where);

  // ---- Functions and bodies

  void check(const graph::FunctionNode& f);
  void check(const graph::Body& body);
  void hide_dataflow_variables(size_t first);
  void check(const graph::Binding& b);
  void check_type(const graph::Binding& b);
  void check_subtype(const Type& derived, const Type& base, std::string_view what,
                     std::string_view than);

  // ---- Values

  void check_leaf(const graph::Value& v, std::string_view what);
  void check_use(const graph::Value& v);
  void check_variable(const graph::VariableNode& v);
  void check_global(const graph::GlobalNode& g);
  void check_value(const graph::Value& v);
  void check(const graph::TupleGetNode& get);
  void check(const graph::IfNode& branch);
  void check_condition(const Type& type);

  // ---- Calls

  void check(const graph::CallNode& call);
  void check_purity(bool pure, std::string_view callee);
  void check_operator_call(const graph::CallNode& call);
  void check_function_call(const graph::CallNode& call);

  // ---- call_tir

  void check_call_tir(const graph::CallNode& call);
  std::vector<Type> fresh_results(const graph::CallNode& call, const graph::TupleNode& args,
                                  const std::vector<Type>& results);

  // ---- Storage

  Roots roots_of(const graph::Value& v) const;
  void collect_roots(const graph::Value& v, Roots& out) const;
  void kill_overwritten(const graph::Binding& b);

  const std::string& name_;
  const Module& module_;
  const OpTable& ops_;
  Diagnostics& problems_;
  Span span_;
  std::string binding_;  // the variable that is being bound, for messages
  bool force_pure_ = false;
  bool pure_ = true;
  bool conditional_ = false;
  int depth_ = 0;
  int dataflow_ = 0;  // number of the open dataflow block; 0: none
  int dataflow_count_ = 0;
  std::unordered_set<const graph::ValueNode*> bound_, overwritable_, overwritten_;
  std::unordered_map<const graph::ValueNode*, Visible> visible_;
  std::vector<const graph::ValueNode*> var_stack_;
  std::unordered_set<const VarNode*> symbols_;
  std::vector<const VarNode*> symbol_stack_;
  std::unordered_map<const graph::ValueNode*, Roots> roots_;
  std::unordered_set<const void*> reported_;
};

}  // namespace repose
