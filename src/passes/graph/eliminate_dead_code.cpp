// Drops bindings whose values nobody uses, and definitions that nobody calls.
#include "passes/graph/eliminate_dead_code.h"

#include <algorithm>
#include <unordered_set>

namespace repose {

namespace {

using Used = std::unordered_set<const graph::ValueNode*>;

bool is_pure(const graph::Value& v) {
  if (const auto* call = graph::as<graph::CallNode>(v)) {
    if (call->op) return call->op->pure && call->op->name != "check";
    const auto* type = as<FunctionTypeNode>(call->callee->type);
    return type && type->pure;
  }
  if (const auto* choice = graph::as<graph::IfNode>(v)) {
    bool pure = true;
    for (const graph::Body* b : {&choice->then_body, &choice->else_body}) {
      graph::visit_bindings(
          *b, false, [&](const graph::Binding& x) { pure = pure && is_pure(x.value) && !x.cast; });
    }
    return pure;
  }
  return true;
}

void use(const graph::Value& v, Used& used) {
  used.insert(v.get());
  graph::visit_operands(v, [&](const graph::Value& operand) { use(operand, used); });
}

graph::Body clean(const graph::Body& body, Used& used) {
  use(body->result, used);
  bool changed = false;
  std::vector<graph::Block> blocks;
  for (size_t i = body->blocks.size(); i-- > 0;) {
    graph::Block out{body->blocks[i].is_dataflow, {}};
    const std::vector<graph::Binding>& bindings = body->blocks[i].bindings;
    for (size_t j = bindings.size(); j-- > 0;) {
      graph::Binding b = bindings[j];
      if (!used.count(b.var.get()) && is_pure(b.value) && !b.cast) {
        changed = true;
        continue;
      }
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        graph::Body t = clean(choice->then_body, used), e = clean(choice->else_body, used);
        if (t != choice->then_body || e != choice->else_body) {
          changed = true;
          b.value = make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
        }
        use(choice->condition, used);
      } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        graph::Body inner = clean(closure->body, used);
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

}  // namespace

Module eliminate_dead_code(const Module& module) {
  Module result = module;
  std::vector<std::string> reached;
  for (const std::string& name : module.names()) {
    if (graph::Function f = module.graph_function(name)) {
      Used used;
      graph::Body body = clean(f->body, used);
      if (body != f->body) {
        f = make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure,
                                          f->is_private, f->attrs, f->span);
        result.set(name, f);
      }
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
  }
  for (const std::string& name : module.names()) {
    const bool is_extern = std::holds_alternative<ExternFunc>(*module.find(name));
    if (!live.count(name) && !is_extern) result.erase(name);
  }
  return result;
}

}  // namespace repose
