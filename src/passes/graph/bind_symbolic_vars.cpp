// Makes numbers of symbols whose declared range is one number.
#include "passes/graph/bind_symbolic_vars.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

// The numbers that the symbols of the parameters are.
VarMap known_symbols(const graph::Function& f) {
  VarMap known;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : binding_symbols(p->type)) {
      if (v->dtype != dtypes::index) continue;
      const Interval range = declared_range(f->attrs, v->name, v->role);
      if (range.lower == range.upper) known.emplace(v.get(), make_int(range.lower));
    }
  }
  return known;
}

// What the attributes say of a symbol that is none any more.
void forget_symbol(Attrs& attrs, const std::string& name) {
  erase_range(attrs, name);
  for (const char* key : {"symbol_names", "symbol_aliases"}) {
    const Attr* names = attrs.find(key);
    if (!names || !names->as_dict()) continue;
    AttrDict rest;
    for (const auto& entry : *names->as_dict()) {
      if (!(entry.first == Attr(name))) rest.push_back(entry);
    }
    if (rest.empty()) {
      attrs.erase(key);
    } else {
      attrs.set(key, std::move(rest));
    }
  }
}

}  // namespace

Result<Module> bind_symbolic_vars(const Module& module, const OpTable& ops) {
  const bool any =
      std::any_of(module.names().begin(), module.names().end(), [&](const std::string& name) {
        const graph::Function f = module.graph_function(name);
        return f && !known_symbols(f).empty();
      });
  if (!any) return module;
  RebuildHooks hooks;
  hooks.begin = [](Rebuilding& r, const std::string&, const graph::Function& f,
                   FunctionOptions& options) -> Result<void> {
    r.symbols = known_symbols(f);
    for (const auto& [symbol, value] : r.symbols) forget_symbol(options.attrs, symbol->name);
    return {};
  };
  return rebuild_functions(module, ops, hooks);
}

}  // namespace repose
