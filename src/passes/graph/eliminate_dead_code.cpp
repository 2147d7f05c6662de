// Drops bindings whose values nobody uses, and definitions that nobody calls.
#include "passes/graph/eliminate_dead_code.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/while_loop.h"

namespace repose {

namespace {

// Values and symbols that what is kept mentions.
struct Used {
  std::unordered_set<const graph::ValueNode*> values;
  std::unordered_set<const VarNode*> symbols;
};
// The symbols that bindings bind, each by the first one whose type has it.
using Binders = std::unordered_map<const graph::VariableNode*, std::vector<Var>>;

// Tells what may be dropped where nobody uses it: what has no effect, checks nothing and casts
// nothing, in the functions that it calls either.
class Droppable {
 public:
  explicit Droppable(const Module& module) : module_(module) {}

  // Closures are known from where they are bound.
  void add(const graph::Body& body) {
    graph::visit_bindings(body, true, [&](const graph::Binding& b) {
      if (const auto* f = graph::as<graph::FunctionNode>(b.value)) closures_[b.var.get()] = f;
    });
  }

  bool operator()(const graph::Value& v) {
    if (const auto* call = graph::as<graph::CallNode>(v)) {
      if (!is_pure_call(*call) || is_check(v)) return false;
      if (call->callee) return is_droppable_call(call->callee);
      return !is_while_loop(*call) ||
             (is_droppable_call(call->args[0]) && is_droppable_call(call->args[1]));
    }
    const auto* choice = graph::as<graph::IfNode>(v);
    return !choice ||
           (is_droppable_body(choice->then_body) && is_droppable_body(choice->else_body));
  }

 private:
  const Module& module_;
  Closures closures_;
  std::unordered_map<const graph::FunctionNode*, bool> known_;

  bool is_droppable_body(const graph::Body& body) {
    bool is_droppable = true;
    graph::visit_bindings(body, false, [&](const graph::Binding& b) {
      is_droppable = is_droppable && !b.cast && (*this)(b.value);
    });
    return is_droppable;
  }

  bool is_droppable_call(const graph::Value& callee) {
    const graph::FunctionNode* f = nullptr;
    graph::Function of_module;
    if (auto it = closures_.find(callee.get()); it != closures_.end()) f = it->second;
    if (const auto* g = graph::as<graph::GlobalNode>(callee)) {
      of_module = module_.graph_function(g->name);
      f = of_module.get();
    }
    if (!f) return callee->kind == graph::ValueKind::external;
    // A function that calls itself is droppable if all else in it is.
    if (known_.emplace(f, true).second) known_[f] = is_droppable_body(f->body);
    return known_.at(f);
  }
};

void use_symbols(const Expr& e, Used& used) {
  for (const Var& v : free_vars(e)) used.symbols.insert(v.get());
}
void use_symbols(const Type& t, Used& used) {
  visit_exprs(t, [&](const Expr& e) { use_symbols(e, used); });
}

void use(const graph::Value& v, Used& used) {
  used.values.insert(v.get());
  if (const auto* shape = graph::as<graph::ShapeNode>(v)) {
    for (const Expr& d : shape->dims) use_symbols(d, used);
  } else if (const auto* prim = graph::as<graph::PrimValueNode>(v)) {
    use_symbols(prim->value, used);
  } else if (const auto* call = graph::as<graph::CallNode>(v)) {
    for (const Type& t : call->type_args) use_symbols(t, used);
  }
  graph::visit_operands(v, [&](const graph::Value& operand) { use(operand, used); });
}

Binders binders_of(const graph::Function& f) {
  std::unordered_set<const VarNode*> bound;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : free_vars(p->type)) bound.insert(v.get());
  }
  Binders binders;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    for (const Var& v : binding_symbols(b.var->type)) {
      if (bound.insert(v.get()).second) binders[b.var.get()].push_back(v);
    }
  });
  return binders;
}

bool is_used(const graph::Variable& v, const Used& used, const Binders& binders) {
  if (used.values.count(v.get())) return true;
  auto it = binders.find(v.get());
  return it != binders.end() &&
         std::any_of(it->second.begin(), it->second.end(),
                     [&](const Var& symbol) { return used.symbols.count(symbol.get()) != 0; });
}

graph::Body clean(const graph::Body& body, Used& used, const Binders& binders,
                  Droppable& is_droppable) {
  use(body->result, used);
  bool changed = false;
  std::vector<graph::Block> blocks;
  for (size_t i = body->blocks.size(); i-- > 0;) {
    graph::Block out{body->blocks[i].is_dataflow, {}};
    const std::vector<graph::Binding>& bindings = body->blocks[i].bindings;
    for (size_t j = bindings.size(); j-- > 0;) {
      graph::Binding b = bindings[j];
      const bool only_names = !b.cast || (size_name(b) && binders.contains(b.var.get()));
      if (!is_used(b.var, used, binders) && is_droppable(b.value) && only_names) {
        changed = true;
        continue;
      }
      use_symbols(b.var->type, used);
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        graph::Body t = clean(choice->then_body, used, binders, is_droppable),
                    e = clean(choice->else_body, used, binders, is_droppable);
        if (t != choice->then_body || e != choice->else_body) {
          changed = true;
          b.value = make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
        }
        use(choice->condition, used);
      } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        graph::Body inner = clean(closure->body, used, binders, is_droppable);
        for (const graph::Variable& p : closure->params) use_symbols(p->type, used);
        if (inner != closure->body) {
          changed = true;
          b.value = make_ref<graph::FunctionNode>(closure->params, inner, closure->result_type,
                                                  closure->is_pure, closure->is_private,
                                                  closure->attrs, closure->span);
        }
      } else {
        use(b.value, used);
      }
      out.bindings.push_back(std::move(b));
    }
    std::reverse(out.bindings.begin(), out.bindings.end());
    if (!out.bindings.empty()) blocks.push_back(std::move(out));
  }
  if (!changed) return body;
  std::reverse(blocks.begin(), blocks.end());
  return make_ref<graph::BodyNode>(std::move(blocks), body->result);
}

// Names that a body mentions.
void mentioned(const graph::Body& body, std::vector<std::string>& names) {
  std::function<void(const graph::Value&)> note = [&](const graph::Value& v) {
    if (const auto* g = graph::as<graph::GlobalNode>(v)) names.push_back(g->name);
    graph::visit_operands(v, note);
  };
  graph::visit_bindings(body, true, [&](const graph::Binding& b) { note(b.value); });
  note(body->result);
}

void mentioned(const tir::PrimFunc& f, std::vector<std::string>& names) {
  tir::visit_all_exprs(f->body, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      const auto* call = as<CallNode>(node);
      if (call && call->intrinsic == Intrinsic::call_program) names.push_back(call->name);
      return true;
    });
  });
}

}  // namespace

graph::Function eliminate_dead_code(const graph::Function& f, const Module& module) {
  Used used;
  Droppable is_droppable(module);
  is_droppable.add(f->body);
  graph::Body body = clean(f->body, used, binders_of(f), is_droppable);
  if (body == f->body) return f;
  return make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure, f->is_private,
                                       f->attrs, f->span);
}

Module eliminate_dead_code(const Module& module) {
  Module result = module;
  std::vector<std::string> reached;
  for (const std::string& name : module.names()) {
    if (graph::Function f = module.graph_function(name)) {
      if (graph::Function cleaned = eliminate_dead_code(f, module); cleaned != f)
        result.set(name, cleaned);
      if (!f->is_private) reached.push_back(name);
    } else if (tir::PrimFunc p = module.prim_func(name); p && !p->is_private) {
      reached.push_back(name);
    }
  }
  std::unordered_set<std::string> live;
  while (!reached.empty()) {
    std::string name = std::move(reached.back());
    reached.pop_back();
    if (!live.insert(name).second) continue;
    if (graph::Function f = result.graph_function(name)) mentioned(f->body, reached);
    if (tir::PrimFunc p = result.prim_func(name)) mentioned(p, reached);
  }
  for (const std::string& name : module.names()) {
    const bool is_extern = std::holds_alternative<ExternFunc>(*module.find(name));
    if (!live.count(name) && !is_extern) result.erase(name);
  }
  return result;
}

}  // namespace repose
