// Nodes of scalar expressions: construction with constant folding, equality, order, rewriting.
#include "expr/expr.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <unordered_set>

#include "expr/scalar.h"

namespace repose {

namespace {

uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t x = seed ^ (value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2));
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

uint64_t next_id() {
  static std::atomic<uint64_t> counter{0};  // identity only; nothing depends on its value but order
  return counter.fetch_add(1, std::memory_order_relaxed);
}

DType load_dtype(const Buffer& buffer, const std::vector<Expr>& indices) {
  int lanes = 1;
  for (const Expr& i : indices) lanes = std::max<int>(lanes, i->dtype.lanes);
  return buffer->dtype.with_lanes(lanes);
}

}  // namespace

const char* kind_spelling(ExprKind kind) {
  switch (kind) {
#define EXPR(name)     \
  case ExprKind::name: \
    return #name;
#define EXPR_BINARY(name, spelling) \
  case ExprKind::name:              \
    return spelling;
#define EXPR_COMPARE(name, spelling) \
  case ExprKind::name:               \
    return spelling;
#define EXPR_LOGIC(name, spelling) \
  case ExprKind::name:             \
    return spelling;
#include "expr/expr_kinds.def"
  }
  return "?";
}

namespace {
struct IntrinsicInfo {
  const char* name;
  int arity;
  bool pure;
};
constexpr IntrinsicInfo intrinsic_table[] = {
#define INTRINSIC(name, arity, pure) {#name, arity, pure},
#include "expr/intrinsics.def"
#undef INTRINSIC
};
}  // namespace

const char* intrinsic_name(Intrinsic i) {
  return intrinsic_table[static_cast<int>(i)].name;
}
int intrinsic_arity(Intrinsic i) {
  return intrinsic_table[static_cast<int>(i)].arity;
}
bool intrinsic_is_pure(Intrinsic i) {
  return intrinsic_table[static_cast<int>(i)].pure;
}
bool find_intrinsic(std::string_view name, Intrinsic* found) {
  for (size_t i = 0; i < std::size(intrinsic_table); ++i) {
    if (intrinsic_table[i].name == name) {
      *found = static_cast<Intrinsic>(i);
      return true;
    }
  }
  return false;
}

bool is_binary(ExprKind kind) {
  return kind >= ExprKind::add && kind <= ExprKind::shift_right;
}
bool is_compare(ExprKind kind) {
  return kind >= ExprKind::eq && kind <= ExprKind::ge;
}
bool is_logic(ExprKind kind) {
  return kind >= ExprKind::logical_and;
}

const char* scope_name(Scope scope) {
  switch (scope) {
    case Scope::global:
      return "global";
    case Scope::local:
      return "local";
    case Scope::shared:
      return "shared";
    case Scope::workspace:
      return "workspace";
  }
  return "?";
}

ExprNode::ExprNode(ExprKind kind, DType dtype, std::vector<Expr> args, uint64_t payload_hash)
    : kind(kind), dtype(dtype), args(std::move(args)) {
  uint64_t h = mix(static_cast<uint64_t>(kind), std::hash<DType>()(dtype));
  h = mix(h, payload_hash);
  for (const Expr& a : this->args) {
    REPOSE_CHECK(a != nullptr, "null operand");
    h = mix(h, a->hash());
  }
  hash_ = h;
}

IntImmNode::IntImmNode(int64_t value, DType dtype)
    : ExprNode(ExprKind::int_imm, dtype, {}, static_cast<uint64_t>(value)), value(value) {}
FloatImmNode::FloatImmNode(double value, DType dtype)
    : ExprNode(ExprKind::float_imm, dtype, {}, std::bit_cast<uint64_t>(value)), value(value) {}
StringImmNode::StringImmNode(std::string value)
    : ExprNode(ExprKind::string_imm, dtypes::handle, {}, std::hash<std::string>()(value)),
      value(std::move(value)) {}

// Identity takes part in the hash as the id would; two nodes never share one.
VarNode::VarNode(std::string name, DType dtype, VarRole role)
    : ExprNode(ExprKind::var, dtype, {}, reinterpret_cast<uintptr_t>(this)),
      name(std::move(name)),
      role(role),
      id(next_id()) {}

BufferNode::BufferNode(std::string name, DType dtype, std::vector<Expr> shape,
                       std::vector<Expr> strides, Expr offset_elems, Scope scope, int align_bytes)
    : name(std::move(name)),
      dtype(dtype),
      shape(std::move(shape)),
      strides(std::move(strides)),
      offset_elems(std::move(offset_elems)),
      scope(scope),
      align_bytes(align_bytes),
      id(next_id()) {
  REPOSE_CHECK(this->strides.empty() || this->strides.size() == this->shape.size(),
               "one stride per dimension");
}

Buffer make_buffer(std::string name, std::vector<Expr> shape, DType dtype, Scope scope,
                   std::vector<Expr> strides, Expr offset_elems, int align_bytes) {
  return make_ref<BufferNode>(std::move(name), dtype, std::move(shape), std::move(strides),
                              std::move(offset_elems), scope, align_bytes);
}

// The indices are copied: a move could come before the dtype is computed from them.
LoadNode::LoadNode(Buffer buffer, const std::vector<Expr>& indices)
    : ExprNode(ExprKind::load, load_dtype(buffer, indices), indices,
               reinterpret_cast<uintptr_t>(buffer.get())),
      buffer(std::move(buffer)) {
  REPOSE_CHECK(args.size() == this->buffer->shape.size(), "one index per dimension");
}

CallNode::CallNode(Intrinsic intrinsic, DType dtype, std::vector<Expr> args, std::string name)
    : ExprNode(ExprKind::call, dtype, std::move(args),
               mix(static_cast<uint64_t>(intrinsic), std::hash<std::string>()(name))),
      intrinsic(intrinsic),
      name(std::move(name)) {}

Expr make_plain(ExprKind kind, DType dtype, std::vector<Expr> args) {
  return Expr(new ExprNode(kind, dtype, std::move(args), 0));
}

Expr make_int(int64_t value, DType dtype) {
  if (dtype.is_vector()) return make_broadcast(make_int(value, dtype.element()), dtype.lanes);
  REPOSE_CHECK(dtype.is_any_int() || dtype.is_bool(), "an integer constant has an integer dtype");
  return make_ref<IntImmNode>(Scalar::of_int(value, dtype).i, dtype);
}

Expr make_bool(bool value) {
  return make_ref<IntImmNode>(value ? 1 : 0, dtypes::boolean);
}

Expr make_float(double value, DType dtype) {
  if (dtype.is_vector()) return make_broadcast(make_float(value, dtype.element()), dtype.lanes);
  REPOSE_CHECK(dtype.is_float(), "a floating-point constant has a floating-point dtype");
  return make_ref<FloatImmNode>(Scalar::of_float(value, dtype).f, dtype);
}

Expr make_const(DType dtype, double value) {
  return dtype.is_float() ? make_float(value, dtype) : make_int(static_cast<int64_t>(value), dtype);
}

Expr make_string(std::string value) {
  return make_ref<StringImmNode>(std::move(value));
}

Var make_var(std::string name, DType dtype, VarRole role) {
  return make_ref<VarNode>(std::move(name), dtype, role);
}

namespace {

bool to_scalar(const Expr& e, Scalar* out) {
  if (const auto* i = as<IntImmNode>(e)) {
    *out = Scalar{e->dtype, i->value, 0};
    return true;
  }
  if (const auto* f = as<FloatImmNode>(e)) {
    *out = Scalar{e->dtype, 0, f->value};
    return true;
  }
  return false;
}

void match_lanes(Expr& a, Expr& b) {
  if (a->dtype.lanes == b->dtype.lanes) return;
  if (a->dtype.lanes == 1) a = make_broadcast(a, b->dtype.lanes);
  if (b->dtype.lanes == 1) b = make_broadcast(b, a->dtype.lanes);
}

// Identities of mathematical integers that keep shapes short while they are built.
Expr fold_index(ExprKind kind, const Expr& a, const Expr& b) {
  switch (kind) {
    case ExprKind::add:
      if (is_const_int(a, 0)) return b;
      if (is_const_int(b, 0)) return a;
      break;
    case ExprKind::sub:
      if (is_const_int(b, 0)) return a;
      break;
    case ExprKind::mul:
      if (is_const_int(a, 1) || is_const_int(b, 0)) return b;
      if (is_const_int(b, 1) || is_const_int(a, 0)) return a;
      break;
    case ExprKind::floor_div:
      if (is_const_int(b, 1)) return a;
      break;
    case ExprKind::floor_mod:
      if (is_const_int(b, 1)) return make_int(0);
      break;
    default:
      break;
  }
  return nullptr;
}

}  // namespace

Expr make_binary(ExprKind kind, Expr a, Expr b) {
  REPOSE_CHECK(is_binary(kind) || is_compare(kind) || is_logic(kind), "not a binary operator");
  match_lanes(a, b);
  REPOSE_CHECK(a->dtype == b->dtype,
               fmt::format("operands of `{}` have dtypes {} and {}", kind_spelling(kind),
                           a->dtype.to_string(), b->dtype.to_string()));
  Scalar x, y;
  if (to_scalar(a, &x) && to_scalar(b, &y)) {
    if (auto value = eval_binary(kind, x, y)) return to_expr(*value);
  }
  if (a->dtype == dtypes::index) {
    if (Expr folded = fold_index(kind, a, b)) return folded;
  }
  DType dtype = is_binary(kind) ? a->dtype : dtypes::boolean.with_lanes(a->dtype.lanes);
  return make_plain(kind, dtype, {std::move(a), std::move(b)});
}

Expr make_not(Expr a) {
  REPOSE_CHECK(a->dtype.is_bool(), "`not` of a bool");
  if (const auto* i = as<IntImmNode>(a)) return make_bool(i->value == 0);
  DType dtype = a->dtype;
  return make_plain(ExprKind::logical_not, dtype, {std::move(a)});
}

Expr make_bit_not(Expr a) {
  if (const auto* i = as<IntImmNode>(a)) return make_int(~i->value, a->dtype);
  DType dtype = a->dtype;
  return make_plain(ExprKind::bit_not, dtype, {std::move(a)});
}

namespace {
Expr make_choice(ExprKind kind, Expr condition, Expr a, Expr b) {
  REPOSE_CHECK(condition->dtype.is_bool(), "a condition is a bool");
  match_lanes(a, b);
  if (condition->dtype.is_vector() && !a->dtype.is_vector()) {
    a = make_broadcast(a, condition->dtype.lanes);
    b = make_broadcast(b, condition->dtype.lanes);
  }
  REPOSE_CHECK(a->dtype == b->dtype, "both sides of a selection have one dtype");
  if (const auto* c = as<IntImmNode>(condition)) return c->value ? a : b;
  if (structural_equal(a, b)) return a;
  DType dtype = a->dtype;
  return make_plain(kind, dtype, {std::move(condition), std::move(a), std::move(b)});
}
}  // namespace

Expr make_select(Expr condition, Expr a, Expr b) {
  return make_choice(ExprKind::select, std::move(condition), std::move(a), std::move(b));
}
Expr make_if_then_else(Expr condition, Expr a, Expr b) {
  return make_choice(ExprKind::if_then_else, std::move(condition), std::move(a), std::move(b));
}

Expr make_cast(DType dtype, Expr value) {
  if (value->dtype == dtype) return value;
  if (dtype.lanes != value->dtype.lanes) {
    REPOSE_CHECK(value->dtype.lanes == 1, "a cast keeps the number of lanes");
    return make_broadcast(make_cast(dtype.element(), std::move(value)), dtype.lanes);
  }
  Scalar x;
  if (to_scalar(value, &x)) {
    if (auto folded = eval_cast(dtype, x)) return to_expr(*folded);
  }
  return make_plain(ExprKind::cast, dtype, {std::move(value)});
}

Expr make_load(Buffer buffer, std::vector<Expr> indices) {
  return make_ref<LoadNode>(std::move(buffer), std::move(indices));
}

Expr make_call(Intrinsic intrinsic, DType dtype, std::vector<Expr> args, std::string name) {
  int arity = intrinsic_arity(intrinsic);
  REPOSE_CHECK(arity < 0 || static_cast<size_t>(arity) == args.size(),
               fmt::format("`{}` takes {} arguments", intrinsic_name(intrinsic), arity));
  if (intrinsic_is_pure(intrinsic) && !args.empty() && args.size() <= 3) {
    std::array<Scalar, 3> values;
    bool all = true;
    for (size_t i = 0; i < args.size(); ++i) all = all && to_scalar(args[i], &values[i]);
    if (all) {
      if (auto v = eval_intrinsic(intrinsic, dtype, values.data(), static_cast<int>(args.size()))) {
        return to_expr(*v);
      }
    }
  }
  return make_ref<CallNode>(intrinsic, dtype, std::move(args), std::move(name));
}

Expr make_call(Intrinsic intrinsic, Expr a) {
  DType dtype = a->dtype;
  if (intrinsic == Intrinsic::isnan || intrinsic == Intrinsic::isinf ||
      intrinsic == Intrinsic::isfinite) {
    dtype = dtypes::boolean.with_lanes(dtype.lanes);
  }
  if (intrinsic >= Intrinsic::vector_reduce_add && intrinsic <= Intrinsic::vector_reduce_max) {
    dtype = dtype.element();
  }
  return make_call(intrinsic, dtype, std::vector<Expr>{std::move(a)});
}

Expr make_call(Intrinsic intrinsic, Expr a, Expr b) {
  match_lanes(a, b);
  REPOSE_CHECK(a->dtype == b->dtype, "operands have one dtype");
  DType dtype = a->dtype;
  return make_call(intrinsic, dtype, std::vector<Expr>{std::move(a), std::move(b)});
}

Expr make_ramp(Expr base, Expr stride, int lanes) {
  if (lanes == 1) return base;
  REPOSE_CHECK(base->dtype == stride->dtype && base->dtype.lanes == 1, "a ramp is made of scalars");
  DType dtype = base->dtype.with_lanes(lanes);
  return make_plain(ExprKind::ramp, dtype, {std::move(base), std::move(stride)});
}

Expr make_broadcast(Expr value, int lanes) {
  if (lanes == 1) return value;
  REPOSE_CHECK(value->dtype.lanes == 1, "a broadcast repeats a scalar");
  DType dtype = value->dtype.with_lanes(lanes);
  return make_plain(ExprKind::broadcast, dtype, {std::move(value)});
}

Expr with_args(const Expr& e, std::vector<Expr> args) {
  if (args.size() == e->args.size() &&
      std::equal(args.begin(), args.end(), e->args.begin(),
                 [](const Expr& a, const Expr& b) { return a == b; })) {
    return e;
  }
  switch (e->kind) {
    case ExprKind::int_imm:
    case ExprKind::float_imm:
    case ExprKind::string_imm:
    case ExprKind::var:
      return e;
    case ExprKind::load:
      return make_load(as<LoadNode>(e)->buffer, std::move(args));
    case ExprKind::call: {
      const auto* c = as<CallNode>(e);
      DType dtype = e->dtype;
      // Vectorising the operands vectorises the call.
      if (!args.empty() && !e->args.empty() && intrinsic_is_pure(c->intrinsic) &&
          !(c->intrinsic >= Intrinsic::vector_reduce_add &&
            c->intrinsic <= Intrinsic::vector_reduce_max)) {
        int lanes = 1;
        for (const Expr& a : args) lanes = std::max<int>(lanes, a->dtype.lanes);
        if (lanes != dtype.lanes) dtype = dtype.with_lanes(lanes);
        for (Expr& a : args) {
          const bool repeated = a->dtype.lanes == 1 && lanes > 1 && !a->dtype.is_handle();
          if (repeated) a = make_broadcast(a, lanes);
        }
      }
      return make_call(c->intrinsic, dtype, std::move(args), c->name);
    }
    case ExprKind::cast: {
      DType dtype = e->dtype.with_lanes(args[0]->dtype.lanes);
      return make_cast(dtype, std::move(args[0]));
    }
    case ExprKind::logical_not:
      return make_not(std::move(args[0]));
    case ExprKind::bit_not:
      return make_bit_not(std::move(args[0]));
    case ExprKind::select:
      return make_select(std::move(args[0]), std::move(args[1]), std::move(args[2]));
    case ExprKind::if_then_else:
      return make_if_then_else(std::move(args[0]), std::move(args[1]), std::move(args[2]));
    case ExprKind::ramp:
      return make_ramp(std::move(args[0]), std::move(args[1]), e->dtype.lanes);
    case ExprKind::broadcast:
      return make_broadcast(std::move(args[0]), e->dtype.lanes);
    default:
      return make_binary(e->kind, std::move(args[0]), std::move(args[1]));
  }
}

bool is_const_int(const Expr& e, int64_t value) {
  const auto* i = as<IntImmNode>(e);
  return i && i->value == value;
}

bool as_const_int(const Expr& e, int64_t* value) {
  const auto* i = as<IntImmNode>(e);
  if (i) *value = i->value;
  return i != nullptr;
}

bool is_constant(const Expr& e) {
  return e->kind == ExprKind::int_imm || e->kind == ExprKind::float_imm;
}

namespace {

int three_way(auto a, auto b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

int compare_payload(const Expr& a, const Expr& b) {
  switch (a->kind) {
    case ExprKind::int_imm:
      return three_way(as<IntImmNode>(a)->value, as<IntImmNode>(b)->value);
    case ExprKind::float_imm:
      return three_way(std::bit_cast<int64_t>(as<FloatImmNode>(a)->value),
                       std::bit_cast<int64_t>(as<FloatImmNode>(b)->value));
    case ExprKind::string_imm:
      return as<StringImmNode>(a)->value.compare(as<StringImmNode>(b)->value);
    case ExprKind::var: {
      const auto *x = as<VarNode>(a), *y = as<VarNode>(b);
      if (int c = x->name.compare(y->name)) return c;
      return three_way(x->id, y->id);
    }
    case ExprKind::load: {
      const auto *x = as<LoadNode>(a), *y = as<LoadNode>(b);
      if (int c = x->buffer->name.compare(y->buffer->name)) return c;
      return three_way(x->buffer->id, y->buffer->id);
    }
    case ExprKind::call: {
      const auto *x = as<CallNode>(a), *y = as<CallNode>(b);
      if (int c = three_way(static_cast<int>(x->intrinsic), static_cast<int>(y->intrinsic))) {
        return c;
      }
      return x->name.compare(y->name);
    }
    default:
      return 0;
  }
}

// Compares a and b without their arguments.
int compare_node(const Expr& a, const Expr& b) {
  if (int c = three_way(static_cast<int>(a->kind), static_cast<int>(b->kind))) return c;
  size_t x = std::hash<DType>()(a->dtype), y = std::hash<DType>()(b->dtype);
  if (int c = three_way(x, y)) return c;
  if (int c = compare_payload(a, b)) return c;
  return three_way(a->args.size(), b->args.size());
}

}  // namespace

int compare(const Expr& a, const Expr& b) {
  if (a == b) return 0;
  if (int c = compare_node(a, b)) return c;
  if (a->args.empty()) return 0;
  std::vector<std::pair<const Expr*, const Expr*>> stack{{&a, &b}};
  while (!stack.empty()) {
    auto [x, y] = stack.back();
    stack.pop_back();
    if (*x == *y) continue;
    if (int c = compare_node(*x, *y)) return c;
    for (size_t i = (*x)->args.size(); i-- > 0;) stack.emplace_back(&(*x)->args[i], &(*y)->args[i]);
  }
  return 0;
}

bool structural_equal(const Expr& a, const Expr& b) {
  if (a == b) return true;
  if (!a || !b || a->hash() != b->hash()) return false;
  return compare(a, b) == 0;
}

void visit(const Expr& e, const std::function<bool(const Expr&)>& visit) {
  std::vector<Expr> stack{e};
  while (!stack.empty()) {
    Expr top = std::move(stack.back());
    stack.pop_back();
    if (!visit(top)) continue;
    for (size_t i = top->args.size(); i-- > 0;) stack.push_back(top->args[i]);
  }
}

std::vector<Var> free_vars(const Expr& e) {
  std::vector<Var> result;
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    if (!seen.insert(node.get()).second) return false;
    if (const auto* v = as<VarNode>(node)) result.emplace_back(Var(v));
    return true;
  });
  return result;
}

bool uses_var(const Expr& e, const Var& v) {
  bool found = false;
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    if (found || !seen.insert(node.get()).second) return false;
    found = node == v;
    return !found;
  });
  return found;
}

size_t tree_size(const Expr& e, size_t most) {
  size_t count = 0;
  visit(e, [&](const Expr&) { return ++count < most; });
  return std::min(count, most);
}

namespace {
struct Rewriter {
  const std::function<Expr(const Expr&)>& fn;
  std::unordered_map<const ExprNode*, Expr> done;

  Expr run(const Expr& e) {
    if (auto it = done.find(e.get()); it != done.end()) return it->second;
    std::vector<Expr> args;
    args.reserve(e->args.size());
    for (const Expr& a : e->args) args.push_back(run(a));
    Expr result = fn(with_args(e, std::move(args)));
    done.emplace(e.get(), result);
    return result;
  }
};
}  // namespace

Expr rewrite(const Expr& e, const std::function<Expr(const Expr&)>& fn) {
  return Rewriter{fn, {}}.run(e);
}

Expr substitute(const Expr& e, const VarMap& map) {
  if (map.empty()) return e;
  return rewrite(e, [&](const Expr& node) -> Expr {
    if (const auto* v = as<VarNode>(node)) {
      if (auto it = map.find(v); it != map.end()) return it->second;
    }
    return node;
  });
}

}  // namespace repose
