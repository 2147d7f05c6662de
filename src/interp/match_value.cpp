// Values against types: binding symbols, checking dimensions.
#include "interp/graph_machine.h"

namespace repose::interp {

namespace {

std::optional<Scalar> try_eval(const Expr& e, const Environment& env) {
  return evaluate(e, [&](const Var& v) -> std::optional<Scalar> {
    auto it = env.symbols.find(v.get());
    return it == env.symbols.end() ? std::nullopt : std::optional(it->second);
  });
}

bool is_bound(const Expr& e, const Environment& env) {
  for (const Var& v : free_vars(e)) {
    if (!env.symbols.count(v.get())) return false;
  }
  return true;
}

void bind_symbol(const Expr& e, const Scalar& value, Environment& env,
                 const MatchContext& context) {
  const auto* v = e ? as<VarNode>(e) : nullptr;
  if (!v || env.symbols.count(v)) return;
  const bool is_integer = value.dtype.is_any_int() && v->dtype.is_any_int();
  const auto cast = is_integer ? eval_cast(v->dtype, value) : std::optional(value);
  if (!cast || cast->dtype != v->dtype) {
    fail(context.kind, context.span, "{}: symbol `{}` of dtype {} is given {} of dtype {}",
         context.what, v->name, v->dtype.to_string(), to_string(value), value.dtype.to_string());
  }
  if (v->role == VarRole::dimension && cast->i < 0) {
    fail(context.kind, context.span, "{}: dimension `{}` is {}, which is negative", context.what,
         v->name, cast->i);
  }
  env.symbols.emplace(v, *cast);
}

Scalar index_of(int64_t i) {
  return Scalar::of_int(i, dtypes::index);
}

void check_expr(const Expr& want, const Scalar& have, const std::string& which,
                const Environment& env, const MatchContext& context) {
  if (context.skips_unbound && !is_bound(want, env)) return;
  const Scalar value = eval_symbolic(want, env, context.span);
  const bool integers = value.dtype.is_any_int() && have.dtype.is_any_int();
  if (integers ? value.i == have.i : value == have) return;
  if (is_constant(want)) {
    fail(context.kind, context.span, "{}: {} is {}, expected {}", context.what, which,
         to_string(have), to_string(value));
  }
  fail(context.kind, context.span, "{}: {} is {}, expected `{}` = {}", context.what, which,
       to_string(have), repose::to_string(want), to_string(value));
}

[[noreturn]] void fail_kind(const Type& type, const HostValue& value, const MatchContext& context) {
  fail(context.kind, context.span, "{} is {}, expected `{}`", context.what,
       repose::to_string(value), repose::to_string(type));
}

void check_tensor(const TensorTypeNode& t, const Type& type, const HostValue& value,
                  const Environment& env, const MatchContext& context) {
  const Array a = value.tensor();
  if (!a) fail_kind(type, value, context);
  const int rank = t.shape ? static_cast<int>(t.shape->size()) : t.rank;
  if (rank >= 0 && static_cast<size_t>(rank) != a->shape.size()) {
    fail(context.kind, context.span, "{} has rank {}, expected {}", context.what, a->shape.size(),
         rank);
  }
  if (t.dtype && t.dtype != a->dtype) {
    fail(context.kind, context.span, "{} has dtype {}, expected {}", context.what,
         a->dtype.to_string(), t.dtype.to_string());
  }
  for (size_t d = 0; t.shape && d < a->shape.size(); ++d) {
    check_expr((*t.shape)[d], index_of(a->shape[d]), fmt::format("dimension {}", d), env, context);
  }
}

void check_shape(const ShapeTypeNode& t, const Type& type, const HostValue& value,
                 const Environment& env, const MatchContext& context) {
  const auto* shape = value.shape();
  if (!shape) fail_kind(type, value, context);
  const int rank = t.dims ? static_cast<int>(t.dims->size()) : t.rank;
  if (rank >= 0 && static_cast<size_t>(rank) != shape->size()) {
    fail(context.kind, context.span, "{} has {} members, expected {}", context.what, shape->size(),
         rank);
  }
  for (size_t d = 0; t.dims && d < shape->size(); ++d) {
    check_expr((*t.dims)[d], index_of((*shape)[d]), fmt::format("member {}", d), env, context);
  }
}

void check_prim(const PrimTypeNode& t, const Type& type, const HostValue& value,
                const Environment& env, const MatchContext& context) {
  const Scalar* s = value.scalar();
  if (!s) fail_kind(type, value, context);
  const bool integers = s->dtype.is_any_int() && t.dtype.is_any_int();
  if (t.dtype && s->dtype != t.dtype &&
      !(integers && (s->dtype.is_index() || t.dtype.is_index()))) {
    fail(context.kind, context.span, "{} has dtype {}, expected {}", context.what,
         s->dtype.to_string(), t.dtype.to_string());
  }
  if (t.value) check_expr(t.value, *s, "its value", env, context);
}

}  // namespace

Scalar eval_symbolic(const Expr& e, const Environment& env, const Span& span) {
  if (const auto value = try_eval(e, env)) return *value;
  for (const Var& v : free_vars(e)) {
    if (!env.symbols.count(v.get())) {
      fail(DiagnosticKind::unbound_symbol, span, "symbol `{}` is used, but nothing binds it",
           v->name);
    }
  }
  fail(DiagnosticKind::run_time_check, span,
       "`{}` has no value: it overflows, divides by zero, or is not defined", repose::to_string(e));
}

void bind_symbols(const Type& type, const HostValue& value, Environment& env,
                  const MatchContext& context) {
  if (const auto* t = as<TensorTypeNode>(type)) {
    const Array a = value.tensor();
    if (!a || !t->shape || t->shape->size() != a->shape.size()) return;
    for (size_t d = 0; d < a->shape.size(); ++d) {
      bind_symbol((*t->shape)[d], index_of(a->shape[d]), env, context);
    }
  } else if (const auto* t = as<ShapeTypeNode>(type)) {
    const auto* shape = value.shape();
    if (!shape || !t->dims || t->dims->size() != shape->size()) return;
    for (size_t d = 0; d < shape->size(); ++d) {
      bind_symbol((*t->dims)[d], index_of((*shape)[d]), env, context);
    }
  } else if (const auto* t = as<PrimTypeNode>(type)) {
    if (value.scalar()) bind_symbol(t->value, *value.scalar(), env, context);
  } else if (const auto* t = as<TupleTypeNode>(type)) {
    const auto* tuple = value.tuple();
    if (!tuple || tuple->size() != t->fields.size()) return;
    for (size_t i = 0; i < tuple->size(); ++i)
      bind_symbols(t->fields[i], (*tuple)[i], env, context);
  }
}

void check_value(const Type& type, const HostValue& value, const Environment& env,
                 const MatchContext& context) {
  if (const auto* t = as<TensorTypeNode>(type)) return check_tensor(*t, type, value, env, context);
  if (const auto* t = as<ShapeTypeNode>(type)) return check_shape(*t, type, value, env, context);
  if (const auto* t = as<PrimTypeNode>(type)) return check_prim(*t, type, value, env, context);
  if (const auto* t = as<TupleTypeNode>(type)) {
    const auto* tuple = value.tuple();
    if (!tuple) fail_kind(type, value, context);
    if (tuple->size() != t->fields.size()) {
      fail(context.kind, context.span, "{} has {} members, expected {}", context.what,
           tuple->size(), t->fields.size());
    }
    for (size_t i = 0; i < tuple->size(); ++i) {
      MatchContext inner{context.kind, context.span, fmt::format("item {} of {}", i, context.what),
                         context.skips_unbound};
      check_value(t->fields[i], (*tuple)[i], env, inner);
    }
  } else if (const auto* t = as<FunctionTypeNode>(type)) {
    if (value.external()) return;
    const ClosureValue* c = value.closure();
    if (!c) fail_kind(type, value, context);
    if (!t->opaque && c->function->params.size() != t->params.size()) {
      fail(context.kind, context.span, "{} takes {} arguments, expected {}", context.what,
           c->function->params.size(), t->params.size());
    }
  }
}

Type eval_type(const Type& type, const Environment& env, const Span& span) {
  return rewrite_exprs(type, [&](const Expr& e) { return to_expr(eval_symbolic(e, env, span)); });
}

}  // namespace repose::interp
