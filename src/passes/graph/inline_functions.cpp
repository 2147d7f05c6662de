// Puts the bodies of called graph functions in place of the calls.
#include "passes/graph/inline_functions.h"

#include <unordered_set>

#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

void callees(const graph::Body& body, std::unordered_set<std::string>& names) {
  graph::visit_bindings(body, true, [&](const graph::Binding& b) {
    std::function<void(const Value&)> note = [&](const Value& v) {
      if (const auto* g = graph::as<graph::GlobalNode>(v)) names.insert(g->name);
      graph::visit_operands(v, note);
    };
    note(b.value);
    if (const auto* call = graph::as<graph::CallNode>(b.value); call && call->callee)
      note(call->callee);
  });
}

// Functions that can reach themselves.
std::unordered_set<std::string> recursive_functions(const Module& module) {
  std::unordered_map<std::string, std::unordered_set<std::string>> reach;
  for (const std::string& name : module.names()) {
    if (graph::Function f = module.graph_function(name)) callees(f->body, reach[name]);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& [name, set] : reach) {
      const std::unordered_set<std::string> direct = set;
      for (const std::string& callee : direct) {
        auto it = reach.find(callee);
        if (it == reach.end()) continue;
        for (const std::string& further : it->second)
          changed = set.insert(further).second || changed;
      }
    }
  }
  std::unordered_set<std::string> result;
  for (const auto& [name, set] : reach) {
    if (set.count(name)) result.insert(name);
  }
  return result;
}

class Inliner {
 public:
  Inliner(const Module& module) : module_(module), recursive_(recursive_functions(module)) {}

  // The callee's bindings, in the caller; the result takes the call's place.
  Result<Value> inline_call(Builder& b, const graph::CallNode& call, const Span&) {
    if (call.op) return Value();
    const auto* g = graph::as<graph::GlobalNode>(call.callee);
    graph::Function f = g ? module_.graph_function(g->name) : nullptr;
    // A body with branches or blocks of its own stays a function inside a dataflow block.
    if (!f || recursive_.count(g->name) || f->params.size() != call.args.size()) return Value();
    if (b.in_dataflow() && !is_straight(f->body)) return Value();
    graph::ValueMap values;
    VarMap symbols;
    for (size_t i = 0; i < call.args.size(); ++i) {
      REPOSE_TRY(arg, b.normalize(call.args[i]));
      if (is_subtype(arg->type, f->params[i]->type) == Truth::no &&
          !has_symbols(f->params[i]->type)) {
        return Value();  // the Builder reports it
      }
      values.emplace(f->params[i].get(), arg);
      match_symbols(f->params[i]->type, arg->type, symbols);
    }
    return body(b, f->body, values, symbols);
  }

 private:
  static bool has_symbols(const Type& t) { return !free_vars(t).empty(); }

  static bool is_straight(const graph::Body& body) {
    bool straight = true;
    graph::visit_bindings(body, false, [&](const graph::Binding& x) {
      straight = straight && x.value->kind != graph::ValueKind::if_;
    });
    return straight;
  }

  Result<Value> body(Builder& b, const graph::Body& source, graph::ValueMap values,
                     VarMap symbols) {
    for (const graph::Block& block : source->blocks) {
      for (const graph::Binding& x : block.bindings) {
        auto bound = binding(b, x, values, symbols);
        if (!bound.ok()) return bound.errors();
        values[x.var.get()] = *bound;
        // Symbols that this binding introduced are fresh in each call.
        match_symbols(x.var->type, (*bound)->type, symbols);
      }
    }
    return graph::substitute(source->result, values, symbols);
  }

  Result<Value> binding(Builder& b, const graph::Binding& x, const graph::ValueMap& values,
                        VarMap& symbols) {
    if (const auto* choice = graph::as<graph::IfNode>(x.value)) {
      b.begin_if(graph::substitute(choice->condition, values, symbols), x.span);
      REPOSE_TRY(t, body(b, choice->then_body, values, symbols));
      REPOSE_TRY(then_leaf, b.normalize(t));
      b.begin_else(then_leaf);
      REPOSE_TRY(e, body(b, choice->else_body, values, symbols));
      REPOSE_TRY(else_leaf, b.normalize(e));
      REPOSE_TRY(joined, b.end_if(else_leaf, x.var->name));
      return Value(joined);
    }
    Value value = graph::substitute(x.value, values, symbols);
    if (x.cast) {
      for (const Var& v : binding_symbols(x.cast)) {
        if (!symbols.count(v.get())) symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
      }
      REPOSE_TRY(var, b.emit_match_cast(value, substitute(x.cast, symbols), x.var->name, x.span));
      return Value(var);
    }
    if (const auto* call = graph::as<graph::CallNode>(value)) {
      REPOSE_TRY(inlined, inline_call(b, *call, x.span));
      if (inlined) return b.normalize(inlined, x.span);
    }
    REPOSE_TRY(var, b.emit(value, x.var->name, x.span));
    return Value(var);
  }

  const Module& module_;
  const std::unordered_set<std::string> recursive_;
};

}  // namespace

Result<Module> inline_functions(const Module& module, const OpTable& ops) {
  bool any = false;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      any = any || (call && call->callee && call->callee->kind == graph::ValueKind::global);
    });
  }
  if (!any) return module;
  Inliner inliner(module);
  return rebuild_functions(module, ops,
                           [&](Builder& b, const graph::CallNode& call, const Span& span) {
                             return inliner.inline_call(b, call, span);
                           });
}

}  // namespace repose
