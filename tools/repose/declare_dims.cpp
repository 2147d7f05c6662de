// `--dim` for modules from text: declared ranges of dimension symbols.
#include "declare_dims.h"

#include <set>

#include "expr/interval.h"
#include "ir/function_facts.h"

namespace repose::cli {

namespace {

// The names by which --dim may call each symbol of the parameters.
std::map<std::string, Var> symbol_names(const graph::Function& f) {
  std::map<std::string, Var> names;
  for (const graph::Variable& p : f->params) {
    const auto* type = as<TensorTypeNode>(p->type);
    if (!type || !type->shape) continue;
    for (size_t axis = 0; axis < type->shape->size(); ++axis) {
      const auto* v = as<VarNode>((*type->shape)[axis]);
      if (!v) continue;
      const Attr* original = symbol_attr(f->attrs, "symbol_names", v->name);
      names.emplace(original && original->as_string() ? *original->as_string() : v->name, Var(v));
      names.emplace(fmt::format("{}_{}", p->name, axis), Var(v));
    }
  }
  return names;
}

// Sets one symbol's entry of a dictionary attribute.
void set_entry(Attrs& attrs, const char* key, const std::string& symbol, int64_t value) {
  AttrDict dict;
  if (const Attr* present = attrs.find(key); present && present->as_dict()) {
    for (const auto& entry : *present->as_dict()) {
      if (!(entry.first == Attr(symbol))) dict.push_back(entry);
    }
  }
  dict.emplace_back(symbol, value);
  attrs.set(key, std::move(dict));
}

}  // namespace

Result<Module> declare_dims(const Module& module, const std::map<std::string, Interval>& dims) {
  Module result = module;
  std::set<std::string> used, known;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f || f->is_private) continue;
    const Facts declared = declared_facts(f);
    Attrs attrs = f->attrs;
    for (const auto& [text, symbol] : symbol_names(f)) {
      known.insert(text);
      auto it = dims.find(text);
      if (it == dims.end()) continue;
      used.insert(text);
      const Interval range = tightened(intersection(declared.range_of(symbol), it->second));
      if (is_empty(range)) {
        return error(DiagnosticKind::bad_range, f->span, "--dim: no size of `{}` lies in its range",
                     text);
      }
      set_entry(attrs, "tir_var_lower_bound", symbol->name, range.lower);
      if (range.upper != Interval::plus_infinity) {
        set_entry(attrs, "tir_var_upper_bound", symbol->name, range.upper);
      }
      if (range.divisor != 1) set_entry(attrs, "tir_var_divisor", symbol->name, range.divisor);
    }
    if (attrs == f->attrs) continue;
    result.set(name, make_ref<graph::FunctionNode>(f->params, f->body, f->result_type, f->is_pure,
                                                   f->is_private, attrs, f->span));
  }
  for (const auto& [text, range] : dims) {
    if (used.contains(text)) continue;
    return error(DiagnosticKind::bad_usage, {},
                 "--dim: no dimension is called `{}`; the inputs have {}", text,
                 known.empty() ? "none" : fmt::format("`{}`", fmt::join(known, "`, `")));
  }
  return result;
}

}  // namespace repose::cli
