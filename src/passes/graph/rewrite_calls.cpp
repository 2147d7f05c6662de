// Replaces calls in the graph functions of a module.
#include "passes/graph/rewrite_calls.h"

namespace repose {

using Rewrite = std::function<graph::Value(const graph::CallNode&, const Type&)>;

namespace {

graph::Function with_body(const graph::Function& f, graph::Body body) {
  if (body == f->body) return f;
  return make_ref<graph::FunctionNode>(f->params, std::move(body), f->result_type, f->is_pure,
                                       f->is_private, f->attrs, f->span);
}

graph::Value rewrite_value(const graph::Binding& b, const Rewrite& rewrite) {
  if (const auto* call = graph::as<graph::CallNode>(b.value)) {
    graph::Value replaced = rewrite(*call, b.var->type);
    return replaced ? replaced : b.value;
  }
  if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
    graph::Body t = rewrite_calls(choice->then_body, rewrite);
    graph::Body e = rewrite_calls(choice->else_body, rewrite);
    if (t == choice->then_body && e == choice->else_body) return b.value;
    return make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
  }
  if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
    graph::Body body = rewrite_calls(closure->body, rewrite);
    return body == closure->body ? b.value
                                 : graph::Value(with_body(graph::Function(closure), body));
  }
  return b.value;
}

}  // namespace

graph::Body rewrite_calls(const graph::Body& body, const Rewrite& rewrite) {
  std::vector<graph::Block> blocks = body->blocks;
  bool changed = false;
  for (graph::Block& block : blocks) {
    for (graph::Binding& b : block.bindings) {
      graph::Value value = rewrite_value(b, rewrite);
      if (value == b.value) continue;
      b.value = std::move(value);
      changed = true;
    }
  }
  return changed ? graph::Body(make_ref<graph::BodyNode>(std::move(blocks), body->result)) : body;
}

void rewrite_calls(Module& module, const Rewrite& rewrite) {
  for (const std::string& name : std::vector<std::string>(module.names())) {
    graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::Function changed = with_body(f, rewrite_calls(f->body, rewrite));
    if (changed != f) module.set(name, changed);
  }
}

}  // namespace repose
