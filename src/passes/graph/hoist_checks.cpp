// Moves checks of what is known at entry to the head of their function.
#include "passes/graph/hoist_checks.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/op.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using Symbols = std::unordered_set<const VarNode*>;

bool has_effects(const graph::Value& v) {
  if (const auto* call = graph::as<graph::CallNode>(v)) return !is_pure_call(*call);
  const auto* choice = graph::as<graph::IfNode>(v);
  if (!choice) return false;
  bool found = false;
  for (const graph::Body& body : {choice->then_body, choice->else_body}) {
    graph::visit_bindings(body, false,
                          [&](const graph::Binding& b) { found = found || has_effects(b.value); });
  }
  return found;
}

bool is_known(const Expr& e, const Symbols& symbols) {
  const std::vector<Var> mentioned = free_vars(e);
  return std::all_of(mentioned.begin(), mentioned.end(),
                     [&](const Var& v) { return symbols.contains(v.get()); });
}

// The check with expressions for its operands, if all of them are known at entry; else null.
graph::Value check_at_entry(const graph::Value& v, const Symbols& at_entry) {
  if (!is_check(v)) return nullptr;
  const auto* call = graph::as<graph::CallNode>(v);
  std::vector<graph::Value> args;
  for (const graph::Value& arg : call->args) {
    const auto* type = as<PrimTypeNode>(arg->type);
    if (!type || !type->value || !is_known(type->value, at_entry)) return nullptr;
    args.push_back(graph::make_prim(type->value));
  }
  return make_ref<graph::CallNode>(call->op, nullptr, std::move(args), call->attrs, call->type_args,
                                   call->type);
}

// Whether the names at the head are so many: then none has to move.
bool is_head_of(const graph::Function& f, size_t num_names) {
  const std::vector<graph::Binding> head = head_of(f);
  return static_cast<size_t>(std::count_if(head.begin(), head.end(), [](const graph::Binding& b) {
           return size_name(b).has_value();
         })) == num_names;
}

// Each check before the names of sizes that it doesn't mention, which so rely on it.
std::vector<graph::Binding> checks_first(const std::vector<graph::Binding>& bindings) {
  std::unordered_map<const VarNode*, size_t> position;  // of names: how many names it is behind
  std::vector<std::vector<graph::Binding>> checks(1);   // by the number of names before them
  std::vector<graph::Binding> names;
  size_t last = 0;
  for (const graph::Binding& b : bindings) {
    if (const auto named = size_name(b)) {
      names.push_back(b);
      checks.emplace_back();
      position.emplace(named->name.get(), names.size());
      continue;
    }
    for (const graph::Value& arg : graph::as<graph::CallNode>(b.value)->args) {
      for (const Var& v : free_vars(graph::as<graph::PrimValueNode>(arg)->value)) {
        auto it = position.find(v.get());
        if (it != position.end()) last = std::max(last, it->second);
      }
    }
    checks[last].push_back(b);
  }
  std::vector<graph::Binding> ordered = std::move(checks[0]);
  for (size_t i = 0; i < names.size(); ++i) {
    ordered.push_back(std::move(names[i]));
    ordered.insert(ordered.end(), checks[i + 1].begin(), checks[i + 1].end());
  }
  return ordered;
}

graph::Body hoist(const graph::Function& f) {
  Symbols at_entry;
  for (const graph::Variable& p : f->params) {
    for (const Var& symbol : binding_symbols(p->type)) at_entry.insert(symbol.get());
  }
  std::vector<graph::Binding> moved;
  std::vector<graph::Block> blocks;
  graph::ValueMap outside;  // for variables of dataflow blocks
  auto outside_of_dataflow = [&](graph::Binding b) {
    if (!b.var->is_dataflow) return b;
    const graph::Variable var = graph::make_variable(b.var->name, b.var->type);
    outside[b.var.get()] = var;
    b.var = var;
    return b;
  };
  bool is_head = true, may_move = true;
  for (const graph::Block& block : f->body->blocks) {
    graph::Block kept{block.is_dataflow, {}};
    for (graph::Binding b : block.bindings) {
      const auto named = size_name(b);
      const bool is_name = named && !at_entry.contains(named->name.get());
      is_head = is_head && (is_check(b.value) || is_name);
      may_move = may_move && !has_effects(b.value);
      if (is_name && may_move && is_known(named->value, at_entry)) {
        at_entry.insert(named->name.get());
        moved.push_back(outside_of_dataflow(b));
        continue;
      }
      const bool stays = is_head ? moved.empty() : !may_move;
      const graph::Value check = stays ? nullptr : check_at_entry(b.value, at_entry);
      if (!check) {
        kept.bindings.push_back(std::move(b));
        continue;
      }
      b.value = check;
      moved.push_back(outside_of_dataflow(b));
    }
    if (!kept.bindings.empty()) blocks.push_back(std::move(kept));
  }
  const bool only_names = std::all_of(
      moved.begin(), moved.end(), [](const graph::Binding& b) { return size_name(b).has_value(); });
  if (moved.empty() || (only_names && is_head_of(f, moved.size()))) return f->body;
  graph::Body rest = make_ref<graph::BodyNode>(std::move(blocks), f->body->result);
  return insert_after_checks(graph::substitute(rest, outside, {}), checks_first(moved));
}

}  // namespace

graph::Body insert_after_checks(const graph::Body& body,
                                const std::vector<graph::Binding>& bindings) {
  std::vector<graph::Block> blocks;
  // Neighbours outside of dataflow are one block.
  auto put = [&](bool is_dataflow, bool is_first, const graph::Binding& b) {
    const bool joins = !blocks.empty() && blocks.back().is_dataflow == is_dataflow;
    if (!joins || (is_dataflow && is_first)) blocks.push_back({is_dataflow, {}});
    blocks.back().bindings.push_back(b);
  };
  bool is_head = true;
  auto leave_head = [&] {
    for (const graph::Binding& b : bindings) put(false, false, b);
    is_head = false;
  };
  for (const graph::Block& block : body->blocks) {
    bool is_first = true;
    for (const graph::Binding& b : block.bindings) {
      if (is_head && !is_check(b.value) && !size_name(b)) leave_head();
      put(block.is_dataflow, is_first, b);
      is_first = false;
    }
  }
  if (is_head) leave_head();
  return make_ref<graph::BodyNode>(std::move(blocks), body->result);
}

Result<Module> hoist_checks(const Module& module, const OpTable& ops) {
  Module result = module;
  bool changed = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::Body body = hoist(f);
    if (body == f->body) continue;
    changed = true;
    result.set(name, make_ref<graph::FunctionNode>(f->params, std::move(body), f->result_type,
                                                   f->is_pure, f->is_private, f->attrs, f->span));
  }
  if (!changed) return result;
  return rebuild_functions(result, ops, [](Builder&, const graph::CallNode&, const Span&) {
    return Result<graph::Value>(graph::Value());
  });
}

}  // namespace repose
