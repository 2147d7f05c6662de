// What the type rules of several operators share.
#include "ops/type_rules.h"

#include "expr/hypothesis.h"
#include "expr/steps.h"

#include <algorithm>

namespace repose {

Result<const TensorTypeNode*> tensor_arg(InferContext& context, const graph::CallNode& call,
                                         size_t i) {
  const TensorTypeNode* t = graph::tensor_of(call.args[i]);
  if (t) return t;
  return error(DiagnosticKind::type_mismatch, context.span(),
               "`{}`: operand {} has type `{}`, expected a tensor", call.op->name, i,
               to_string(call.args[i]->type));
}

Result<const TensorTypeNode*> shaped_arg(InferContext& context, const graph::CallNode& call,
                                         size_t i) {
  REPOSE_TRY(t, tensor_arg(context, call, i));
  if (t->shape) return t;
  return error(DiagnosticKind::unsupported_feature, context.span(),
               "`{}`: the shape of operand {} is not known; a `match_cast` before can name it",
               call.op->name, i);
}

namespace {

// The dimensions of which `e` is the first that isn't 1, or else the last: select(a == 1, b, a) of
// a and b, and so on in b.
void add_choices(Expr e, std::vector<Expr>& out) {
  while (e->kind == ExprKind::select &&
         structural_equal(e->args[0], canonical(eq(e->args[2], make_int(1))))) {
    out.push_back(e->args[2]);
    e = e->args[1];
  }
  out.push_back(std::move(e));
}

constexpr uint64_t max_operands = 8192;
constexpr size_t max_scanned = 32;  // conditions of one symbol
constexpr size_t num_parts = 3;     // of broadcastable(x, y)

// What a broadcast of two dimensions needs.
Expr broadcastable(const Expr& x, const Expr& y) {
  const Expr one = make_int(1);
  return logical_or(eq(x, y), logical_or(eq(x, one), eq(y, one)));
}

// `x`, or where that is 1 `y`: each dimension is named once, however many operands came before.
Expr first_not_one(const Expr& x, const Expr& y) {
  std::vector<Expr> all, distinct;
  add_choices(x, all);
  add_choices(y, all);
  for (Expr& e : all) {
    const bool is_new = std::none_of(distinct.begin(), distinct.end(),
                                     [&](const Expr& d) { return structural_equal(d, e); });
    if (is_new) distinct.push_back(std::move(e));
  }
  Expr result = distinct.back();
  for (size_t i = distinct.size() - 1; i-- > 0;) {
    result = canonical(make_select(eq(distinct[i], make_int(1)), result, distinct[i]));
  }
  return result;
}

bool compares(const Expr& e, const Expr& x, const Expr& y) {
  return e->kind == ExprKind::eq &&
         ((structural_equal(e->args[0], x) && structural_equal(e->args[1], y)) ||
          (structural_equal(e->args[0], y) && structural_equal(e->args[1], x)));
}

bool compares_with_one(const Expr& e, const Expr& x) {
  return e->kind == ExprKind::eq &&
         ((is_const_int(e->args[1], 1) && structural_equal(e->args[0], x)) ||
          (is_const_int(e->args[0], 1) && structural_equal(e->args[1], x)));
}

// The parts of broadcastable(x, y), in any order; of a disjunction of more parts, some.
std::vector<const Expr*> parts_of(const Expr& condition) {
  std::vector<const Expr*> parts, open{&condition};
  while (!open.empty() && parts.size() <= num_parts) {
    const Expr& c = *open.back();
    open.pop_back();
    if (c->kind == ExprKind::logical_or) {
      for (const Expr& part : c->args) open.push_back(&part);
    } else {
      parts.push_back(&c);
    }
  }
  return parts;
}

// Is `condition` broadcastable(x, y), its parts in any order?
bool is_broadcastable(const Expr& condition, const Expr& x, const Expr& y) {
  const std::vector<const Expr*> parts = parts_of(condition);
  auto any = [&](auto&& is_it) {
    return std::any_of(parts.begin(), parts.end(), [&](const Expr* part) { return is_it(*part); });
  };
  return parts.size() == num_parts &&
         any([&](const Expr& part) { return compares_with_one(part, x); }) &&
         any([&](const Expr& part) { return compares_with_one(part, y); }) &&
         any([&](const Expr& part) { return compares(part, x, y); });
}

// Is it known of select(first == 1, rest, first) that the two broadcast?
bool known_to_broadcast(const Expr& e, const Facts& facts) {
  const Expr &is_one = e->args[0], &rest = e->args[1], &first = e->args[2];
  if (!compares_with_one(is_one, first)) return false;
  const KnownConditions& known = facts.known();
  auto is_known_of = [&](const ExprNode* symbol) {
    const std::vector<size_t> about = known.mentioning(symbol, max_scanned);
    return std::any_of(about.begin(), about.end(), [&](size_t i) {
      return is_broadcastable(known.entries()[i]->condition, first, rest);
    });
  };
  if (first->kind == ExprKind::var) return is_known_of(first.get());
  const std::vector<const ExprNode*> symbols = mentioned_symbols(first);
  return std::any_of(symbols.begin(), symbols.end(), is_known_of);
}

// Whether `operand` may be in the broadcasts that `x` is made of: a check says that it broadcasts
// with something else.
bool may_have_gone_into(const Expr& operand, const Expr& x, const Facts& facts) {
  if (x->kind != ExprKind::select && x->kind != ExprKind::var) return false;
  const KnownConditions& known = facts.known();
  auto is_elsewhere = [&](size_t i) {
    const Expr& condition = known.entries()[i]->condition;
    const std::vector<const Expr*> parts = parts_of(condition);
    return std::any_of(parts.begin(), parts.end(),
                       [&](const Expr* part) { return compares_with_one(*part, operand); }) &&
           !is_broadcastable(condition, operand, x);
  };
  const std::vector<const ExprNode*> symbols = mentioned_symbols(operand);
  return !symbols.empty() &&
         std::all_of(symbols.begin(), symbols.end(), [&](const ExprNode* symbol) {
           const std::vector<size_t> about = known.mentioning(symbol, max_scanned);
           return about.size() >= max_scanned ||
                  std::any_of(about.begin(), about.end(), is_elsewhere);
         });
}

// Whether `x` is a broadcast that `operand` went into, of names' definitions too, where the check
// of every one on the way is known: then `operand` is 1 or `x`, by induction over the broadcasts.
bool went_into_broadcast(const Expr& operand, const Expr& x, InferContext& context) {
  const Facts& facts = context.facts();
  if (!may_have_gone_into(operand, x, facts)) return false;
  FoundBroadcasts& found = context.found_broadcasts();
  const StepBudget budget(max_operands);
  std::vector<Expr> open{x};
  while (!open.empty() && spend_steps()) {
    const Expr e = std::move(open.back());
    open.pop_back();
    if (structural_equal(e, operand) || found.contains(operand, e)) {
      found.add(operand, x);
      return true;
    }
    if (const auto* v = as<VarNode>(e)) {
      if (Expr value = facts.definition(v)) open.push_back(std::move(value));
    } else if (e->kind == ExprKind::select && known_to_broadcast(e, facts)) {
      open.push_back(e->args[1]);
      open.push_back(e->args[2]);
    }
  }
  return false;
}

}  // namespace

Result<Dims> broadcast_shapes(InferContext& context, std::string_view op, const Dims& a,
                              const Dims& b) {
  const size_t rank = std::max(a.size(), b.size());
  const Expr one = make_int(1);
  Dims out;
  for (size_t i = 0; i < rank; ++i) {
    if (i + a.size() < rank) {
      out.push_back(b[i + b.size() - rank]);
      continue;
    }
    if (i + b.size() < rank) {
      out.push_back(a[i + a.size() - rank]);
      continue;
    }
    const Expr& x = a[i + a.size() - rank];
    const Expr& y = b[i + b.size() - rank];
    const Facts& facts = context.facts();
    if (went_into_broadcast(y, x, context)) {
      out.push_back(x);
      continue;
    }
    if (went_into_broadcast(x, y, context)) {
      out.push_back(y);
      continue;
    }
    if (prove_equal(x, y, facts) == Truth::yes) {
      // The simpler spelling reads better, and both mean the same.
      out.push_back(is_constant(y) ? y : x);
      continue;
    }
    if (is_const_int(x, 1) || is_const_int(y, 1)) {
      out.push_back(is_const_int(x, 1) ? y : x);
      continue;
    }
    const std::string message = fmt::format(
        "`{}`: dimension {} of the operands is {{0}} and {{1}}, which don't broadcast", op, i);
    auto result = [&](const Expr& condition, Expr dim) -> Result<void> {
      out.push_back(std::move(dim));
      return context.require(condition, message, {x, y});
    };
    const Truth x_is_one = prove_equal(x, one, facts), y_is_one = prove_equal(y, one, facts);
    Result<void> ok;
    if (x_is_one == Truth::yes || y_is_one == Truth::yes) {
      out.push_back(x_is_one == Truth::yes ? y : x);
    } else if (x_is_one == Truth::no && y_is_one == Truth::no) {
      ok = result(eq(x, y), is_constant(y) ? y : x);
    } else if (x_is_one == Truth::no) {
      ok = result(logical_or(eq(y, x), eq(y, one)), x);
    } else if (y_is_one == Truth::no) {
      ok = result(logical_or(eq(x, y), eq(x, one)), y);
    } else {
      Facts x_one = facts.about(eq(x, y)), y_one = x_one;
      x_one.assume(eq(x, one));
      y_one.assume(eq(y, one));
      if (prove_equal(x, y, x_one) == Truth::yes && prove_equal(x, y, y_one) == Truth::yes) {
        ok = result(eq(x, y), x);
      } else {
        ok = result(broadcastable(x, y), first_not_one(x, y));
      }
    }
    if (!ok.ok()) return ok.errors();
  }
  return out;
}

Expr broadcast_index(const Expr& dim, const Expr& out, const Expr& i) {
  if (structural_equal(dim, out)) return i;  // of extent 1 too: elementwise programs look alike
  if (is_const_int(dim, 1)) return make_int(0);
  // `out` is a known extent other than 1 that this one was checked against, or unknown.
  return make_select(eq(dim, make_int(1)), make_int(0), i);
}

Expr broadcast_load(const te::Tensor& t, const Dims& out, const te::Indices& indices) {
  te::Indices own;
  const size_t skip = out.size() - t.shape().size();
  for (size_t d = 0; d < t.shape().size(); ++d) {
    own.push_back(broadcast_index(t.shape()[d], out[d + skip], indices[d + skip]));
  }
  return t(own);
}

Result<void> require_equal(InferContext& context, std::string_view op, const Expr& a,
                           const std::string& what_a, const Expr& b, const std::string& what_b) {
  return context.require(eq(a, b),
                         fmt::format("`{}`: {} is {{0}}, {} is {{1}}", op, what_a, what_b), {a, b});
}

const Dims* shape_arg(const graph::CallNode& call, size_t i) {
  const auto* type = i < call.args.size() ? as<ShapeTypeNode>(call.args[i]->type) : nullptr;
  return type && type->dims ? &*type->dims : nullptr;
}

Expr prim_arg(const graph::CallNode& call, size_t i, DType dtype) {
  const auto* type = i < call.args.size() ? as<PrimTypeNode>(call.args[i]->type) : nullptr;
  return type && type->value ? make_cast(dtype, type->value) : nullptr;
}

bool has_arg(const graph::CallNode& call, size_t i) {
  return i < call.args.size() && call.args[i]->type && call.args[i]->type->kind != TypeKind::any;
}

std::optional<std::vector<int64_t>> optional_ints(const graph::CallNode& call,
                                                  std::string_view attr) {
  const Attr* value = call.attrs.find(attr);
  if (!value || value->is_none()) return std::nullopt;
  return call.attrs.get_ints(attr);
}

Diagnostic sign_error(const Span& span, std::string_view op, std::string_view what,
                      const Expr& step) {
  if (is_const_int(step, 0)) {
    return error(DiagnosticKind::bad_argument, span, "`{}`: the {} is 0", op, what);
  }
  return error(DiagnosticKind::unsupported_feature, span,
               "`{}`: the sign of the {} is not known when the model is compiled, which is not "
               "supported",
               op, what);
}

Result<std::vector<int64_t>> ints_per_dim(InferContext& context, const graph::CallNode& call,
                                          std::string_view attr, size_t count, int64_t least) {
  std::vector<int64_t> values = call.attrs.get_ints(attr);
  if (values.size() == 1) values.assign(count, values[0]);
  if (values.size() != count) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: attribute `{}` has {} values, expected 1 or {}", call.op->name, attr,
                 values.size(), count);
  }
  for (int64_t v : values) {
    if (v >= least) continue;
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: attribute `{}` has the value {}, expected at least {}", call.op->name, attr,
                 v, least);
  }
  return values;
}

Result<void> require_extents(InferContext& context, std::string_view op, const Dims& dims) {
  for (size_t i = 0; i < dims.size(); ++i) {
    REPOSE_REQUIRE(context.require(
        le(make_int(0), dims[i]),
        fmt::format("`{}`: dimension {} of the result is {{0}}, which is negative", op, i),
        {dims[i]}));
  }
  return {};
}

Result<void> require_rank(InferContext& context, const graph::CallNode& call, size_t i, int rank) {
  REPOSE_TRY(t, tensor_arg(context, call, i));
  if (t->rank < 0 || t->rank == rank) return {};
  return error(DiagnosticKind::rank_mismatch, context.span(),
               "`{}`: operand {} has rank {}, expected {}", call.op->name, i, t->rank, rank);
}

Type tensor_like(const TensorTypeNode& like, Dims shape, DType dtype) {
  return tensor_type(std::move(shape), dtype, {}, like.device);
}

Type ranked_like(const TensorTypeNode& like, int rank, DType dtype) {
  return tensor_type_of_rank(rank, dtype, like.device);
}

std::optional<std::vector<Expr>> elements_of_operand(const InferContext& context,
                                                     const graph::CallNode& call, const Type&) {
  const std::vector<Expr>* elements = context.elements_of(call.args[0]);
  return elements ? std::optional<std::vector<Expr>>(*elements) : std::nullopt;
}

Expr at_most(const Expr& value, const Expr& limit, const Facts& facts) {
  if (prove_le(value, limit, facts) == Truth::yes) return value;
  if (prove_le(limit, value, facts) == Truth::yes) return limit;
  return min(value, limit);
}

Expr at_least(const Expr& value, const Expr& limit, const Facts& facts) {
  if (prove_le(limit, value, facts) == Truth::yes) return value;
  if (prove_le(value, limit, facts) == Truth::yes) return limit;
  return max(value, limit);
}

Expr wrapped_index(const Expr& value, const Expr& dim) {
  Expr index = make_cast(dtypes::index, value);
  if (value->dtype.is_uint()) return index;
  return make_select(lt(index, make_int(0)), index + dim, index);
}

Expr checked_index(const Expr& value, const Expr& dim, std::string_view op) {
  return make_call(Intrinsic::check_index, dtypes::index,
                   {wrapped_index(value, dim), dim, make_string(std::string(op))});
}

Result<DType> common_dtype(InferContext& context, const graph::CallNode& call, size_t i, size_t j) {
  REPOSE_TRY(a, tensor_arg(context, call, i));
  REPOSE_TRY(b, tensor_arg(context, call, j));
  if (!a->dtype || !b->dtype) return DType{};
  if (a->dtype == b->dtype) return a->dtype;
  return error(DiagnosticKind::dtype_mismatch, context.span(),
               "`{}`: operand {} has dtype {}, operand {} has {}", call.op->name, i,
               a->dtype.to_string(), j, b->dtype.to_string());
}

Result<DType> dtype_arg(InferContext& context, const graph::CallNode& call, size_t i,
                        bool (*accept)(DType), const char* expected) {
  REPOSE_TRY(t, tensor_arg(context, call, i));
  if (!t->dtype || accept(t->dtype)) return t->dtype;
  return error(DiagnosticKind::dtype_mismatch, context.span(),
               "`{}`: operand {} has dtype {}, expected {}", call.op->name, i, t->dtype.to_string(),
               expected);
}

Result<int> normalize_axis(InferContext& context, std::string_view op, int64_t axis, int rank) {
  if (axis >= -rank && axis < rank) return static_cast<int>(axis < 0 ? axis + rank : axis);
  return error(DiagnosticKind::bad_attribute, context.span(),
               "`{}`: axis {} of a tensor of rank {}", op, axis, rank);
}

Result<std::vector<int>> normalize_axes(InferContext& context, std::string_view op,
                                        const std::vector<int64_t>& axes, int rank,
                                        bool empty_means_all) {
  std::vector<int> result;
  for (int64_t a : axes) {
    REPOSE_TRY(axis, normalize_axis(context, op, a, rank));
    if (std::find(result.begin(), result.end(), axis) != result.end()) {
      return error(DiagnosticKind::bad_attribute, context.span(), "`{}`: axis {} is given twice",
                   op, axis);
    }
    result.push_back(axis);
  }
  if (axes.empty() && empty_means_all) {
    for (int i = 0; i < rank; ++i) result.push_back(i);
  }
  std::sort(result.begin(), result.end());
  return result;
}

namespace {
const TensorTypeNode& result_tensor(const graph::CallNode& call, size_t i) {
  const auto* tuple = as<TupleTypeNode>(call.type);
  const auto* t = as<TensorTypeNode>(tuple ? tuple->fields.at(i) : call.type);
  REPOSE_CHECK(t && t->shape, "the result's shape is known where an operator is lowered");
  return *t;
}
}  // namespace

const Dims& result_shape(const graph::CallNode& call, size_t i) {
  return *result_tensor(call, i).shape;
}

DType result_dtype(const graph::CallNode& call, size_t i) {
  return result_tensor(call, i).dtype;
}

DType accumulator_dtype(DType dtype) {
  return dtype.is_float() && dtype.bits < 32 ? dtypes::float32 : dtype;
}

te::Tensor cast_stage(const te::Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  return te::compute(
      t.shape(), [&](const te::Indices& i) { return make_cast(dtype, t(i)); }, t->name + "_cast");
}

std::vector<int> axes_of(const graph::CallNode& call, std::string_view attr, int rank) {
  std::vector<int> axes;
  if (const auto given = optional_ints(call, attr)) {
    for (int64_t a : *given) axes.push_back(static_cast<int>(a < 0 ? a + rank : a));
    std::sort(axes.begin(), axes.end());
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  return axes;
}

Expr extent_of(const Dims& shape, const std::vector<int>& axes) {
  Expr extent = make_int(1);
  for (int a : axes) extent = extent * shape[static_cast<size_t>(a)];
  return canonical(extent);
}

}  // namespace repose
