// What a graph function's attributes declare about its symbols; what its calls and checks
// say of themselves.
#include "ir/function_facts.h"

#include <algorithm>
#include <unordered_set>

#include "ir/op.h"

namespace repose {

const Attr* symbol_attr(const Attrs& attrs, const char* key, const std::string& symbol) {
  const Attr* dict = attrs.find(key);
  if (!dict || !dict->as_dict()) return nullptr;
  for (const auto& [name, value] : *dict->as_dict()) {
    if (name.as_string() && *name.as_string() == symbol) return &value;
  }
  return nullptr;
}

bool is_pure_call(const graph::CallNode& call) {
  if (call.op) return call.op->pure;
  const auto* type = as<FunctionTypeNode>(call.callee->type);
  return type && type->pure;
}

bool is_group(const graph::FunctionNode& f) {
  const Attr* primitive = f.attrs.find("Primitive");
  const bool is_primitive = primitive && ((primitive->as_bool() && *primitive->as_bool()) ||
                                          (primitive->as_int() && *primitive->as_int() != 0));
  return is_primitive || f.attrs.find("Composite");
}

bool is_call_tir(const graph::CallNode& call) {
  return call.op && call.op->name == "call_tir";
}

bool is_program_call(const graph::CallNode& call) {
  return is_call_tir(call) || (call.op && call.op->name == "call_tir_inplace");
}

bool is_check(const graph::Value& v) {
  const auto* call = graph::as<graph::CallNode>(v);
  return call && call->op && call->op->name == "check";
}

Expr check_condition(const graph::Value& v) {
  if (!is_check(v)) return nullptr;
  const auto* type = as<PrimTypeNode>(graph::as<graph::CallNode>(v)->args[0]->type);
  return type ? type->value : nullptr;
}

std::vector<Expr> cast_equalities(const graph::Binding& b) {
  std::vector<Expr> result;
  const auto *want = as<TensorTypeNode>(b.cast), *have = as<TensorTypeNode>(b.value->type);
  if (!want || !have || !want->shape || !have->shape) return result;
  for (size_t i = 0; i < want->shape->size() && i < have->shape->size(); ++i) {
    result.push_back(eq((*want->shape)[i], (*have->shape)[i]));
  }
  return result;
}

std::optional<SizeName> size_name(const graph::Binding& b) {
  const auto* cast = as<PrimTypeNode>(b.cast);
  const auto* value = graph::as<graph::PrimValueNode>(b.value);
  const auto* name = cast && value ? as<VarNode>(cast->value) : nullptr;
  if (!name || name->dtype != dtypes::index || value->value->dtype != dtypes::index) {
    return std::nullopt;
  }
  if (uses_var(value->value, Var(name))) return std::nullopt;  // a comparison
  return SizeName{Var(name), value->value};
}

graph::Binding make_size_name(const Var& name, const Expr& value, Span span) {
  const Type type = prim_type_of(name);
  return {graph::make_variable(name->name, type), graph::make_prim(value), type, std::move(span)};
}

std::vector<graph::Binding> head_of(const graph::Function& f) {
  std::unordered_set<const VarNode*> known;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : binding_symbols(p->type)) known.insert(v.get());
  }
  auto is_known = [&](const Expr& e) {
    const std::vector<Var> symbols = free_vars(e);
    return std::all_of(symbols.begin(), symbols.end(),
                       [&](const Var& v) { return known.contains(v.get()); });
  };
  std::vector<graph::Binding> head;
  for (const graph::Block& block : f->body->blocks) {
    for (const graph::Binding& b : block.bindings) {
      if (const auto named = size_name(b); named && !known.contains(named->name.get())) {
        if (is_known(named->value)) {
          known.insert(named->name.get());
          head.push_back(b);
        }
        continue;
      }
      if (!is_check(b.value)) return head;
      bool all_known = true;
      for (const graph::Value& v : graph::as<graph::CallNode>(b.value)->args) {
        const auto* p = graph::as<graph::PrimValueNode>(v);
        all_known = all_known && p && is_known(p->value);
      }
      if (all_known) head.push_back(b);
    }
  }
  return head;
}

bool is_promise(const graph::Value& v) {
  return is_check(v) && graph::as<graph::CallNode>(v)->attrs.get_bool("guaranteed");
}

Facts facts_after_checks(const graph::Function& f) {
  Facts facts = declared_facts(f);
  for (const graph::Binding& b : head_of(f)) {
    if (const auto named = size_name(b)) {
      facts.define(named->name, named->value);
    } else if (const Expr condition = check_condition(b.value)) {
      facts.assume(condition);
    }
  }
  return facts;
}

std::vector<EqualSymbols> equal_symbols(const graph::Function& f) {
  std::unordered_set<const ExprNode*> symbols;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : binding_symbols(p->type)) symbols.insert(v.get());
  }
  std::vector<EqualSymbols> result;
  graph::visit_bindings(f->body, false, [&](const graph::Binding& b) {
    const Expr condition = check_condition(b.value);
    if (!condition || condition->kind != ExprKind::eq) return;
    const Expr &x = condition->args[0], &y = condition->args[1];
    if (!symbols.contains(x.get()) || !symbols.contains(y.get())) return;
    result.push_back({Var(as<VarNode>(x)), Var(as<VarNode>(y)), b.span});
  });
  return result;
}

Diagnostic different_names(const std::string& a, const std::string& b, const Span& span) {
  return error(DiagnosticKind::shape_mismatch, span,
               "the dimensions `{}` and `{}` have to be equal here, but have different names; "
               "`--dim {}={}` makes them one",
               a, b, b, a);
}

std::vector<std::pair<size_t, size_t>> donations(const graph::Function& f) {
  std::vector<std::pair<size_t, size_t>> result;
  const Attr* dict = f->attrs.find("donate");
  if (!dict || !dict->as_dict()) return result;
  for (const auto& [output, input] : *dict->as_dict()) {
    const int64_t *o = output.as_int(), *i = input.as_int();
    if (o && i && *o >= 0 && *i >= 0) {
      result.emplace_back(static_cast<size_t>(*o), static_cast<size_t>(*i));
    }
  }
  return result;
}

Interval declared_range(const Attrs& attrs, const std::string& name, VarRole role) {
  auto number = [&](const char* key) -> const int64_t* {
    const Attr* a = symbol_attr(attrs, key, name);
    return a ? a->as_int() : nullptr;
  };
  Interval range;
  if (role == VarRole::dimension) range.lower = 0;
  if (const int64_t* v = number("tir_var_lower_bound")) range.lower = std::max(range.lower, *v);
  if (const int64_t* v = number("tir_var_upper_bound")) range.upper = *v;
  if (const int64_t* v = number("tir_var_divisor"); v && *v > 0) range.divisor = *v;
  return range;
}

void erase_range(Attrs& attrs, const std::string& name) {
  for (const char* key : range_attributes) {
    const Attr* a = attrs.find(key);
    if (!a || !a->as_dict()) continue;
    AttrDict rest = *a->as_dict();
    std::erase_if(rest, [&](const auto& entry) {
      return entry.first.as_string() && *entry.first.as_string() == name;
    });
    if (rest.empty()) {
      attrs.erase(key);
    } else {
      attrs.set(key, Attr(std::move(rest)));
    }
  }
}

Facts declared_facts(const graph::Function& f) {
  Facts facts;
  std::unordered_set<const VarNode*> seen;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : free_vars(p->type)) {
      if (seen.insert(v.get()).second) {
        facts.restrict(v, declared_range(f->attrs, v->name, v->role));
      }
    }
  }
  return facts;
}

bool is_forced_pure(const Attrs& attrs) {
  const Attr* a = attrs.find("relax.force_pure");
  return a && ((a->as_bool() && *a->as_bool()) || (a->as_int() && *a->as_int() == 1));
}

}  // namespace repose
