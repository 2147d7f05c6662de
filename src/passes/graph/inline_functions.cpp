// Puts the bodies of called graph functions in place of the calls.
#include "passes/graph/inline_functions.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/while_loop.h"
#include "passes/graph/emit_body.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

// What inlining may add up to: nested calls, and calls in the whole module. Functions that call
// each other twice double the code with each one.
constexpr int max_depth = 256;
constexpr int64_t max_operations = 100'000;

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
  Inliner(const Module& module, bool takes_groups)
      : module_(module),
        takes_groups_(takes_groups),
        recursive_(Components::recursive_functions(module)) {}

  // The callee's bindings, in the caller; the result takes the call's place.
  Result<Value> inline_call(Builder& b, const graph::CallNode& call, const Span& span) {
    if (is_while_loop(call)) return with_closures(b, call, span);
    if (call.op) return Value();
    const auto* g = graph::as<graph::GlobalNode>(call.callee);
    const graph::Function f = g ? module_.graph_function(g->name) : visible_closure(b, call.callee);
    // A body with branches or blocks of its own stays a function inside a dataflow block.
    if (!f || (g && recursive_.count(g->name)) || f->params.size() != call.args.size()) {
      return Value();
    }
    if (!takes_groups_ && is_group(*f)) return Value();
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
    const std::string name = g ? g->name : "a closure";
    auto required = require_ranges(b, name, f, symbols, span);
    if (!required.ok()) return required.errors();
    if (depth_ >= max_depth) {
      return error(DiagnosticKind::nesting_too_deep, span,
                   "functions call each other more than {} deep", max_depth);
    }
    ++depth_;
    auto result = emit_body(b, f->body, std::move(values), std::move(symbols), nested());
    --depth_;
    return result;
  }

 private:
  // The closure that a variable holds, where all that it captured is visible still; null: nobody
  // can tell, or it calls itself.
  static graph::Function visible_closure(const Builder& b, const Value& callee) {
    const graph::FunctionNode* closure = b.closure_of(callee);
    if (!closure) return nullptr;
    const auto* var = graph::as<graph::VariableNode>(callee);
    const std::vector<graph::Variable> captured =
        graph::free_variables(closure->body, closure->params);
    for (const graph::Variable& v : captured) {
      const bool is_gone = v->is_dataflow && !(var && var->is_dataflow);
      if (is_gone || b.closure_of(v) == closure) return nullptr;
    }
    return graph::Function(closure);
  }

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
      auto made = emit_closure(b, g->name, nullptr, *f, {}, {}, span, nested());
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

  // What goes into the copies of bodies: calls in them are inlined too.
  CallRewrite nested() {
    return [this](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
      if (++operations_ > max_operations) {
        return error(DiagnosticKind::too_large, span,
                     "the functions that are called come to more than {} operations here",
                     max_operations);
      }
      return inline_call(b, call, span);
    };
  }

  const Module& module_;
  const bool takes_groups_;
  const std::unordered_set<std::string> recursive_;
  int depth_ = 0;
  int64_t operations_ = 0;
};

Result<Module> inline_all(const Module& module, const OpTable& ops, bool takes_groups) {
  bool any = false;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      const auto* g = call ? graph::as<graph::GlobalNode>(call->callee) : nullptr;
      const graph::Function callee = g ? module.graph_function(g->name) : nullptr;
      const bool is_closure = call && !call->op && graph::as<graph::VariableNode>(call->callee);
      any = any || is_closure || (callee && (takes_groups || !is_group(*callee)));
      if (!call || !is_while_loop(*call)) return;
      for (const Value& arg : call->args) any = any || arg->kind == graph::ValueKind::global;
    });
  }
  if (!any) return module;
  Inliner inliner(module, takes_groups);
  return rebuild_functions(module, ops,
                           [&](Builder& b, const graph::CallNode& call, const Span& span) {
                             return inliner.inline_call(b, call, span);
                           });
}

}  // namespace

Result<Module> inline_functions(const Module& module, const OpTable& ops) {
  return inline_all(module, ops, false);
}

Result<Module> inline_groups(const Module& module, const OpTable& ops) {
  return inline_all(module, ops, true);
}

}  // namespace repose
