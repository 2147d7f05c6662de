// What a compiled graph function looks like from outside.
#include "host/interface.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"

namespace repose {

namespace {

std::string name_at(const Attrs& attrs, const char* key, size_t i, std::string otherwise) {
  const Attr* list = attrs.find(key);
  if (!list || !list->as_list() || i >= list->as_list()->size()) return otherwise;
  const std::string* name = (*list->as_list())[i].as_string();
  return name ? *name : otherwise;
}

Diagnostic not_native(const graph::Function& f, const std::string& what, const Type& type) {
  const auto* t = as<TensorTypeNode>(type);
  const char* missing = !t            ? "it is no tensor"
                        : t->rank < 0 ? "its rank isn't known"
                        : !t->shape   ? "its dimensions aren't known (`R.match_cast` names them)"
                                      : "its dtype isn't known";
  return error(DiagnosticKind::unsupported_feature, f->span,
               "{} has type `{}`; compiled functions take and give tensors whose dimensions and "
               "dtype are known: {}",
               what, to_string(type), missing);
}

void collect_results(const Type& t, std::vector<Type>& out) {
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) collect_results(field, out);
  } else {
    out.push_back(t);
  }
}

}  // namespace

Expr range_condition(const SymbolInfo& s) {
  Interval range = s.range;
  if (range.lower <= 0) range.lower = Interval::minus_infinity;
  return in_range(s.symbol, range);
}

std::string dim_text(const Expr& e, const std::vector<SymbolInfo>& symbols) {
  VarMap names;
  const std::vector<Var> mentioned = free_vars(e);
  for (const SymbolInfo& s : symbols) {
    if (std::find(mentioned.begin(), mentioned.end(), s.symbol) == mentioned.end()) continue;
    // A name that is a formula stays one thing inside of another formula.
    const bool is_formula = s.name.find_first_of("+-*/% ") != std::string::npos;
    const std::string name = is_formula && e != s.symbol ? "(" + s.name + ")" : s.name;
    names.emplace(s.symbol.get(), make_var(name, s.symbol->dtype, s.symbol->role));
  }
  return to_string(substitute(e, names));
}

Result<FunctionInterface> function_interface(const std::string& name, const graph::Function& f) {
  FunctionInterface result;
  result.name = name;
  const Facts facts = declared_facts(f);
  Diagnostics problems;
  std::unordered_set<const VarNode*> bound;
  for (size_t i = 0; i < f->params.size(); ++i) {
    const auto* t = as<TensorTypeNode>(f->params[i]->type);
    if (!t || !t->shape || !t->dtype) {
      problems.push_back(not_native(
          f, fmt::format("parameter `{}` of `{}`", f->params[i]->name, name), f->params[i]->type));
      continue;
    }
    result.inputs.push_back({name_at(f->attrs, "input_names", i, f->params[i]->name),
                             t->dtype,
                             *t->shape,
                             {},
                             t->strides});
    for (size_t axis = 0; axis < t->shape->size(); ++axis) {
      const auto* v = as<VarNode>((*t->shape)[axis]);
      if (!v || !bound.insert(v).second) continue;
      const Attr* original = symbol_attr(f->attrs, "symbol_names", v->name);
      result.symbols.push_back(
          {original && original->as_string() ? *original->as_string() : v->name, Var(v),
           facts.range_of(Var(v)), static_cast<int>(i), static_cast<int>(axis)});
    }
  }
  // What the body computes, where the annotation doesn't say the same: a symbol that only that has
  // is a name, and dimensions that may differ are compared after the results are there.
  const Type& computed = f->body->result->type;
  bool is_same = is_subtype(computed, f->result_type, facts) == Truth::yes;
  for (const Var& v : free_vars(f->result_type)) is_same = is_same && bound.contains(v.get());
  std::vector<Type> results;
  collect_results(is_same ? f->result_type : computed, results);
  for (size_t i = 0; i < results.size(); ++i) {
    const auto* t = as<TensorTypeNode>(results[i]);
    if (!t || !t->shape || !t->dtype) {
      problems.push_back(not_native(f, fmt::format("result {} of `{}`", i, name), results[i]));
      continue;
    }
    result.outputs.push_back({name_at(f->attrs, "output_names", i, fmt::format("output_{}", i)),
                              t->dtype,
                              *t->shape,
                              {},
                              t->strides});
  }
  for (const auto& [output, input] : donations(f)) {
    if (output < result.outputs.size())
      result.outputs[output].reuses_input = static_cast<int>(input);
  }
  for (const graph::Binding& b : head_of(f)) {
    if (auto named = size_name(b)) result.sizes.push_back(std::move(*named));
  }
  if (!problems.empty()) return problems;
  for (std::vector<ValueInfo>* list : {&result.inputs, &result.outputs}) {
    for (ValueInfo& v : *list) {
      for (const Expr& d : v.dims) v.dim_texts.push_back(dim_text(d, result.symbols));
    }
  }
  return result;
}

}  // namespace repose
