// What a graph function's attributes declare about its symbols.
#include "ir/function_facts.h"

#include <unordered_set>

namespace repose {

const Attr* symbol_attr(const Attrs& attrs, const char* key, const std::string& symbol) {
  const Attr* dict = attrs.find(key);
  if (!dict || !dict->as_dict()) return nullptr;
  for (const auto& [name, value] : *dict->as_dict()) {
    if (name.as_string() && *name.as_string() == symbol) return &value;
  }
  return nullptr;
}

Facts declared_facts(const graph::Function& f) {
  Facts facts;
  std::unordered_set<const VarNode*> seen;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : free_vars(p->type)) {
      if (!seen.insert(v.get()).second) continue;
      Interval range;
      if (v->role == VarRole::dimension) range.lower = 0;
      if (const Attr* a = symbol_attr(f->attrs, "tir_var_lower_bound", v->name); a && a->as_int()) {
        range.lower = std::max(range.lower, *a->as_int());
      }
      if (const Attr* a = symbol_attr(f->attrs, "tir_var_upper_bound", v->name); a && a->as_int()) {
        range.upper = *a->as_int();
      }
      if (const Attr* a = symbol_attr(f->attrs, "tir_var_divisor", v->name); a && a->as_int()) {
        range.divisor = *a->as_int();
      }
      facts.restrict(v, range);
    }
  }
  return facts;
}

}  // namespace repose
