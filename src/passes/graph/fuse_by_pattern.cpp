// Makes private functions of what patterns match.
#include "passes/graph/fuse_by_pattern.h"

#include <algorithm>

#include "passes/graph/group_function.h"

namespace repose {

namespace {

using graph::Value;

// What calls it: a value for each output.
Result<std::vector<Value>> call_group(Builder& b, const std::string& hint, GroupCall group,
                                      size_t outputs) {
  const std::string name = add_group(b.module(), hint, group.function);
  const Value call = graph::make_function_call(
      graph::make_global(name, b.module().graph_function(name)->type), std::move(group.args));
  if (outputs == 1) return std::vector<Value>{call};
  REPOSE_TRY(all, b.emit(call));
  std::vector<Value> items;
  for (size_t i = 0; i < outputs; ++i) {
    items.push_back(graph::make_tuple_get(all, static_cast<int>(i)));
  }
  return items;
}

}  // namespace

std::string group_function_name(const std::string& composite) {
  std::string name = composite;
  for (char& c : name) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!is_letter && !(c >= '0' && c <= '9')) c = '_';
  }
  return name.empty() || (name[0] >= '0' && name[0] <= '9') ? "_" + name : name;
}

PatternRule fusion_rule(const OpTable& ops, const FusionPattern& pattern) {
  PatternRule rule{pattern.name, pattern.pattern, nullptr};
  rule.replace = [&ops, name = pattern.name, wants = pattern.wants](
                     Rebuilding& r, const PatternMatch& match) -> Result<std::vector<Value>> {
    if (wants && !wants(match)) return std::vector<Value>{};
    std::vector<graph::Variable> outputs;
    for (const ValueUses::Place& root : match.roots) outputs.push_back(root.binding->var);
    REPOSE_TRY(group, make_group(r.builder.module(), ops, match.bindings, outputs, r.values,
                                 r.symbols, r.builder.facts(), group_function_name(name),
                                 Attrs{{"Composite", name}, {"Primitive", true}}));
    if (!group.function) return std::vector<Value>{};
    return call_group(r.builder, group_function_name(name), std::move(group), outputs.size());
  };
  return rule;
}

Result<Module> fuse_by_pattern(const Module& module, const OpTable& ops,
                               const std::vector<FusionPattern>& patterns) {
  std::vector<PatternRule> rules;
  for (const FusionPattern& p : patterns) rules.push_back(fusion_rule(ops, p));
  return rewrite_patterns(module, ops, rules);
}

}  // namespace repose
