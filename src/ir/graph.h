// Graph IR: functions over tensors, shapes, scalars and tuples, in A-normal form.
//
// A function is a body: blocks of bindings, then a result. In normal form the right-hand side of a
// binding is a leaf or has only leaves as operands (docs/ir.md, "Normal form").
#pragma once

#include <string>
#include <vector>

#include "base/source.h"
#include "ir/array.h"
#include "ir/attrs.h"
#include "ir/type.h"

namespace repose {
struct OpDef;
}

namespace repose::graph {

enum class ValueKind : uint8_t {
#define GRAPH_VALUE(name) name,
#include "ir/graph_kinds.def"
};
const char* kind_name(ValueKind kind);

// Anything that can stand on the right-hand side of a binding. `type` is what inference found (null
// only in values that a parser or pass has made and no Builder has seen yet).
struct ValueNode : RefCounted {
  const ValueKind kind;
  const Type type;

 protected:
  ValueNode(ValueKind kind, Type type) : kind(kind), type(std::move(type)) {}
};
using Value = Ref<const ValueNode>;

template <class T>
const T* as(const Value& v) {
  return v && v->kind == T::static_kind ? static_cast<const T*>(v.get()) : nullptr;
}

// Identity is the node; the name is for printing.
struct VariableNode : ValueNode {
  const std::string name;
  const bool is_dataflow;  // visible only in its dataflow block
  VariableNode(std::string name, Type type, bool is_dataflow = false);
  static constexpr ValueKind static_kind = ValueKind::variable;
};
using Variable = Ref<const VariableNode>;

// `weight_name`: the name in the model or in the safetensors file; may be empty.
struct ConstantNode : ValueNode {
  const Array data;
  const std::string weight_name;
  explicit ConstantNode(Array data, std::string weight_name = "");
  static constexpr ValueKind static_kind = ValueKind::constant;
};

struct TupleNode : ValueNode {
  const std::vector<Value> fields;
  explicit TupleNode(std::vector<Value> fields);
  static constexpr ValueKind static_kind = ValueKind::tuple;
};

struct TupleGetNode : ValueNode {
  const Value tuple;
  const int index;
  TupleGetNode(Value tuple, int index);  // the index must be in range
  static constexpr ValueKind static_kind = ValueKind::tuple_get;
};

struct ShapeNode : ValueNode {
  const Dims dims;
  explicit ShapeNode(Dims dims);
  static constexpr ValueKind static_kind = ValueKind::shape;
};

struct PrimValueNode : ValueNode {
  const Expr value;
  explicit PrimValueNode(Expr value);
  static constexpr ValueKind static_kind = ValueKind::prim_value;
};

struct StringNode : ValueNode {
  const std::string value;
  explicit StringNode(std::string value);
  static constexpr ValueKind static_kind = ValueKind::string;
};

struct DTypeNode : ValueNode {
  const DType value;
  explicit DTypeNode(DType value);
  static constexpr ValueKind static_kind = ValueKind::dtype;
};

// A function or tensor program of the module, by name. `type` is its FunctionType, or null for a
// tensor program.
struct GlobalNode : ValueNode {
  const std::string name;
  explicit GlobalNode(std::string name, Type type = nullptr);
  static constexpr ValueKind static_kind = ValueKind::global;
};

// A function outside of the module, by name.
struct ExternNode : ValueNode {
  const std::string name;
  explicit ExternNode(std::string name);
  static constexpr ValueKind static_kind = ValueKind::external;
};

// A call of an operator (`op` is set, `callee` is null) or of a function value (the other way
// round: a global, an extern, or a variable that holds a closure).
struct CallNode : ValueNode {
  const OpDef* const op;
  const Value callee;
  const std::vector<Value> args;
  const Attrs attrs;
  const std::vector<Type>
      type_args;  // out_sinfo= of call_tir and its kin, sinfo_args= of call_packed
  CallNode(const OpDef* op, Value callee, std::vector<Value> args, Attrs attrs,
           std::vector<Type> type_args, Type type);
  static constexpr ValueKind static_kind = ValueKind::call;
};

struct BodyNode;
using Body = Ref<const BodyNode>;

struct IfNode : ValueNode {
  const Value condition;  // a bool: tensor of rank 0, or prim value
  const Body then_body, else_body;
  IfNode(Value condition, Body then_body, Body else_body, Type type);
  static constexpr ValueKind static_kind = ValueKind::if_;
};

// A function: at the top of a module, or a closure. `result_type` may mention symbols that the
// parameters don't bind: each call binds them freshly.
struct FunctionNode : ValueNode {
  const std::vector<Variable> params;
  const Body body;
  const Type result_type;
  const bool is_pure;
  const bool is_private;
  const Attrs attrs;
  const Span span;
  FunctionNode(std::vector<Variable> params, Body body, Type result_type, bool is_pure,
               bool is_private, Attrs attrs, Span span);
  static constexpr ValueKind static_kind = ValueKind::function;
};
using Function = Ref<const FunctionNode>;

// `var = value`, or `var = match_cast(value, cast)` where `cast` is set.
struct Binding {
  Variable var;
  Value value;
  Type cast;
  Span span;
};

struct Block {
  bool is_dataflow = false;
  std::vector<Binding> bindings;
};

struct BodyNode : RefCounted {
  const std::vector<Block> blocks;
  const Value result;  // a leaf in normal form
  BodyNode(std::vector<Block> blocks, Value result)
      : blocks(std::move(blocks)), result(std::move(result)) {}
};

inline Value make_constant(Array data, std::string weight_name = "") {
  return make_ref<ConstantNode>(std::move(data), std::move(weight_name));
}
inline Value make_tuple(std::vector<Value> fields) {
  return make_ref<TupleNode>(std::move(fields));
}
inline Value make_tuple_get(Value tuple, int index) {
  return make_ref<TupleGetNode>(std::move(tuple), index);
}
inline Value make_shape(Dims dims) {
  return make_ref<ShapeNode>(std::move(dims));
}
inline Value make_prim(Expr value) {
  return make_ref<PrimValueNode>(std::move(value));
}
inline Value make_global(std::string name, Type type = nullptr) {
  return make_ref<GlobalNode>(std::move(name), std::move(type));
}
// A call that no Builder has typed yet.
inline Value make_op_call(const OpDef& op, std::vector<Value> args, Attrs attrs = {},
                          std::vector<Type> type_args = {}) {
  return make_ref<CallNode>(&op, nullptr, std::move(args), std::move(attrs), std::move(type_args),
                            nullptr);
}
inline Value make_function_call(Value callee, std::vector<Value> args,
                                std::vector<Type> type_args = {}) {
  return make_ref<CallNode>(nullptr, std::move(callee), std::move(args), Attrs{},
                            std::move(type_args), nullptr);
}
inline Variable make_variable(std::string name, Type type, bool is_dataflow = false) {
  return make_ref<VariableNode>(std::move(name), std::move(type), is_dataflow);
}

// Variable, constant, shape, prim value, string, dtype, global, extern, or a tuple of leaves.
bool is_leaf(const Value& v);
// The tensor type of a value, or null if it is no tensor.
inline const TensorTypeNode* tensor_of(const Value& v) {
  return repose::as<TensorTypeNode>(v->type);
}

// ---- Visitors and rewriting --------------------------------------------------------------------

// Calls `visit` on the direct operands of a value (not into bodies).
void visit_operands(const Value& v, const std::function<void(const Value&)>& visit);
// Calls `visit` on every binding of a body, in order; with `nested`, bodies of `if` and closures
// too.
void visit_bindings(const Body& body, bool nested,
                    const std::function<void(const Binding&)>& visit);
// Variables that a body uses but doesn't bind.
std::vector<Variable> free_variables(const Body& body, const std::vector<Variable>& params = {});

using ValueMap = std::unordered_map<const ValueNode*, Value>;
// Replaces variables (by identity) and symbols everywhere, types included; same pointer if
// unchanged. New variables are made where a bound variable's type changes. Recursion only over
// nested bodies.
Body substitute(const Body& body, const ValueMap& values, const VarMap& symbols);
Value substitute(const Value& value, const ValueMap& values, const VarMap& symbols);
Function substitute(const Function& f, const ValueMap& values, const VarMap& symbols);

}  // namespace repose::graph
