// Puts constants in place of parameters.
#include "passes/graph/bind_params.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

bool is_mentioned(const Module& module, const std::string& function) {
  bool found = false;
  std::function<void(const Value&)> look = [&](const Value& v) {
    const auto* global = graph::as<graph::GlobalNode>(v);
    found = found || (global && global->name == function);
    graph::visit_operands(v, look);
  };
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const graph::Binding& b) { look(b.value); });
  }
  return found;
}

// What says something of parameters by their positions: without those that are bound.
void drop_positions(const graph::Function& f, const std::map<std::string, Array>& params,
                    Attrs& attrs) {
  const Attr* names = attrs.find("input_names");
  if (names && names->as_list() && names->as_list()->size() == f->params.size()) {
    AttrList rest;
    for (size_t i = 0; i < f->params.size(); ++i) {
      if (!params.contains(f->params[i]->name)) rest.push_back((*names->as_list())[i]);
    }
    attrs.set("input_names", std::move(rest));
  }
  AttrDict donate;
  for (const auto& [result, param] : donations(f)) {
    if (param >= f->params.size() || params.contains(f->params[param]->name)) continue;
    const auto before =
        std::count_if(f->params.begin(), f->params.begin() + static_cast<std::ptrdiff_t>(param),
                      [&](const graph::Variable& p) { return params.contains(p->name); });
    donate.emplace_back(static_cast<int64_t>(result),
                        static_cast<int64_t>(param) - static_cast<int64_t>(before));
  }
  if (donate.empty()) {
    attrs.erase("donate");
  } else {
    attrs.set("donate", std::move(donate));
  }
}

// The constant for a parameter; its shape says what symbols are.
Result<Value> constant_for(const graph::FunctionNode& f, const graph::Variable& p,
                           const Array& array, VarMap& symbols) {
  const Value constant = graph::make_constant(array, p->name);
  match_symbols(p->type, constant->type, symbols);
  if (is_subtype(constant->type, substitute(p->type, symbols)) != Truth::no) return constant;
  return error(DiagnosticKind::type_mismatch, f.span,
               "parameter `{}` is of type `{}`, the array of type `{}`", p->name,
               to_string(p->type), to_string(constant->type));
}

}  // namespace

Result<Module> bind_params(const Module& module, const OpTable& ops, const std::string& function,
                           const std::map<std::string, Array>& params) {
  const graph::Function f = module.graph_function(function);
  if (!f) {
    return error(DiagnosticKind::unknown_name, {}, "there is no graph function `{}`", function);
  }
  if (params.empty()) return module;
  if (is_mentioned(module, function)) {
    return error(DiagnosticKind::bad_usage, f->span,
                 "`{}` is called inside of the module: its parameters stay", function);
  }
  for (const auto& [name, array] : params) {
    if (!array) return error(DiagnosticKind::bad_usage, {}, "parameter `{}`: no array", name);
    const bool known = std::any_of(f->params.begin(), f->params.end(),
                                   [&](const graph::Variable& p) { return p->name == name; });
    if (known) continue;
    std::vector<std::string> names;
    for (const graph::Variable& p : f->params) names.push_back(p->name);
    return error(DiagnosticKind::unknown_name, f->span, "`{}` has no parameter `{}`; there are {}",
                 function, name,
                 names.empty() ? "none" : fmt::format("`{}`", fmt::join(names, "`, `")));
  }
  RebuildHooks hooks;
  hooks.begin = [&](Rebuilding& r, const std::string& name, const graph::Function& g,
                    FunctionOptions& options) -> Result<void> {
    if (name != function) return {};
    for (const graph::Variable& p : g->params) {
      const auto given = params.find(p->name);
      if (given == params.end()) continue;
      REPOSE_TRY(constant, constant_for(*g, p, given->second, r.symbols));
      r.values[p.get()] = constant;
    }
    for (const auto& [symbol, value] : r.symbols) {
      const Interval range = declared_range(g->attrs, symbol->name, symbol->role);
      if (prove(in_range(value, range), Facts()) == Truth::no) {
        return error(DiagnosticKind::bad_range, g->span,
                     "`{}` is {} by the arrays that are bound, outside of its declared range",
                     symbol->name, to_string(value));
      }
      erase_range(options.attrs, symbol->name);
    }
    drop_positions(g, params, options.attrs);
    return {};
  };
  return rebuild_functions(module, ops, hooks);
}

}  // namespace repose
