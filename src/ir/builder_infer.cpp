// The types that a Builder gives: of values, of calls, of what a match_cast names.
#include <algorithm>

#include "ir/builder_state.h"
#include "ir/cast.h"

namespace repose {

void match_types(const Type& param, const Type& arg, VarMap& symbols,
                 std::vector<std::pair<Expr, Expr>>& equal) {
  auto match_dims = [&](const Dims& want, const Dims& have) {
    for (size_t i = 0; i < want.size() && i < have.size(); ++i) {
      const auto* v = as<VarNode>(want[i]);
      if (v && symbols.emplace(v, have[i]).second) continue;
      equal.emplace_back(want[i], have[i]);
    }
  };
  if (const auto *p = as<TensorTypeNode>(param), *a = as<TensorTypeNode>(arg); p && a) {
    if (p->shape && a->shape) match_dims(*p->shape, *a->shape);
  } else if (const auto* p = as<ShapeTypeNode>(param), *a = as<ShapeTypeNode>(arg); p && a) {
    if (p->dims && a->dims) match_dims(*p->dims, *a->dims);
  } else if (const auto* p = as<PrimTypeNode>(param), *a = as<PrimTypeNode>(arg); p && a) {
    if (p->value && a->value) match_dims({p->value}, {a->value});
  } else if (const auto* p = as<TupleTypeNode>(param), *a = as<TupleTypeNode>(arg); p && a) {
    for (size_t i = 0; i < p->fields.size() && i < a->fields.size(); ++i) {
      match_types(p->fields[i], a->fields[i], symbols, equal);
    }
  }
}

Result<Value> Builder::infer(const Value& value, Span span) {
  using graph::ValueKind;
  switch (value->kind) {
    case ValueKind::tuple: {
      std::vector<Value> fields;
      for (const Value& field : graph::as<graph::TupleNode>(value)->fields) {
        REPOSE_TRY(leaf, normalize(field, span));
        fields.push_back(leaf);
      }
      return graph::make_tuple(std::move(fields));
    }
    case ValueKind::tuple_get: {
      const auto* get = graph::as<graph::TupleGetNode>(value);
      REPOSE_TRY(tuple, normalize(get->tuple, span));
      const auto* type = as<TupleTypeNode>(tuple->type);
      if (!type) {
        return error(DiagnosticKind::type_mismatch, span,
                     "item {} of a value of type `{}`, which is no tuple", get->index,
                     to_string(tuple->type));
      }
      if (get->index < 0 || static_cast<size_t>(get->index) >= type->fields.size()) {
        return error(DiagnosticKind::bad_argument, span, "item {} of a tuple with {} members",
                     get->index, type->fields.size());
      }
      return graph::make_tuple_get(tuple, get->index);
    }
    case ValueKind::global: {
      const auto* g = graph::as<graph::GlobalNode>(value);
      const Definition* d = module_.find(g->name);
      if (!d) {
        return error(DiagnosticKind::unknown_name, span, "no function `{}` in the module", g->name);
      }
      if (const auto* f = std::get_if<graph::Function>(d)) {
        return graph::make_global(g->name, (*f)->type);
      }
      return value;
    }
    case ValueKind::call:
      return infer_call(*graph::as<graph::CallNode>(value), span);
    default:
      REPOSE_CHECK(value->type != nullptr, "a value of this kind is typed when it is made");
      return value;
  }
}

Type with_bound_symbols(const Type& type, const std::function<bool(const Var&)>& is_known) {
  const std::vector<Var> bound = binding_symbols(type);
  auto is_bound = [&](const Expr& e) {
    const std::vector<Var> symbols = free_vars(e);
    return std::all_of(symbols.begin(), symbols.end(), [&](const Var& v) {
      return is_known(v) || std::find(bound.begin(), bound.end(), v) != bound.end();
    });
  };
  std::vector<std::pair<Expr, Var>> made;  // what is equal stays equal
  auto made_for = [&](const Expr& e, std::optional<VarRole> role) {
    for (const auto& [of, symbol] : made) {
      if ((!role || symbol->role == *role) && structural_equal(of, e)) return symbol;
    }
    return Var();
  };
  auto rewrite = [&](Dims dims, VarRole role) {
    for (Expr& d : dims) {
      if (is_bound(d)) continue;
      Var symbol = made_for(d, role);
      if (!symbol) {
        symbol = make_var("d", dtypes::index, role);
        made.emplace_back(d, symbol);
      }
      d = symbol;
    }
    return dims;
  };
  std::function<Type(const Type&)> visit = [&](const Type& t) -> Type {
    if (const auto* tensor = as<TensorTypeNode>(t); tensor && tensor->shape) {
      return tensor_type(rewrite(*tensor->shape, VarRole::dimension), tensor->dtype,
                         tensor->strides, tensor->device);
    }
    if (const auto* shape = as<ShapeTypeNode>(t); shape && shape->dims) {
      return shape_type(rewrite(*shape->dims, VarRole::value));
    }
    if (const auto* prim = as<PrimTypeNode>(t); prim && prim->value && !is_bound(prim->value)) {
      if (const Var symbol = made_for(prim->value, {})) return prim_type_of(symbol);
      return prim_type(prim->dtype.is_index() ? dtypes::int64 : prim->dtype);
    }
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      std::vector<Type> fields;
      for (const Type& f : tuple->fields) fields.push_back(visit(f));
      return tuple_type(std::move(fields));
    }
    return t;
  };
  visit(type);  // meets all dimensions, also those behind numbers that are equal to them
  return visit(type);
}

Result<Value> Builder::infer_call(const graph::CallNode& call, Span span) {
  std::vector<Value> args;
  for (const Value& a : call.args) {
    REPOSE_TRY(leaf, normalize(a, span));
    args.push_back(call.op ? with_named_sizes(leaf, span) : leaf);
  }
  FunctionState& state = *functions_.back();
  auto note_impure = [&](std::string_view callee) {
    if (state.impure) return;
    state.impure = true;
    state.impure_span = span;
    state.impure_callee = callee;
  };
  if (call.op) {
    REPOSE_TRY(attrs, check_call(*call.op, args, call.attrs, span));
    if (!call.op->pure) note_impure(call.op->name);
    auto checked =
        make_ref<graph::CallNode>(call.op, nullptr, args, attrs, call.type_args, nullptr);
    BuilderInferContext context(*this, span);
    REPOSE_TRY(inferred, call.op->infer(context, *checked));
    const Type type = call.type_args.empty() ? name_sizes(inferred, span) : inferred;
    for (const Var& symbol : binding_symbols(type)) frame().bind_symbol(symbol);
    if (call.op->name == "check") {  // whatever follows may rely on it
      if (const auto* p = as<PrimTypeNode>(args[0]->type); p && p->value) assume(p->value);
    }
    return Value(make_ref<graph::CallNode>(call.op, nullptr, args, attrs, call.type_args, type));
  }
  REPOSE_TRY(callee, normalize(call.callee, span));
  const auto* type = as<FunctionTypeNode>(callee->type);
  if (!type) {
    return error(DiagnosticKind::type_mismatch, span, "a value that is no function is called");
  }
  std::string name = "a closure";
  if (const auto* g = graph::as<graph::GlobalNode>(callee)) name = g->name;
  if (const auto* v = graph::as<graph::VariableNode>(callee)) name = v->name;
  if (!type->pure) note_impure(name);
  VarMap symbols;
  if (!type->opaque) {
    if (type->params.size() != args.size()) {
      return error(DiagnosticKind::wrong_arity, span, "`{}` takes {} arguments, {} are given", name,
                   type->params.size(), args.size());
    }
    std::vector<std::pair<Expr, Expr>> equal;
    for (size_t i = 0; i < args.size(); ++i) {
      match_types(type->params[i], args[i]->type, symbols, equal);
    }
    for (auto& [want, have] : equal) {
      Expr expected = canonical(substitute(want, symbols));
      auto ok = require(eq(have, expected),
                        fmt::format("call of `{}`: a dimension is {{0}}, expected `{}` = {{1}}",
                                    name, to_string(want)),
                        {have, expected}, span);
      if (!ok.ok()) return ok.errors();
    }
    for (size_t i = 0; i < args.size(); ++i) {
      Type want = substitute(type->params[i], symbols);
      if (is_subtype(args[i]->type, want, facts()) == Truth::no) {
        return error(DiagnosticKind::type_mismatch, span,
                     "call of `{}`: argument {} has type `{}`, expected `{}`", name, i,
                     to_string(args[i]->type), to_string(type->params[i]));
      }
    }
  }
  // Symbols that only the result mentions are fresh in each call.
  auto is_known = [&](const Var& v) {
    return symbols.count(v.get()) || frame().bound.count(v.get());
  };
  Type result =
      call.type_args.empty() ? with_bound_symbols(type->result, is_known) : call.type_args[0];
  for (const Var& symbol : free_vars(type->result)) {
    if (!is_known(symbol)) {
      symbols.emplace(symbol.get(), make_var(symbol->name, symbol->dtype, symbol->role));
    }
  }
  if (call.type_args.empty()) {
    result = substitute(result, symbols);
    for (const Var& symbol : binding_symbols(result)) frame().bind_symbol(symbol);
  }
  return Value(
      make_ref<graph::CallNode>(nullptr, callee, args, call.attrs, call.type_args, result));
}

// ---- match_cast
// ---------------------------------------------------------------------------------

Result<Variable> Builder::emit_match_cast(const Value& value, Type type, std::string name,
                                          Span span, bool is_output) {
  REPOSE_TRY(leaf, normalize(value, span));
  Frame& f = frame();
  const auto named = size_name({nullptr, leaf, type, {}});
  if (named && !f.bound.contains(named->name.get())) {
    define(named->name, simplify(named->value, facts()));
    return bind(leaf, type, type, std::move(name), std::move(span), is_output);
  }
  VarMap symbols;  // bound ones stand for themselves
  for (const Var& v : free_vars(type)) {
    if (f.bound.count(v.get())) symbols.emplace(v.get(), v);
  }
  std::vector<std::pair<Expr, Expr>> equal;
  match_types(type, leaf->type, symbols, equal);
  std::vector<Var> binds;
  for (const Var& v : binding_symbols(type)) {
    if (!f.bound.count(v.get())) binds.push_back(v);
  }
  for (const Var& v : binds) {
    f.bind_symbol(v);
    if (auto it = symbols.find(v.get()); it != symbols.end()) assume(eq(v, it->second));
  }
  for (const Var& v : free_vars(type)) {
    if (!f.bound.count(v.get())) {
      return error(DiagnosticKind::unbound_symbol, span,
                   "symbol `{}` is used, but nothing binds it", v->name);
    }
  }
  if (!f.conditional && !may_overlap(leaf->type, type, facts())) {
    return error(DiagnosticKind::type_mismatch, span, "a value of type `{}` is cast to `{}`",
                 to_string(leaf->type), to_string(type));
  }
  for (auto& [want, have] : equal) assume(eq(canonical(have), canonical(want)));
  const std::vector<Expr>* known = elements_of(leaf);
  // A number that is known stays known, whatever the cast leaves open.
  const auto *cast = as<PrimTypeNode>(type), *given = as<PrimTypeNode>(leaf->type);
  if (cast && !cast->value && given && given->value && may_overlap(leaf->type, type, facts())) {
    type = leaf->type;
  }
  Variable var = bind(leaf, type, type, std::move(name), std::move(span), is_output);
  if (known) functions_.back()->elements[var.get()] = *known;
  return var;
}

}  // namespace repose
