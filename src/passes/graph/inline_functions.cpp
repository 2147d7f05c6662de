// Puts the bodies of called graph functions in place of the calls.
#include "passes/graph/inline_functions.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/while_loop.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

// What inlining may add up to: nested calls, and bindings in the whole module. Functions that call
// each other twice double the code with each one.
constexpr int max_depth = 256;
constexpr int64_t max_bindings = 100'000;

// The graph functions of a module that each mentions, as positions in `names`.
struct CallGraph {
  std::vector<std::string> names;
  std::vector<std::vector<size_t>> callees;
};

CallGraph call_graph(const Module& module) {
  CallGraph g;
  std::unordered_map<std::string, size_t> positions;
  for (const std::string& name : module.names()) {
    if (!module.graph_function(name)) continue;
    positions.emplace(name, g.names.size());
    g.names.push_back(name);
  }
  g.callees.resize(g.names.size());
  for (size_t i = 0; i < g.names.size(); ++i) {
    std::unordered_set<size_t> seen;
    std::function<void(const Value&)> note = [&](const Value& v) {
      if (const auto* global = graph::as<graph::GlobalNode>(v)) {
        auto it = positions.find(global->name);
        if (it != positions.end() && seen.insert(it->second).second) {
          g.callees[i].push_back(it->second);
        }
      }
      graph::visit_operands(v, note);
    };
    graph::visit_bindings(module.graph_function(g.names[i])->body, true,
                          [&](const graph::Binding& b) { note(b.value); });
  }
  return g;
}

// Tarjan's strongly connected components, without recursion: chains of calls may be long.
class Components {
 public:
  // Functions that can reach themselves.
  static std::unordered_set<std::string> recursive_functions(const Module& module) {
    const CallGraph g = call_graph(module);
    Components c(g);
    for (size_t i = 0; i < g.names.size(); ++i) c.visit(i);
    return std::move(c.recursive_);
  }

 private:
  explicit Components(const CallGraph& g)
      : graph_(g), order_(g.names.size(), 0), low_(g.names.size()), on_stack_(g.names.size()) {}

  void visit(size_t root) {
    if (order_[root] != 0) return;
    struct Open {
      size_t function, next;  // the callee to look at
    };
    std::vector<Open> open{{root, 0}};
    enter(root);
    while (!open.empty()) {
      auto& [f, next] = open.back();
      if (next < graph_.callees[f].size()) {
        const size_t callee = graph_.callees[f][next++];
        if (callee == f) recursive_.insert(graph_.names[f]);
        if (order_[callee] == 0) {
          enter(callee);
          open.push_back({callee, 0});
        } else if (on_stack_[callee]) {
          low_[f] = std::min(low_[f], order_[callee]);
        }
        continue;
      }
      const size_t done = f;
      open.pop_back();
      if (!open.empty())
        low_[open.back().function] = std::min(low_[open.back().function], low_[done]);
      if (low_[done] == order_[done]) close(done);
    }
  }

  void enter(size_t f) {
    order_[f] = low_[f] = ++count_;
    on_stack_[f] = true;
    stack_.push_back(f);
  }

  // Takes the component of `f` from the stack.
  void close(size_t f) {
    const bool is_cycle = stack_.back() != f;
    size_t member = 0;
    do {
      member = stack_.back();
      stack_.pop_back();
      on_stack_[member] = false;
      if (is_cycle) recursive_.insert(graph_.names[member]);
    } while (member != f);
  }

  const CallGraph& graph_;
  std::vector<size_t> order_, low_;  // 0: not seen
  std::vector<bool> on_stack_;
  std::vector<size_t> stack_;
  size_t count_ = 0;
  std::unordered_set<std::string> recursive_;
};

class Inliner {
 public:
  explicit Inliner(const Module& module)
      : module_(module), recursive_(Components::recursive_functions(module)) {}

  // The callee's bindings, in the caller; the result takes the call's place.
  Result<Value> inline_call(Builder& b, const graph::CallNode& call, const Span& span) {
    if (is_while_loop(call)) return with_closures(b, call, span);
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
    auto required = require_ranges(b, g->name, f, symbols, span);
    if (!required.ok()) return required.errors();
    if (depth_ >= max_depth) {
      return error(DiagnosticKind::nesting_too_deep, span,
                   "functions call each other more than {} deep", max_depth);
    }
    ++depth_;
    auto result = body(b, f->body, values, symbols);
    --depth_;
    return result;
  }

 private:
  // A loop over functions of the module, over closures of the same bodies.
  Result<Value> with_closures(Builder& b, const graph::CallNode& call, const Span& span) {
    std::vector<Value> args = call.args;
    for (size_t i = 0; i < 2; ++i) {
      const auto* g = graph::as<graph::GlobalNode>(args[i]);
      graph::Function f = g ? module_.graph_function(g->name) : nullptr;
      if (!f || recursive_.count(g->name)) continue;
      if (depth_ >= max_depth) {
        return error(DiagnosticKind::nesting_too_deep, span,
                     "functions call each other more than {} deep", max_depth);
      }
      ++depth_;
      const graph::Binding binding{graph::make_variable(g->name, f->type), f, nullptr, span};
      auto made = closure(b, binding, *f, {}, {});
      --depth_;
      if (!made.ok()) return made.errors();
      args[i] = *made;
    }
    if (args == call.args) return Value();
    return Value(make_ref<graph::CallNode>(call.op, nullptr, std::move(args), call.attrs,
                                           call.type_args, nullptr));
  }

  // What the entry of the function checks: the ranges that it declares of its symbols.
  static Result<void> require_ranges(Builder& b, const std::string& name, const graph::Function& f,
                                     const VarMap& symbols, const Span& span) {
    const Facts facts = declared_facts(f);
    for (const graph::Variable& p : f->params) {
      for (const Var& v : binding_symbols(p->type)) {
        auto value = symbols.find(v.get());
        if (value == symbols.end()) continue;
        auto done =
            b.require(in_range(value->second, facts.range_of(v)),
                      fmt::format("`{}`: `{}` is {{0}}, outside of its range", name, v->name),
                      {value->second}, span);
        if (!done.ok()) return done;
      }
    }
    return {};
  }

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
        if (++bindings_ > max_bindings) {
          return error(DiagnosticKind::too_large, x.span,
                       "the functions that are called come to more than {} operations here",
                       max_bindings);
        }
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
    if (const auto* f = graph::as<graph::FunctionNode>(x.value)) {
      return closure(b, x, *f, values, symbols);
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

  // Each call has a closure of its own, with parameters and symbols of its own.
  Result<Value> closure(Builder& b, const graph::Binding& x, const graph::FunctionNode& f,
                        graph::ValueMap values, VarMap symbols) {
    graph::Variable self =
        graph::make_variable(x.var->name, substitute(x.var->type, symbols), b.in_dataflow());
    values[x.var.get()] = self;  // its own body may call it
    std::vector<graph::Variable> params;
    for (const graph::Variable& p : f.params) {
      for (const Var& v : binding_symbols(p->type)) {
        if (!symbols.count(v.get())) symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
      }
    }
    for (const graph::Variable& p : f.params) {
      params.push_back(graph::make_variable(p->name, substitute(p->type, symbols)));
      values[p.get()] = params.back();
    }
    b.begin_function(x.var->name, std::move(params), {}, f.span);
    REPOSE_TRY(result, body(b, f.body, std::move(values), symbols));
    FunctionOptions options;
    options.result_type = substitute(f.result_type, symbols);
    options.is_pure = f.is_pure;
    options.attrs = f.attrs;
    REPOSE_TRY(made, b.end_function(result, options));
    const std::vector<graph::Variable> free = graph::free_variables(f.body, f.params);
    if (std::find(free.begin(), free.end(), x.var) == free.end()) {
      REPOSE_TRY(bound, b.emit_binding(made, x.var->name, x.span, false));
      return Value(bound);
    }
    b.emit_closure(self, made, x.span);
    return Value(self);
  }

  const Module& module_;
  const std::unordered_set<std::string> recursive_;
  int depth_ = 0;
  int64_t bindings_ = 0;
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
      if (!call || !is_while_loop(*call)) return;
      for (const Value& arg : call->args) any = any || arg->kind == graph::ValueKind::global;
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
