// Types of graph values: what is known about a value before the program runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "expr/expr.h"
#include "expr/facts.h"

namespace repose {

enum class TypeKind : uint8_t { tensor, shape, prim, tuple, function, any };

struct TypeNode : RefCounted {
  const TypeKind kind;

 protected:
  explicit TypeNode(TypeKind kind) : kind(kind) {}
};
using Type = Ref<const TypeNode>;
using Dims = std::vector<Expr>;

// A tensor. Dimensions are index expressions in canonical form; a shape that is not known has a
// rank (or -1), a dtype that is not known is DType none. `strides` (in elements) is empty where the
// tensor is compact. `device` names a vdevice of the module, or is empty.
struct TensorTypeNode : TypeNode {
  std::optional<Dims> shape;
  int rank = -1;
  DType dtype;
  Dims strides;
  std::string device;
  TensorTypeNode() : TypeNode(TypeKind::tensor) {}
  static constexpr TypeKind static_kind = TypeKind::tensor;
};

struct ShapeTypeNode : TypeNode {  // a shape as a value: its members, or their number, or -1
  std::optional<Dims> dims;
  int rank = -1;
  ShapeTypeNode() : TypeNode(TypeKind::shape) {}
  static constexpr TypeKind static_kind = TypeKind::shape;
};

struct PrimTypeNode : TypeNode {  // a scalar; `value` is null where it is not known
  DType dtype;
  Expr value;
  PrimTypeNode() : TypeNode(TypeKind::prim) {}
  static constexpr TypeKind static_kind = TypeKind::prim;
};

struct TupleTypeNode : TypeNode {
  std::vector<Type> fields;
  TupleTypeNode() : TypeNode(TypeKind::tuple) {}
  static constexpr TypeKind static_kind = TypeKind::tuple;
};

// Symbols that occur bare in `params` are bound by a call; others in `result` are fresh in each.
struct FunctionTypeNode : TypeNode {
  bool opaque = false;  // parameters unknown
  std::vector<Type> params;
  Type result;
  bool pure = true;
  FunctionTypeNode() : TypeNode(TypeKind::function) {}
  static constexpr TypeKind static_kind = TypeKind::function;
};

struct AnyTypeNode : TypeNode {
  AnyTypeNode() : TypeNode(TypeKind::any) {}
  static constexpr TypeKind static_kind = TypeKind::any;
};

template <class T>
const T* as(const Type& t) {
  return t && t->kind == T::static_kind ? static_cast<const T*>(t.get()) : nullptr;
}

// Construction; dimensions are brought into canonical form.
Type tensor_type(Dims shape, DType dtype, Dims strides = {}, std::string device = "");
Type tensor_type_of_rank(int rank, DType dtype, std::string device = "");  // rank -1: unknown
Type shape_type(Dims dims);
Type shape_type_of_rank(int rank);
Type prim_type(DType dtype);
Type prim_type_of(Expr value);
Type tuple_type(std::vector<Type> fields);
Type void_type();  // the empty tuple
Type function_type(std::vector<Type> params, Type result, bool pure);
Type opaque_function_type(Type result, bool pure);  // any parameters
Type any_type();

// Every expression in the type is substituted; the same pointer if nothing changed.
Type substitute(const Type& t, const VarMap& map);
Type rewrite_exprs(const Type& t, const std::function<Expr(const Expr&)>& rewrite);
// Calls `visit` on every dimension, stride and prim value.
void visit_exprs(const Type& t, const std::function<void(const Expr&)>& visit);
std::vector<Var> free_vars(const Type& t);

// Equality of everything, dimensions by structure (they are canonical), symbols by identity.
bool structural_equal(const Type& a, const Type& b);

// Symbols that binding a value of this type binds: dimensions, shape members and prim values that
// are a bare symbol, in order, each once.
std::vector<Var> binding_symbols(const Type& t);

// Is every value of type `derived` also of type `base`? (docs/ir.md, "Types".) unknown: dimensions
// that may or may not be equal.
Truth is_subtype(const Type& derived, const Type& base, const Facts& facts = {});
// The least type above both; dimensions that are not proven equal become unknown here (fresh
// symbols are the business of whoever binds the result: Builder does it for `if`).
Type least_upper_bound(const Type& a, const Type& b, const Facts& facts = {});

// Gives the bare symbols of `pattern` that are not in `symbols` yet the values that they have in
// `t`, where the two correspond.
void match_symbols(const Type& pattern, const Type& t, VarMap& symbols);

// Number of elements / bytes as an index expression (canonical); null where the shape is unknown.
Expr num_elements(const TensorTypeNode& t);
Expr size_bytes(const TensorTypeNode& t);
Expr size_bytes(const Expr& elements, DType dtype);
// The tensors of a type in order, tuples flattened; other types have none.
std::vector<const TensorTypeNode*> tensor_leaves(const Type& t);

std::string to_string(const Type& t);  // R.Tensor((m, 224), dtype="float32")

}  // namespace repose
