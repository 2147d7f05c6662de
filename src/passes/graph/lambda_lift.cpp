// Makes functions of the module of closures that are only called.
#include "passes/graph/lambda_lift.h"

#include <algorithm>
#include <unordered_set>

#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/rewrite_calls.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// A closure as a function of the module, and what its calls pass besides their own arguments.
struct Lifted {
  std::string name;
  graph::Function function;
  std::vector<Value> captured;
};

// Variables that stand anywhere but in the place of what is called.
std::unordered_set<const graph::ValueNode*> escaping(const graph::Function& f) {
  std::unordered_set<const graph::ValueNode*> result;
  std::function<void(const Value&)> note = [&](const Value& v) {
    if (v->kind == graph::ValueKind::variable) result.insert(v.get());
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call) return graph::visit_operands(v, note);
    for (const Value& arg : call->args) note(arg);
  };
  graph::visit_bindings(f->body, true, [&](const Binding& b) {
    if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
      note(closure->body->result);
      return;
    }
    note(b.value);
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      note(choice->then_body->result);
      note(choice->else_body->result);
    }
  });
  note(f->body->result);
  return result;
}

// Symbols that a closure uses and doesn't bind itself.
std::vector<Var> free_symbols(const graph::FunctionNode& f,
                              const std::vector<graph::Variable>& captured) {
  std::unordered_set<const VarNode*> own, seen;
  std::vector<Var> result;
  for (const graph::Variable& p : f.params) {
    for (const Var& v : binding_symbols(p->type)) own.insert(v.get());
  }
  auto look = [&](const Type& t) {
    if (!t) return;
    for (const Var& v : free_vars(t)) {
      if (!own.contains(v.get()) && seen.insert(v.get()).second) result.push_back(v);
    }
  };
  std::function<void(const Value&)> operands = [&](const Value& v) {
    if (v->kind == graph::ValueKind::shape || v->kind == graph::ValueKind::prim_value)
      look(v->type);
    if (const auto* call = graph::as<graph::CallNode>(v)) {
      for (const Type& t : call->type_args) look(t);
    }
    graph::visit_operands(v, operands);
  };
  for (const graph::Variable& v : captured) look(v->type);
  for (const graph::Variable& p : f.params) look(p->type);
  look(f.result_type);
  graph::visit_bindings(f.body, true, [&](const Binding& b) {
    operands(b.value);
    look(b.cast);
    look(b.var->type);
  });
  operands(f.body->result);
  return result;
}

// Symbols that bindings of the body bind, casts or fresh results: they stay its own.
std::unordered_set<const VarNode*> bound_inside(const graph::Function& outer,
                                                const graph::FunctionNode& f) {
  std::unordered_set<const VarNode*> before, inside;
  for (const graph::Variable& p : outer->params) {
    for (const Var& v : free_vars(p->type)) before.insert(v.get());
  }
  std::unordered_set<const Binding*> own;
  graph::visit_bindings(f.body, true, [&](const Binding& b) { own.insert(&b); });
  graph::visit_bindings(outer->body, true, [&](const Binding& b) {
    for (const Var& v : binding_symbols(b.var->type)) {
      if (own.contains(&b)) {
        if (!before.contains(v.get())) inside.insert(v.get());
      } else if (!graph::as<graph::FunctionNode>(b.value)) {
        before.insert(v.get());
      }
    }
  });
  return inside;
}

class LambdaLifter {
 public:
  explicit LambdaLifter(const Module& module) : result_(module) {}

  Module run() {
    bool any = false;
    for (size_t i = 0; i < result_.names().size(); ++i) {  // lifted ones are looked at too
      const std::string name = result_.names()[i];
      while (lift_one(name)) any = true;
    }
    return any ? eliminate_dead_code(result_) : result_;
  }

 private:
  // The first closure of the function that may be lifted.
  bool lift_one(const std::string& name) {
    const graph::Function f = result_.graph_function(name);
    if (!f) return false;
    const auto escapes = escaping(f);
    const Binding* found = nullptr;
    graph::visit_bindings(f->body, true, [&](const Binding& b) {
      if (!found && b.value->kind == graph::ValueKind::function && is_called(f, b.var) &&
          !escapes.contains(b.var.get())) {
        found = &b;
      }
    });
    if (!found) return false;
    const Lifted lifted = lift(name, f, *found);
    result_.set(lifted.name, with_calls(lifted.function, found->var, lifted));
    result_.set(name, with_calls(f, found->var, lifted));
    return true;
  }

  static bool is_called(const graph::Function& f, const graph::Variable& closure) {
    bool called = false;
    graph::visit_bindings(f->body, true, [&](const Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      called = called || (call && call->callee == closure);
    });
    return called;
  }

  Lifted lift(const std::string& outer, const graph::Function& around, const Binding& b) {
    const auto& f = *graph::as<graph::FunctionNode>(b.value);
    std::vector<graph::Variable> captured = graph::free_variables(f.body, f.params);
    std::erase(captured, b.var);
    Lifted result{result_.fresh_name(outer + "_" + b.var->name), nullptr, {}};
    const auto inside = bound_inside(around, f);
    std::vector<graph::Variable> params = f.params;
    VarMap fresh;
    std::unordered_set<const VarNode*> bound;
    graph::ValueMap values;
    for (const graph::Variable& v : captured) {
      params.push_back(graph::make_variable(v->name, v->type));
      values.emplace(v.get(), params.back());
      result.captured.push_back(v);
      for (const Var& s : binding_symbols(v->type)) bound.insert(s.get());
    }
    for (const Var& s : free_symbols(f, captured)) {
      if (inside.contains(s.get())) continue;
      fresh.emplace(s.get(), make_var(s->name, s->dtype, s->role));
      if (bound.contains(s.get())) continue;
      params.push_back(graph::make_variable(s->name, prim_type_of(s)));
      result.captured.push_back(graph::make_prim(s));
    }
    const graph::Body body = graph::substitute(f.body, values, {});
    const graph::Function made = make_ref<graph::FunctionNode>(
        std::move(params), body, f.result_type, f.is_pure, true, f.attrs, f.span);
    result.function = graph::substitute(made, {}, fresh);
    return result;
  }

  // Calls of the closure in `f` call the function; in the function itself they pass on what it got.
  graph::Function with_calls(const graph::Function& f, const graph::Variable& closure,
                             const Lifted& lifted) const {
    std::vector<Value> more = lifted.captured;
    if (f == lifted.function) {
      const size_t first = f->params.size() - more.size();
      for (size_t i = 0; i < more.size(); ++i) {
        const graph::Variable& p = f->params[first + i];
        const auto* prim = as<PrimTypeNode>(p->type);
        more[i] = prim && prim->value ? graph::make_prim(prim->value) : Value(p);
      }
    }
    const Value callee = graph::make_global(lifted.name, lifted.function->type);
    const graph::Body body =
        rewrite_calls(f->body, [&](const graph::CallNode& call, const Type&) -> Value {
          if (call.callee != closure) return nullptr;
          std::vector<Value> args = call.args;
          args.insert(args.end(), more.begin(), more.end());
          return make_ref<graph::CallNode>(nullptr, callee, std::move(args), call.attrs,
                                           call.type_args, call.type);
        });
    return make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure, f->is_private,
                                         f->attrs, f->span);
  }

  Module result_;
};

}  // namespace

Result<Module> lambda_lift(const Module& module, const OpTable&) {
  return LambdaLifter(module).run();
}

}  // namespace repose
