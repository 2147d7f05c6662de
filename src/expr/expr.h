// Scalar expressions: one immutable language for shapes, loop extents, buffer subscripts, offsets,
// run-time checks and the arithmetic of tensor programs.
//
// A node is a kind, a dtype, arguments and, for a few kinds, a payload. Build nodes with the
// functions below: they check dtypes (REPOSE_CHECK) and fold constants, nothing more; facts.h
// brings index expressions into canonical form.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/diagnostic.h"
#include "base/dtype.h"
#include "base/ref.h"

namespace repose {

enum class ExprKind : uint8_t {
#define EXPR(name) name,
#define EXPR_BINARY(name, spelling) name,
#define EXPR_COMPARE(name, spelling) name,
#define EXPR_LOGIC(name, spelling) name,
#include "expr/expr_kinds.def"
};

enum class Intrinsic : uint8_t {
#define INTRINSIC(name, arity, pure) name,
#include "expr/intrinsics.def"
#undef INTRINSIC
};

const char* kind_spelling(ExprKind kind);         // "+", "floor_div" as "//", "select", …
const char* intrinsic_name(Intrinsic intrinsic);  // "exp"
int intrinsic_arity(Intrinsic intrinsic);
bool intrinsic_is_pure(Intrinsic intrinsic);
bool find_intrinsic(std::string_view name, Intrinsic* found);

bool is_binary(ExprKind kind);   // arithmetic, min, max, bits, shifts
bool is_compare(ExprKind kind);  // eq … ge
bool is_logic(ExprKind kind);    // and, or

class ExprNode;
using Expr = Ref<const ExprNode>;

class ExprNode : public RefCounted {
 public:
  const ExprKind kind;
  const DType dtype;
  const std::vector<Expr> args;

  // Structural; variables and buffers count by identity. Cached.
  uint64_t hash() const { return hash_; }

 protected:
  ExprNode(ExprKind kind, DType dtype, std::vector<Expr> args, uint64_t payload_hash);
  friend Expr make_plain(ExprKind kind, DType dtype, std::vector<Expr> args);

 private:
  uint64_t hash_;
};

struct IntImmNode : ExprNode {
  const int64_t value;  // uint64 constants above INT64_MAX: the same bits
  IntImmNode(int64_t value, DType dtype);
  static constexpr ExprKind static_kind = ExprKind::int_imm;
};

struct FloatImmNode : ExprNode {
  const double value;  // already rounded to the dtype
  FloatImmNode(double value, DType dtype);
  static constexpr ExprKind static_kind = ExprKind::float_imm;
};

struct StringImmNode : ExprNode {
  const std::string value;
  explicit StringImmNode(std::string value);
  static constexpr ExprKind static_kind = ExprKind::string_imm;
};

// What a variable stands for. Dimension symbols are >= 0 by definition; value symbols are signed.
enum class VarRole : uint8_t { dimension, value, loop, let, handle };

// Identity is the node; `name` is only for printing, `id` (creation order) only for a stable order.
struct VarNode : ExprNode {
  const std::string name;
  const VarRole role;
  const uint64_t id;
  VarNode(std::string name, DType dtype, VarRole role);
  static constexpr ExprKind static_kind = ExprKind::var;
};
using Var = Ref<const VarNode>;

// Where a buffer lives. local: registers or the thread's stack; workspace: the kernel's scratch.
enum class Scope : uint8_t { global, local, shared, workspace };
const char* scope_name(Scope scope);

// A typed array in memory. Identity is the node. Strides are in elements; empty means compact
// (row-major). `offset_elems` may be null (zero). An element's address is
// data + sizeof(dtype) * (offset_elems + sum(index[i] * stride[i])).
struct BufferNode : RefCounted {
  const std::string name;
  const DType dtype;
  const std::vector<Expr> shape;
  const std::vector<Expr> strides;
  const Expr offset_elems;
  const Scope scope;
  const int align_bytes;  // of the data; 0: the dtype's size
  const uint64_t id;
  BufferNode(std::string name, DType dtype, std::vector<Expr> shape, std::vector<Expr> strides,
             Expr offset_elems, Scope scope, int align_bytes);
};
using Buffer = Ref<const BufferNode>;

Buffer make_buffer(std::string name, std::vector<Expr> shape, DType dtype,
                   Scope scope = Scope::global, std::vector<Expr> strides = {},
                   Expr offset_elems = nullptr, int align_bytes = 0);

struct LoadNode : ExprNode {  // args: one index per dimension; a ramp in the last makes a vector
  const Buffer buffer;
  LoadNode(Buffer buffer, const std::vector<Expr>& indices);
  static constexpr ExprKind static_kind = ExprKind::load;
};

struct CallNode : ExprNode {
  const Intrinsic intrinsic;
  const std::string name;  // of the function, for calls by name; else empty
  CallNode(Intrinsic intrinsic, DType dtype, std::vector<Expr> args, std::string name);
  static constexpr ExprKind static_kind = ExprKind::call;
};

// The node as a T, or null if it is of another kind.
template <class T>
const T* as(const Expr& e) {
  return e && e->kind == T::static_kind ? static_cast<const T*>(e.get()) : nullptr;
}

inline bool is_scalar_index(const Expr& e) {
  return e->dtype == dtypes::index;
}

// ---- Construction ------------------------------------------------------------------------------

Expr make_int(int64_t value, DType dtype = dtypes::index);  // wraps to the dtype; lanes broadcast
Expr make_bool(bool value);
Expr make_float(double value, DType dtype);  // rounds to the dtype
Expr make_const(DType dtype, double value);  // of any arithmetic dtype
Expr make_string(std::string value);
Var make_var(std::string name, DType dtype = dtypes::index, VarRole role = VarRole::dimension);

// Operands have the same dtype (for shifts too). A scalar next to a vector is broadcast. Folds two
// constants, and for index operands x + 0, x - 0, x * 1, x * 0, x // 1, x % 1.
Expr make_binary(ExprKind kind, Expr a, Expr b);
Expr make_not(Expr a);  // of a bool
Expr make_bit_not(Expr a);
Expr make_select(Expr condition, Expr a, Expr b);
Expr make_if_then_else(Expr condition, Expr a, Expr b);
Expr make_cast(DType dtype, Expr value);  // returns `value` if it has that dtype already
Expr make_load(Buffer buffer, std::vector<Expr> indices);
Expr make_call(Intrinsic intrinsic, DType dtype, std::vector<Expr> args, std::string name = "");
Expr make_call(Intrinsic intrinsic, Expr a);  // result dtype: the operand's
Expr make_call(Intrinsic intrinsic, Expr a, Expr b);
Expr make_ramp(Expr base, Expr stride, int lanes);
Expr make_broadcast(Expr value, int lanes);
// A node of the same kind, dtype and payload with other args: the same pointer if they are the same
// pointers; folds like the functions above.
Expr with_args(const Expr& e, std::vector<Expr> args);

inline Expr operator+(Expr a, Expr b) {
  return make_binary(ExprKind::add, std::move(a), std::move(b));
}
inline Expr operator-(Expr a, Expr b) {
  return make_binary(ExprKind::sub, std::move(a), std::move(b));
}
inline Expr operator*(Expr a, Expr b) {
  return make_binary(ExprKind::mul, std::move(a), std::move(b));
}
// Integer literals take the dtype of the other operand.
inline Expr operator+(Expr a, int64_t b) {
  Expr c = make_int(b, a->dtype);
  return std::move(a) + std::move(c);
}
inline Expr operator-(Expr a, int64_t b) {
  Expr c = make_int(b, a->dtype);
  return std::move(a) - std::move(c);
}
inline Expr operator*(Expr a, int64_t b) {
  Expr c = make_int(b, a->dtype);
  return std::move(a) * std::move(c);
}
inline Expr floor_div(Expr a, Expr b) {
  return make_binary(ExprKind::floor_div, std::move(a), std::move(b));
}
inline Expr floor_mod(Expr a, Expr b) {
  return make_binary(ExprKind::floor_mod, std::move(a), std::move(b));
}
inline Expr ceil_div(Expr a, Expr b) {
  return floor_div(a + (b - make_int(1, b->dtype)), b);
}
inline Expr min(Expr a, Expr b) {
  return make_binary(ExprKind::min, std::move(a), std::move(b));
}
inline Expr max(Expr a, Expr b) {
  return make_binary(ExprKind::max, std::move(a), std::move(b));
}
inline Expr eq(Expr a, Expr b) {
  return make_binary(ExprKind::eq, std::move(a), std::move(b));
}
inline Expr ne(Expr a, Expr b) {
  return make_binary(ExprKind::ne, std::move(a), std::move(b));
}
inline Expr lt(Expr a, Expr b) {
  return make_binary(ExprKind::lt, std::move(a), std::move(b));
}
inline Expr le(Expr a, Expr b) {
  return make_binary(ExprKind::le, std::move(a), std::move(b));
}
inline Expr logical_and(Expr a, Expr b) {
  return make_binary(ExprKind::logical_and, std::move(a), std::move(b));
}
inline Expr logical_or(Expr a, Expr b) {
  return make_binary(ExprKind::logical_or, std::move(a), std::move(b));
}

// ---- Queries and rewriting ---------------------------------------------------------------------

bool is_const_int(const Expr& e, int64_t value);   // an int_imm of that value
bool as_const_int(const Expr& e, int64_t* value);  // an int_imm's value
bool is_constant(const Expr& e);                   // int_imm or float_imm
// Structure; variables and buffers by identity. Iterative over long chains; hash first.
bool structural_equal(const Expr& a, const Expr& b);
// A total order that doesn't depend on addresses: kind, payload, names, creation order.
int compare(const Expr& a, const Expr& b);
// Every variable that occurs, in order of first occurrence (buffers' shapes not included).
std::vector<Var> free_vars(const Expr& e);
bool uses_var(const Expr& e, const Var& v);
// The number of nodes, shared ones as often as they stand in the text; `most` where there are more.
size_t tree_size(const Expr& e, size_t most);
// Calls `visit` on every node, parents first; a false result skips the node's arguments.
void visit(const Expr& e, const std::function<bool(const Expr&)>& visit);

using VarMap = std::unordered_map<const VarNode*, Expr>;
Expr substitute(const Expr& e, const VarMap& map);
// Bottom-up: `rewrite` sees each node after its arguments were rewritten, and returns it or another
// one. The same pointer comes back where nothing changed. Shared nodes are rewritten once.
Expr rewrite(const Expr& e, const std::function<Expr(const Expr&)>& rewrite);

// Text in the syntax of docs/ir.md, names as they are: "m * 224", "T.min(a, b)".
std::string to_string(const Expr& e);
std::string to_string(const std::vector<Expr>& list);  // "(m, 224)"; one element: "(m,)"

}  // namespace repose
