// Types of graph values: construction, rewriting, subtyping, least upper bound, printing.
#include "ir/type.h"

#include <algorithm>
#include <unordered_set>

namespace repose {

namespace {

void canonicalize(Dims& dims) {
  for (Expr& d : dims) {
    REPOSE_CHECK(d != nullptr && d->dtype.is_index(), "a dimension is an index expression");
    d = canonical(d);
  }
}

template <class T>
Ref<T> make_node() {
  return Ref<T>(new T());
}

}  // namespace

// ---- Construction -------------------------------------------------------------------------------

Type tensor_type(Dims shape, DType dtype, Dims strides, std::string device) {
  REPOSE_CHECK(strides.empty() || strides.size() == shape.size(), "one stride per dimension");
  auto t = make_node<TensorTypeNode>();
  canonicalize(shape);
  canonicalize(strides);
  t->rank = static_cast<int>(shape.size());
  t->shape = std::move(shape);
  t->dtype = dtype;
  t->strides = std::move(strides);
  t->device = std::move(device);
  return t;
}

Type tensor_type_of_rank(int rank, DType dtype, std::string device) {
  if (rank == 0) return tensor_type({}, dtype, {}, std::move(device));
  auto t = make_node<TensorTypeNode>();
  t->rank = rank;
  t->dtype = dtype;
  t->device = std::move(device);
  return t;
}

Type shape_type(Dims dims) {
  auto t = make_node<ShapeTypeNode>();
  canonicalize(dims);
  t->rank = static_cast<int>(dims.size());
  t->dims = std::move(dims);
  return t;
}

Type shape_type_of_rank(int rank) {
  if (rank == 0) return shape_type({});
  auto t = make_node<ShapeTypeNode>();
  t->rank = rank;
  return t;
}

Type prim_type(DType dtype) {
  auto t = make_node<PrimTypeNode>();
  t->dtype = dtype;
  return t;
}

Type prim_type_of(Expr value) {
  auto t = make_node<PrimTypeNode>();
  t->dtype = value->dtype;
  t->value = value->dtype.is_index() ? canonical(value) : std::move(value);
  return t;
}

Type tuple_type(std::vector<Type> fields) {
  auto t = make_node<TupleTypeNode>();
  t->fields = std::move(fields);
  return t;
}

Type void_type() {
  return tuple_type({});
}

Type function_type(std::vector<Type> params, Type result, bool pure) {
  auto t = make_node<FunctionTypeNode>();
  t->params = std::move(params);
  t->result = std::move(result);
  t->pure = pure;
  return t;
}

Type opaque_function_type(Type result, bool pure) {
  auto t = make_node<FunctionTypeNode>();
  t->opaque = true;
  t->result = std::move(result);
  t->pure = pure;
  return t;
}

Type any_type() {
  return make_node<AnyTypeNode>();
}

// ---- Rewriting and queries ----------------------------------------------------------------------

namespace {

// Rewrites a list; true if an element changed.
template <class T, class Fn>
bool rewrite_list(std::vector<T>& list, const Fn& fn) {
  bool changed = false;
  for (T& item : list) {
    T next = fn(item);
    changed = changed || !(next == item);
    item = std::move(next);
  }
  return changed;
}

}  // namespace

Type rewrite_exprs(const Type& t, const std::function<Expr(const Expr&)>& rewrite) {
  if (!t) return t;
  auto recurse = [&](const Type& inner) { return rewrite_exprs(inner, rewrite); };
  switch (t->kind) {
    case TypeKind::tensor: {
      const auto* tensor = as<TensorTypeNode>(t);
      if (!tensor->shape) return t;
      Dims shape = *tensor->shape, strides = tensor->strides;
      bool changed = rewrite_list(shape, rewrite);
      changed = rewrite_list(strides, rewrite) || changed;
      if (!changed) return t;
      return tensor_type(std::move(shape), tensor->dtype, std::move(strides), tensor->device);
    }
    case TypeKind::shape: {
      const auto* shape = as<ShapeTypeNode>(t);
      if (!shape->dims) return t;
      Dims dims = *shape->dims;
      return rewrite_list(dims, rewrite) ? shape_type(std::move(dims)) : t;
    }
    case TypeKind::prim: {
      const auto* prim = as<PrimTypeNode>(t);
      if (!prim->value) return t;
      Expr value = rewrite(prim->value);
      return value == prim->value ? t : prim_type_of(std::move(value));
    }
    case TypeKind::tuple: {
      std::vector<Type> fields = as<TupleTypeNode>(t)->fields;
      return rewrite_list(fields, recurse) ? tuple_type(std::move(fields)) : t;
    }
    case TypeKind::function: {
      const auto* f = as<FunctionTypeNode>(t);
      std::vector<Type> params = f->params;
      bool changed = rewrite_list(params, recurse);
      Type result = recurse(f->result);
      if (!changed && result == f->result) return t;
      return f->opaque ? opaque_function_type(std::move(result), f->pure)
                       : function_type(std::move(params), std::move(result), f->pure);
    }
    case TypeKind::any:
      return t;
  }
  return t;
}

Type substitute(const Type& t, const VarMap& map) {
  if (map.empty()) return t;
  return rewrite_exprs(t, [&](const Expr& e) { return substitute(e, map); });
}

void visit_exprs(const Type& t, const std::function<void(const Expr&)>& visit) {
  if (!t) return;
  auto visit_dims = [&](const Dims& dims) {
    for (const Expr& d : dims) visit(d);
  };
  if (const auto* tensor = as<TensorTypeNode>(t)) {
    if (tensor->shape) visit_dims(*tensor->shape);
    visit_dims(tensor->strides);
  } else if (const auto* shape = as<ShapeTypeNode>(t)) {
    if (shape->dims) visit_dims(*shape->dims);
  } else if (const auto* prim = as<PrimTypeNode>(t)) {
    if (prim->value) visit(prim->value);
  } else if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& f : tuple->fields) visit_exprs(f, visit);
  } else if (const auto* f = as<FunctionTypeNode>(t)) {
    for (const Type& p : f->params) visit_exprs(p, visit);
    visit_exprs(f->result, visit);
  }
}

namespace {

using VarSet = std::unordered_set<const VarNode*>;

void collect_free_vars(const Type& t, const VarSet& bound, VarSet& seen, std::vector<Var>& out) {
  if (!t) return;
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& f : tuple->fields) collect_free_vars(f, bound, seen, out);
    return;
  }
  if (const auto* f = as<FunctionTypeNode>(t)) {  // a call binds what is bare in the parameters
    VarSet inner = bound;
    for (const Type& p : f->params) {
      for (const Var& v : binding_symbols(p)) inner.insert(v.get());
    }
    for (const Type& p : f->params) collect_free_vars(p, inner, seen, out);
    collect_free_vars(f->result, inner, seen, out);
    return;
  }
  visit_exprs(t, [&](const Expr& e) {
    for (const Var& v : free_vars(e)) {
      if (!bound.count(v.get()) && seen.insert(v.get()).second) out.push_back(v);
    }
  });
}

void collect_binding_symbols(const Type& t, VarSet& seen, std::vector<Var>& out) {
  if (!t || t->kind == TypeKind::function) return;
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& f : tuple->fields) collect_binding_symbols(f, seen, out);
    return;
  }
  visit_exprs(t, [&](const Expr& e) {
    const auto* v = as<VarNode>(e);
    if (v && seen.insert(v).second) out.push_back(Var(v));
  });
}

}  // namespace

std::vector<Var> free_vars(const Type& t) {
  VarSet seen;
  std::vector<Var> out;
  collect_free_vars(t, {}, seen, out);
  return out;
}

std::vector<Var> binding_symbols(const Type& t) {
  VarSet seen;
  std::vector<Var> out;
  collect_binding_symbols(t, seen, out);
  return out;
}

// ---- Equality -----------------------------------------------------------------------------------

namespace {

bool equal_dims(const Dims& a, const Dims& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Expr& x, const Expr& y) { return structural_equal(x, y); });
}

bool equal_dims(const std::optional<Dims>& a, const std::optional<Dims>& b) {
  return a.has_value() == b.has_value() && (!a || equal_dims(*a, *b));
}

bool equal_types(const std::vector<Type>& a, const std::vector<Type>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Type& x, const Type& y) { return structural_equal(x, y); });
}

}  // namespace

bool structural_equal(const Type& a, const Type& b) {
  if (a == b) return true;
  if (!a || !b || a->kind != b->kind) return false;
  switch (a->kind) {
    case TypeKind::tensor: {
      const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      return x->rank == y->rank && x->dtype == y->dtype && x->device == y->device &&
             equal_dims(x->shape, y->shape) && equal_dims(x->strides, y->strides);
    }
    case TypeKind::shape: {
      const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      return x->rank == y->rank && equal_dims(x->dims, y->dims);
    }
    case TypeKind::prim: {
      const auto *x = as<PrimTypeNode>(a), *y = as<PrimTypeNode>(b);
      return x->dtype == y->dtype && structural_equal(x->value, y->value);
    }
    case TypeKind::tuple:
      return equal_types(as<TupleTypeNode>(a)->fields, as<TupleTypeNode>(b)->fields);
    case TypeKind::function: {
      const auto *x = as<FunctionTypeNode>(a), *y = as<FunctionTypeNode>(b);
      return x->opaque == y->opaque && x->pure == y->pure && equal_types(x->params, y->params) &&
             structural_equal(x->result, y->result);
    }
    case TypeKind::any:
      return true;
  }
  return false;
}

void match_symbols(const Type& pattern, const Type& t, VarMap& symbols) {
  auto match = [&](const Expr& p, const Expr& e) {
    const auto* v = as<VarNode>(p);
    if (v && v->dtype == e->dtype) symbols.emplace(v, e);
  };
  auto match_dims = [&](const Dims& p, const Dims& d) {
    if (p.size() != d.size()) return;
    for (size_t i = 0; i < p.size(); ++i) match(p[i], d[i]);
  };
  if (const auto *p = as<TensorTypeNode>(pattern), *x = as<TensorTypeNode>(t); p && x) {
    if (p->shape && x->shape) match_dims(*p->shape, *x->shape);
    match_dims(p->strides, x->strides);
  } else if (const auto* p = as<ShapeTypeNode>(pattern), *x = as<ShapeTypeNode>(t); p && x) {
    if (p->dims && x->dims) match_dims(*p->dims, *x->dims);
  } else if (const auto* p = as<PrimTypeNode>(pattern), *x = as<PrimTypeNode>(t); p && x) {
    if (p->value && x->value) match(p->value, x->value);
  } else if (const auto* p = as<TupleTypeNode>(pattern), *x = as<TupleTypeNode>(t); p && x) {
    for (size_t i = 0; i < std::min(p->fields.size(), x->fields.size()); ++i) {
      match_symbols(p->fields[i], x->fields[i], symbols);
    }
  }
}

// ---- Subtyping ----------------------------------------------------------------------------------

namespace {

Truth both(Truth a, Truth b) {
  if (a == Truth::no || b == Truth::no) return Truth::no;
  return a == Truth::yes && b == Truth::yes ? Truth::yes : Truth::unknown;
}

Truth truth(bool b) {
  return b ? Truth::yes : Truth::no;
}

Truth equal_exprs(const Expr& a, const Expr& b, const Facts& facts) {
  if (structural_equal(a, b)) return Truth::yes;
  if (a->dtype != b->dtype) return Truth::no;
  return a->dtype.is_any_int() ? prove_equal(a, b, facts) : Truth::unknown;
}

Truth equal_dims(const Dims& a, const Dims& b, const Facts& facts) {
  if (a.size() != b.size()) return Truth::no;
  Truth result = Truth::yes;
  for (size_t i = 0; i < a.size(); ++i) result = both(result, equal_exprs(a[i], b[i], facts));
  return result;
}

// Row-major strides where the type declares none.
Dims strides_of(const TensorTypeNode& t) {
  if (!t.strides.empty() || !t.shape) return t.strides;
  Dims strides(t.shape->size());
  Expr next = make_int(1);
  for (size_t i = strides.size(); i-- > 0;) {
    strides[i] = next;
    next = canonical(next * (*t.shape)[i]);
  }
  return strides;
}

Truth equal_strides(const TensorTypeNode& a, const TensorTypeNode& b, const Facts& facts) {
  if (a.strides.empty() && b.strides.empty()) return Truth::yes;
  return equal_dims(strides_of(a), strides_of(b), facts);
}

Truth is_tensor_subtype(const TensorTypeNode& derived, const TensorTypeNode& base,
                        const Facts& facts) {
  if (base.dtype && derived.dtype != base.dtype) return Truth::no;
  if (!base.device.empty() && derived.device != base.device) return Truth::no;
  if (base.rank >= 0 && derived.rank != base.rank) return Truth::no;
  Truth result = Truth::yes;
  if (base.shape) {
    if (!derived.shape) return Truth::no;
    result = equal_dims(*derived.shape, *base.shape, facts);
  }
  return both(result, equal_strides(derived, base, facts));
}

Truth is_function_subtype(const FunctionTypeNode& derived, const FunctionTypeNode& base,
                          const Facts& facts) {
  if (base.pure && !derived.pure) return Truth::no;
  Truth result = Truth::yes;
  VarMap symbols;  // the parameters' symbols of `derived` are bound by an argument of `base`
  VarMap fresh;    // symbols that only the result of `base` mentions stand for anything
  if (!base.opaque) {
    if (derived.opaque || derived.params.size() != base.params.size()) return Truth::no;
    for (size_t i = 0; i < base.params.size(); ++i) {
      match_symbols(derived.params[i], base.params[i], symbols);
      for (const Var& v : binding_symbols(base.params[i])) fresh.emplace(v.get(), v);
    }
    for (size_t i = 0; i < base.params.size(); ++i) {
      result =
          both(result, is_subtype(base.params[i], substitute(derived.params[i], symbols), facts));
    }
  }
  if (!base.result || !derived.result) return truth(base.result == derived.result);
  Type derived_result = substitute(derived.result, symbols);
  match_symbols(base.result, derived_result, fresh);
  return both(result, is_subtype(derived_result, substitute(base.result, fresh), facts));
}

}  // namespace

Truth is_subtype(const Type& derived, const Type& base, const Facts& facts) {
  if (base->kind == TypeKind::any || derived == base) return Truth::yes;
  if (derived->kind != base->kind) return Truth::no;
  switch (base->kind) {
    case TypeKind::tensor:
      return is_tensor_subtype(*as<TensorTypeNode>(derived), *as<TensorTypeNode>(base), facts);
    case TypeKind::shape: {
      const auto *d = as<ShapeTypeNode>(derived), *b = as<ShapeTypeNode>(base);
      if (b->rank >= 0 && d->rank != b->rank) return Truth::no;
      if (!b->dims) return Truth::yes;
      return d->dims ? equal_dims(*d->dims, *b->dims, facts) : Truth::no;
    }
    case TypeKind::prim: {
      const auto *d = as<PrimTypeNode>(derived), *b = as<PrimTypeNode>(base);
      // An index is an int64 where it is passed: one that doesn't fit is an error.
      const bool is_passed = d->dtype.is_index() && b->dtype == dtypes::int64 && !b->value;
      if (b->dtype && d->dtype != b->dtype && !is_passed) return Truth::no;
      if (!b->value) return Truth::yes;
      return d->value ? equal_exprs(d->value, b->value, facts) : Truth::no;
    }
    case TypeKind::tuple: {
      const auto &d = as<TupleTypeNode>(derived)->fields, &b = as<TupleTypeNode>(base)->fields;
      if (d.size() != b.size()) return Truth::no;
      Truth result = Truth::yes;
      for (size_t i = 0; i < d.size(); ++i) result = both(result, is_subtype(d[i], b[i], facts));
      return result;
    }
    case TypeKind::function:
      return is_function_subtype(*as<FunctionTypeNode>(derived), *as<FunctionTypeNode>(base),
                                 facts);
    case TypeKind::any:
      break;
  }
  return Truth::no;
}

Type least_upper_bound(const Type& a, const Type& b, const Facts& facts) {
  if (structural_equal(a, b)) return a;
  if (a->kind != b->kind) return any_type();
  switch (a->kind) {
    case TypeKind::tensor: {
      const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      DType dtype = x->dtype == y->dtype ? x->dtype : DType{};
      std::string device = x->device == y->device ? x->device : "";
      bool strided = !x->strides.empty() || !y->strides.empty();
      if (strided && equal_strides(*x, *y, facts) != Truth::yes) return any_type();
      if (x->shape && y->shape && equal_dims(*x->shape, *y->shape, facts) == Truth::yes) {
        return tensor_type(*x->shape, dtype, x->strides, device);
      }
      if (strided) return any_type();
      return tensor_type_of_rank(x->rank == y->rank ? x->rank : -1, dtype, device);
    }
    case TypeKind::shape: {
      const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      if (x->dims && y->dims && equal_dims(*x->dims, *y->dims, facts) == Truth::yes) return a;
      return shape_type_of_rank(x->rank == y->rank ? x->rank : -1);
    }
    case TypeKind::prim: {
      const auto *x = as<PrimTypeNode>(a), *y = as<PrimTypeNode>(b);
      if (x->dtype != y->dtype) return any_type();
      if (x->value && y->value && equal_exprs(x->value, y->value, facts) == Truth::yes) return a;
      return prim_type(x->dtype);
    }
    case TypeKind::tuple: {
      const auto &x = as<TupleTypeNode>(a)->fields, &y = as<TupleTypeNode>(b)->fields;
      if (x.size() != y.size()) return any_type();
      std::vector<Type> fields;
      for (size_t i = 0; i < x.size(); ++i) {
        fields.push_back(least_upper_bound(x[i], y[i], facts));
      }
      return tuple_type(std::move(fields));
    }
    case TypeKind::function: {
      if (is_subtype(a, b, facts) == Truth::yes) return b;
      if (is_subtype(b, a, facts) == Truth::yes) return a;
      const auto *x = as<FunctionTypeNode>(a), *y = as<FunctionTypeNode>(b);
      if (!x->result || !y->result) return any_type();
      Type result = least_upper_bound(x->result, y->result, facts);
      if (!x->opaque && !y->opaque && equal_types(x->params, y->params)) {
        return function_type(x->params, std::move(result), x->pure && y->pure);
      }
      // The parameters are given up, and with them the meaning of the result's symbols.
      if (!free_vars(result).empty()) result = any_type();
      return opaque_function_type(std::move(result), x->pure && y->pure);
    }
    case TypeKind::any:
      break;
  }
  return any_type();
}

// ---- Sizes --------------------------------------------------------------------------------------

Expr num_elements(const TensorTypeNode& t) {
  if (!t.shape) return nullptr;
  Expr n = make_int(1);
  for (const Expr& d : *t.shape) n = n * d;
  return canonical(n);
}

std::vector<const TensorTypeNode*> tensor_leaves(const Type& t) {
  std::vector<const TensorTypeNode*> leaves;
  auto collect = [&](auto&& self, const Type& part) -> void {
    if (const auto* tensor = as<TensorTypeNode>(part)) leaves.push_back(tensor);
    if (const auto* tuple = as<TupleTypeNode>(part)) {
      for (const Type& field : tuple->fields) self(self, field);
    }
  };
  collect(collect, t);
  return leaves;
}

Expr size_bytes(const Expr& elements, DType dtype) {
  if (!dtype.is_packed()) return elements * dtype.size_bytes();
  return floor_div(elements * dtype.bits + 7, make_int(8));
}

Expr size_bytes(const TensorTypeNode& t) {
  if (!t.shape || !t.dtype) return nullptr;
  return canonical(size_bytes(num_elements(t), t.dtype));
}

// ---- Printing -----------------------------------------------------------------------------------

namespace {

std::string dim_to_string(const Expr& e) {
  bool plain = e->kind == ExprKind::int_imm || e->kind == ExprKind::var;
  return plain ? to_string(e) : "\"" + to_string(e) + "\"";
}

std::string join_dims(const Dims& dims) {
  std::string out;
  for (const Expr& d : dims) out += (out.empty() ? "" : ", ") + dim_to_string(d);
  return out;
}

std::string join_types(const std::vector<Type>& types) {
  std::string out;
  for (const Type& t : types) out += (out.empty() ? "" : ", ") + to_string(t);
  return out;
}

std::string tensor_to_string(const TensorTypeNode& t) {
  std::vector<std::string> parts;
  if (t.shape) {
    parts.push_back(fmt::format("({}{})", join_dims(*t.shape), t.shape->size() == 1 ? "," : ""));
  } else if (t.rank >= 0) {
    parts.push_back(fmt::format("ndim={}", t.rank));
  }
  if (t.dtype) parts.push_back(fmt::format("dtype=\"{}\"", t.dtype.to_string()));
  if (!t.strides.empty()) parts.push_back(fmt::format("strides=[{}]", join_dims(t.strides)));
  if (!t.device.empty()) parts.push_back(fmt::format("vdevice=\"{}\"", t.device));
  return parts.empty() ? "R.Tensor" : fmt::format("R.Tensor({})", fmt::join(parts, ", "));
}

std::string function_to_string(const FunctionTypeNode& f) {
  const char* purity = f.pure ? "True" : "False";
  if (f.opaque) {
    if (f.result && f.result->kind == TypeKind::any && !f.pure) return "R.Callable";
    return fmt::format("R.Callable(None, {}, purity={})", to_string(f.result), purity);
  }
  return fmt::format("R.Callable(({}{}), {}, purity={})", join_types(f.params),
                     f.params.size() == 1 ? "," : "", to_string(f.result), purity);
}

}  // namespace

std::string to_string(const Type& t) {
  if (!t) return "?";
  switch (t->kind) {
    case TypeKind::tensor:
      return tensor_to_string(*as<TensorTypeNode>(t));
    case TypeKind::shape: {
      const auto* s = as<ShapeTypeNode>(t);
      if (s->dims) return fmt::format("R.Shape([{}])", join_dims(*s->dims));
      return s->rank >= 0 ? fmt::format("R.Shape(ndim={})", s->rank) : "R.Shape";
    }
    case TypeKind::prim: {
      const auto* p = as<PrimTypeNode>(t);
      if (!p->value) return fmt::format("R.Prim(\"{}\")", p->dtype.to_string());
      if (p->dtype.is_index()) return fmt::format("R.Prim(value=\"{}\")", to_string(p->value));
      return fmt::format("R.Prim(\"{}\", value=\"{}\")", p->dtype.to_string(), to_string(p->value));
    }
    case TypeKind::tuple:
      return fmt::format("R.Tuple({})", join_types(as<TupleTypeNode>(t)->fields));
    case TypeKind::function:
      return function_to_string(*as<FunctionTypeNode>(t));
    case TypeKind::any:
      return "R.Object";
  }
  return "?";
}

}  // namespace repose
