// Drops names for what has a name already, and casts that say nothing new.
#include "passes/graph/canonicalize_bindings.h"

#include "ir/function_facts.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// Tuples of the function at hand, by the variables of the new one.
using Tuples = std::unordered_map<const graph::ValueNode*, Value>;

bool is_visible_after_block(const Value& v) {
  const auto* variable = graph::as<graph::VariableNode>(v);
  return (variable && !variable->is_dataflow) || v->kind == graph::ValueKind::constant;
}

// What has a name by now; null: the binding makes something.
Value named_value(Rebuilding& r, const Binding& b, const Tuples& tuples) {
  if (size_name(b)) return nullptr;
  Value v = r.now(b.value);
  if (b.cast) {
    const Type want = r.now(b.cast);
    for (const Var& s : free_vars(want)) {
      if (!r.builder.binds(s.get())) return nullptr;
    }
    const bool is_same = v->type && is_subtype(v->type, want, r.builder.facts()) == Truth::yes;
    return is_same ? v : nullptr;
  }
  if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
    auto known = tuples.find(get->tuple.get());
    const Value& tuple = known == tuples.end() ? get->tuple : known->second;
    const auto* fields = graph::as<graph::TupleNode>(tuple);
    if (fields) return fields->fields[static_cast<size_t>(get->index)];
  }
  return v->kind == graph::ValueKind::variable || v->kind == graph::ValueKind::constant ? v
                                                                                        : nullptr;
}

}  // namespace

Result<Module> canonicalize_bindings(const Module& module, const OpTable& ops) {
  Tuples tuples;
  bool any = false;
  RebuildHooks hooks;
  hooks.begin = [&](Rebuilding&, const std::string&, const graph::Function&,
                    FunctionOptions&) -> Result<void> {
    tuples.clear();
    return {};
  };
  hooks.binding = [&](Rebuilding& r, const Binding& b) -> Result<NewBinding> {
    const Value named = named_value(r, b, tuples);
    const bool is_output = r.builder.in_dataflow() && !b.var->is_dataflow;
    if (named && (!is_output || is_visible_after_block(named))) {
      any = true;
      r.values[b.var.get()] = named;
      match_symbols(b.var->type, named->type, r.symbols);
      return NewBinding{nullptr, true, {}};
    }
    const Value v = r.now(b.value);
    if (b.cast || v->kind != graph::ValueKind::tuple) return NewBinding();
    REPOSE_TRY(var, r.builder.emit_binding(v, b.var->name, b.span, is_output));
    tuples.emplace(var.get(), v);
    r.values[b.var.get()] = var;
    return NewBinding{nullptr, true, {}};
  };
  REPOSE_TRY(result, rebuild_functions(module, ops, hooks));
  return any ? eliminate_dead_code(result) : module;
}

}  // namespace repose
