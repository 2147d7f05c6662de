// Which nodes of the model a kernel's call computes.
#include "driver/call_origins.h"

#include <algorithm>
#include <unordered_set>

#include "base/message_text.h"
#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/operations.h"
#include "memory/liveness.h"

namespace repose {

namespace {

using graph::Binding;

using Bindings = std::unordered_map<const graph::ValueNode*, Binding>;

// The bindings of all functions, by their variables.
Bindings bindings_of(const Module& module) {
  Bindings found;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const Binding& b) { found.emplace(b.var.get(), b); });
  }
  return found;
}

// The nodes that a result comes from, operands first, back to what is still bound.
std::vector<Span> nodes_behind(const graph::ValueNode* result, const Bindings& before,
                               const Bindings& now) {
  std::vector<Span> nodes;
  std::unordered_set<const graph::ValueNode*> seen;
  std::function<void(const graph::ValueNode*)> visit = [&](const graph::ValueNode* v) {
    auto it = before.find(v);
    if (it == before.end() || !seen.insert(v).second) return;
    std::function<void(const graph::Value&)> operand = [&](const graph::Value& o) {
      if (graph::as<graph::VariableNode>(o)) {
        if (!now.contains(o.get())) visit(o.get());
      } else {
        graph::visit_operands(o, operand);
      }
    };
    graph::visit_operands(it->second.value, operand);
    if (it->second.span) nodes.push_back(it->second.span);
  };
  visit(result);
  return nodes;
}

// Each once: an operator may have become several calls.
std::vector<std::string> texts_of(const std::vector<Span>& nodes) {
  std::vector<std::string> texts;
  for (const Span& node : nodes) {
    std::string text = place_text(node);
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return texts;
}

}  // namespace

void CallOrigins::after_pass(const std::string& pass, const Module& module) {
  is_scheduled_ = is_scheduled_ || pass == "schedule_programs" || pass == "share_programs";
  if (pass == "legalize") lowered_ = module;
  if (!is_scheduled_) unscheduled_ = module;
}

CallProfiles CallOrigins::profiles() const {
  const Bindings before = bindings_of(lowered_), now = bindings_of(unscheduled_);
  CallProfiles profiles;
  std::unordered_map<std::string, ProgramWork> works;  // of programs
  for (const auto& [var, binding] : now) {
    const auto* call = graph::as<graph::CallNode>(binding.value);
    if (!call || !is_call_tir(*call)) continue;
    const std::string& program = graph::as<graph::GlobalNode>(call->args[0])->name;
    const tir::PrimFunc f = unscheduled_.prim_func(program);
    auto [work, is_new] = works.try_emplace(program);
    if (is_new) work->second = work_of(f);
    const VarMap symbols = program_symbols(*f, *call, binding.var->type);
    std::vector<Span> nodes = nodes_behind(var, before, now);
    if (nodes.empty() && binding.span) nodes.push_back(binding.span);
    profiles.emplace(binding.var.get(),
                     CallProfile{texts_of(nodes), substitute(work->second.flops.to_expr(), symbols),
                                 substitute(work->second.read_bytes, symbols),
                                 substitute(work->second.written_bytes, symbols)});
  }
  return profiles;
}

}  // namespace repose
