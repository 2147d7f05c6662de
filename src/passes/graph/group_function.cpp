// Moves bindings into a private function of their own.
#include "passes/graph/group_function.h"

#include <algorithm>
#include <unordered_set>

#include "ir/structural.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

class GroupMaker {
 public:
  GroupMaker(const Module& module, const OpTable& ops, const graph::ValueMap& values,
             const VarMap& symbols, const Facts& facts)
      : builder_(ops, module), values_(values), symbols_(symbols), facts_(facts) {}

  Result<GroupCall> make(std::span<const Binding* const> bindings,
                         const std::vector<graph::Variable>& outputs, const std::string& name,
                         Attrs attrs) {
    for (const Binding* b : bindings) {
      if (b->cast) return GroupCall();
      inside_.insert(b->var.get());
    }
    for (const Binding* b : bindings) look(b->value);
    for (const Binding* b : bindings) {
      // A size that only the group knows.
      for (const Var& v : binding_symbols(b->var->type)) {
        if (renamed_.contains(v.get()) && !in_arguments_.contains(v.get())) return GroupCall();
      }
    }
    const std::string unique = builder_.module().fresh_name(name);
    builder_.begin_function(unique, parameters());
    builder_.begin_dataflow();
    for (const Binding* b : bindings) {
      const bool is_output = std::find(outputs.begin(), outputs.end(), b->var) != outputs.end();
      REPOSE_TRY(var, is_output
                          ? builder_.emit_binding(inner(b->value), b->var->name, b->span, true)
                          : builder_.emit(inner(b->value), b->var->name, b->span));
      made_[b->var.get()] = var;
    }
    std::vector<Value> results;
    for (const graph::Variable& v : outputs) results.push_back(made_.at(v.get()));
    builder_.end_dataflow();
    FunctionOptions options;
    options.is_private = true;
    options.attrs = std::move(attrs);
    const Value result = results.size() == 1 ? results[0] : graph::make_tuple(std::move(results));
    auto made = builder_.end_function(result, std::move(options));
    if (!made.ok()) return made.errors();
    return GroupCall{builder_.module().graph_function(unique), std::move(args_)};
  }

 private:
  Value outer(const Value& v) const { return graph::substitute(v, values_, symbols_); }
  Value inner(const Value& v) const {
    return graph::substitute(outer(graph::substitute(v, made_, {})), params_, renamed_);
  }

  void look(const Value& v) {
    if (graph::as<graph::VariableNode>(v)) {
      if (!inside_.contains(v.get())) look_outside(outer(v));
      return;
    }
    if (const auto* call = graph::as<graph::CallNode>(v)) {
      for (const Type& t : call->type_args) note_symbols(substitute(t, symbols_));
    } else if (graph::is_leaf(v) && v->kind != graph::ValueKind::tuple) {
      look_outside(outer(v));
    }
    graph::visit_operands(v, [&](const Value& operand) { look(operand); });
  }

  void look_outside(const Value& v) {
    const auto* constant = graph::as<graph::ConstantNode>(v);
    if (constant && constant->data->num_elements() == 1) return;
    if (constant || v->kind == graph::ValueKind::variable) {
      if (std::find(args_.begin(), args_.end(), v) != args_.end()) return;
      args_.push_back(v);
      visit_exprs(v->type, [&](const Expr& e) {
        for (const Var& s : free_vars(e)) in_arguments_.insert(s.get());
      });
      note_symbols(simple(v->type));
    } else if (v->type) {
      note_symbols(v->type);
    }
    graph::visit_operands(v, [&](const Value& operand) { look_outside(operand); });
  }

  void note_symbols(const Type& t) {
    for (const Var& v : free_vars(t)) {
      if (renamed_.emplace(v.get(), make_var(v->name, v->dtype, v->role)).second) {
        outside_symbols_.push_back(v);
      }
    }
  }

  // Sizes that are known to be equal outside have one name inside.
  Type simple(const Type& t) const {
    return rewrite_exprs(
        t, [&](const Expr& e) { return e->dtype.is_index() ? simplify(e, facts_) : e; });
  }

  std::vector<graph::Variable> parameters() {
    std::vector<graph::Variable> params;
    std::unordered_set<const VarNode*> bound;
    const size_t values = args_.size();
    for (size_t i = 0; i < values; ++i) {
      const auto* variable = graph::as<graph::VariableNode>(args_[i]);
      params.push_back(graph::make_variable(variable ? variable->name : fmt::format("w{}", i),
                                            substitute(simple(args_[i]->type), renamed_)));
      params_[args_[i].get()] = params.back();
      for (const Var& v : binding_symbols(params.back()->type)) bound.insert(v.get());
    }
    for (const Var& v : outside_symbols_) {
      const Var inner(as<VarNode>(renamed_.at(v.get())));
      if (bound.contains(inner.get())) continue;
      params.push_back(graph::make_variable(v->name, prim_type_of(inner)));
      args_.push_back(graph::make_prim(v));
    }
    return params;
  }

  Builder builder_;
  const graph::ValueMap& values_;
  const VarMap& symbols_;
  const Facts& facts_;
  std::unordered_set<const graph::ValueNode*> inside_;
  std::vector<Value> args_;
  std::vector<Var> outside_symbols_;
  VarMap renamed_;
  std::unordered_set<const VarNode*> in_arguments_;
  graph::ValueMap params_, made_;
};

}  // namespace

Result<GroupCall> make_group(const Module& module, const OpTable& ops,
                             std::span<const Binding* const> bindings,
                             const std::vector<graph::Variable>& outputs,
                             const graph::ValueMap& values, const VarMap& symbols,
                             const Facts& facts, const std::string& name, Attrs attrs) {
  return GroupMaker(module, ops, values, symbols, facts)
      .make(bindings, outputs, name, std::move(attrs));
}

std::string add_group(Module& module, const std::string& hint, const graph::Function& f) {
  for (const std::string& name : module.names()) {
    const graph::Function g = module.graph_function(name);
    if (g && g->is_private && g->attrs == f->attrs && structural_equal(g, f)) return name;
  }
  std::string name = module.fresh_name(hint);
  module.set(name, f);
  return name;
}

}  // namespace repose
