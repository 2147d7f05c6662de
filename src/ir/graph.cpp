// Graph IR: nodes, visitors, substitution.
#include "ir/graph.h"

#include <algorithm>
#include <unordered_set>

namespace repose::graph {

const char* kind_name(ValueKind kind) {
  switch (kind) {
#define GRAPH_VALUE(name) \
  case ValueKind::name:   \
    return #name;
#include "ir/graph_kinds.def"
  }
  return "?";
}

// ---- Nodes --------------------------------------------------------------------------------------

namespace {

Type type_of_array(const ArrayNode& array) {
  Dims dims;
  for (int64_t d : array.shape) dims.push_back(make_int(d));
  return tensor_type(std::move(dims), array.dtype);
}

// Null where a field has no type yet.
Type type_of_tuple(const std::vector<Value>& fields) {
  std::vector<Type> types;
  for (const Value& f : fields) {
    if (!f->type) return nullptr;
    types.push_back(f->type);
  }
  return tuple_type(std::move(types));
}

// Null where the tuple's type doesn't say.
Type type_of_item(const Value& tuple, int index) {
  const auto* t = repose::as<TupleTypeNode>(tuple->type);
  bool in_range = t && index >= 0 && static_cast<size_t>(index) < t->fields.size();
  return in_range ? t->fields[index] : nullptr;
}

Dims canonical_dims(Dims dims) {
  for (Expr& d : dims) d = canonical(d);
  return dims;
}

// Null where a type is still to be inferred.
Type type_of_function(const std::vector<Variable>& params, const Type& result, bool pure) {
  std::vector<Type> types;
  for (const Variable& p : params) {
    if (!p->type) return nullptr;
    types.push_back(p->type);
  }
  return result ? function_type(std::move(types), result, pure) : nullptr;
}

}  // namespace

VariableNode::VariableNode(std::string name, Type type, bool is_dataflow)
    : ValueNode(static_kind, std::move(type)), name(std::move(name)), is_dataflow(is_dataflow) {}
ConstantNode::ConstantNode(Array data, std::string weight_name)
    : ValueNode(static_kind, type_of_array(*data)),
      data(std::move(data)),
      weight_name(std::move(weight_name)) {}
TupleNode::TupleNode(std::vector<Value> fields)
    : ValueNode(static_kind, type_of_tuple(fields)), fields(std::move(fields)) {}
TupleGetNode::TupleGetNode(Value tuple, int index)
    : ValueNode(static_kind, type_of_item(tuple, index)), tuple(std::move(tuple)), index(index) {}
ShapeNode::ShapeNode(Dims dims)
    : ValueNode(static_kind, shape_type(dims)), dims(canonical_dims(std::move(dims))) {}
PrimValueNode::PrimValueNode(Expr value)
    : ValueNode(static_kind, prim_type_of(value)), value(std::move(value)) {}
StringNode::StringNode(std::string value)
    : ValueNode(static_kind, any_type()), value(std::move(value)) {}
DTypeNode::DTypeNode(DType value) : ValueNode(static_kind, any_type()), value(value) {}
GlobalNode::GlobalNode(std::string name, Type type)
    : ValueNode(static_kind, std::move(type)), name(std::move(name)) {}
ExternNode::ExternNode(std::string name)
    : ValueNode(static_kind, opaque_function_type(any_type(), false)), name(std::move(name)) {}
CallNode::CallNode(const OpDef* op, Value callee, std::vector<Value> args, Attrs attrs,
                   std::vector<Type> type_args, Type type)
    : ValueNode(static_kind, std::move(type)),
      op(op),
      callee(std::move(callee)),
      args(std::move(args)),
      attrs(std::move(attrs)),
      type_args(std::move(type_args)) {
  REPOSE_CHECK((this->op != nullptr) != (this->callee != nullptr),
               "a call has an operator or a callee");
}
IfNode::IfNode(Value condition, Body then_body, Body else_body, Type type)
    : ValueNode(static_kind, std::move(type)),
      condition(std::move(condition)),
      then_body(std::move(then_body)),
      else_body(std::move(else_body)) {}
FunctionNode::FunctionNode(std::vector<Variable> params, Body body, Type result_type, bool is_pure,
                           bool is_private, Attrs attrs, Span span)
    : ValueNode(static_kind, type_of_function(params, result_type, is_pure)),
      params(std::move(params)),
      body(std::move(body)),
      result_type(std::move(result_type)),
      is_pure(is_pure),
      is_private(is_private),
      attrs(std::move(attrs)),
      span(std::move(span)) {}

bool is_leaf(const Value& v) {
  switch (v->kind) {
    case ValueKind::tuple: {
      const auto& fields = as<TupleNode>(v)->fields;
      return std::all_of(fields.begin(), fields.end(), is_leaf);
    }
    case ValueKind::tuple_get:
    case ValueKind::call:
    case ValueKind::if_:
    case ValueKind::function:
      return false;
    default:
      return true;
  }
}

// ---- Visitors -----------------------------------------------------------------------------------

void visit_operands(const Value& v, const std::function<void(const Value&)>& visit) {
  switch (v->kind) {
    case ValueKind::tuple:
      for (const Value& f : as<TupleNode>(v)->fields) visit(f);
      break;
    case ValueKind::tuple_get:
      visit(as<TupleGetNode>(v)->tuple);
      break;
    case ValueKind::call: {
      const auto* call = as<CallNode>(v);
      if (call->callee) visit(call->callee);
      for (const Value& a : call->args) visit(a);
      break;
    }
    case ValueKind::if_:
      visit(as<IfNode>(v)->condition);
      break;
    default:
      break;
  }
}

void visit_bindings(const Body& body, bool nested,
                    const std::function<void(const Binding&)>& visit) {
  for (const Block& block : body->blocks) {
    for (const Binding& binding : block.bindings) {
      visit(binding);
      if (!nested) continue;
      if (const auto* branch = as<IfNode>(binding.value)) {
        visit_bindings(branch->then_body, true, visit);
        visit_bindings(branch->else_body, true, visit);
      } else if (const auto* closure = as<FunctionNode>(binding.value)) {
        visit_bindings(closure->body, true, visit);
      }
    }
  }
}

namespace {

// Variables used, in order, and variables bound. Each variable is bound once, so scopes don't
// matter.
struct VariableUses {
  std::vector<Variable> used;
  std::unordered_set<const ValueNode*> seen, bound;

  void visit(const Value& v) {
    if (const auto* var = as<VariableNode>(v)) {
      if (seen.insert(var).second) used.emplace_back(Variable(var));
      return;
    }
    visit_operands(v, [this](const Value& operand) { visit(operand); });
    if (const auto* branch = as<IfNode>(v)) {
      visit(branch->then_body);
      visit(branch->else_body);
    } else if (const auto* closure = as<FunctionNode>(v)) {
      for (const Variable& p : closure->params) bound.insert(p.get());
      visit(closure->body);
    }
  }

  void visit(const Body& body) {
    for (const Block& block : body->blocks) {
      for (const Binding& binding : block.bindings) {
        visit(binding.value);
        bound.insert(binding.var.get());
      }
    }
    visit(body->result);
  }
};

}  // namespace

std::vector<Variable> free_variables(const Body& body, const std::vector<Variable>& params) {
  VariableUses uses;
  for (const Variable& p : params) uses.bound.insert(p.get());
  uses.visit(body);
  std::erase_if(uses.used, [&](const Variable& v) { return uses.bound.count(v.get()) > 0; });
  return uses.used;
}

// ---- Substitution -------------------------------------------------------------------------------

namespace {

class Substituter {
 public:
  Substituter(const ValueMap& values, const VarMap& symbols) : values_(values), symbols_(symbols) {}

  Value run(const Value& v) {
    if (const Value* next = find(v.get())) return *next;
    switch (v->kind) {
      case ValueKind::tuple: {
        std::vector<Value> fields = as<TupleNode>(v)->fields;
        return run(fields) ? make_tuple(std::move(fields)) : v;
      }
      case ValueKind::tuple_get: {
        const auto* get = as<TupleGetNode>(v);
        Value tuple = run(get->tuple);
        return tuple == get->tuple ? v : make_tuple_get(std::move(tuple), get->index);
      }
      case ValueKind::shape: {
        Dims dims = as<ShapeNode>(v)->dims;
        bool changed = false;
        for (Expr& d : dims) changed = replace(d, repose::substitute(d, symbols_)) || changed;
        return changed ? make_shape(std::move(dims)) : v;
      }
      case ValueKind::prim_value: {
        Expr value = as<PrimValueNode>(v)->value;
        return replace(value, repose::substitute(value, symbols_)) ? make_prim(value) : v;
      }
      case ValueKind::call:
        return run_call(v);
      case ValueKind::if_: {
        const auto* branch = as<IfNode>(v);
        Value condition = run(branch->condition);
        Body then_body = run(branch->then_body), else_body = run(branch->else_body);
        Type type = run(branch->type);
        if (condition == branch->condition && then_body == branch->then_body &&
            else_body == branch->else_body && type == branch->type) {
          return v;
        }
        return make_ref<IfNode>(condition, then_body, else_body, type);
      }
      case ValueKind::function:
        return run(Function(as<FunctionNode>(v)));
      default:
        return v;
    }
  }

  Body run(const Body& body) {
    bool changed = false;
    std::vector<Block> blocks = body->blocks;
    for (Block& block : blocks) {
      for (Binding& b : block.bindings) {
        changed = replace(b.value, run_bound(b)) || changed;
        changed = replace(b.cast, run(b.cast)) || changed;
        changed = replace(b.var, run_binder(b.var)) || changed;
      }
    }
    Value result = run(body->result);
    if (!changed && result == body->result) return body;
    return make_ref<BodyNode>(std::move(blocks), std::move(result));
  }

  Function run(const Function& f) {
    std::vector<Variable> params = f->params;
    bool changed = false;
    for (Variable& p : params) changed = replace(p, run_binder(p)) || changed;
    Body body = run(f->body);
    Type result_type = run(f->result_type);
    Attrs attrs = run(f->attrs);
    if (!changed && body == f->body && result_type == f->result_type && attrs == f->attrs) {
      return f;
    }
    return make_ref<FunctionNode>(std::move(params), body, result_type, f->is_pure, f->is_private,
                                  std::move(attrs), f->span);
  }

 private:
  template <class T>
  static bool replace(T& old, T next) {
    if (old == next) return false;
    old = std::move(next);
    return true;
  }

  Type run(const Type& t) { return repose::substitute(t, symbols_); }

  Attrs run(const Attrs& attrs) {
    if (symbols_.empty() || attrs.empty()) return attrs;
    return rewrite_exprs(attrs, [this](const Expr& e) { return repose::substitute(e, symbols_); });
  }

  bool run(std::vector<Value>& list) {
    bool changed = false;
    for (Value& v : list) changed = replace(v, run(v)) || changed;
    return changed;
  }

  // A variable that is bound here: a new one if its type changes.
  Variable run_binder(const Variable& var) {
    if (const Value* next = find(var.get())) {
      if (const auto* mapped = as<VariableNode>(*next)) return Variable(mapped);
    }
    Type type = run(var->type);
    if (type == var->type) return var;
    Variable next = make_variable(var->name, std::move(type), var->is_dataflow);
    bound_.emplace(var.get(), next);
    return next;
  }

  // A closure may call itself through the variable that it is bound to.
  Value run_bound(const Binding& b) {
    if (b.value->kind == ValueKind::function) run_binder(b.var);
    return run(b.value);
  }

  Value run_call(const Value& v) {
    const auto* call = as<CallNode>(v);
    Value callee = call->callee ? run(call->callee) : nullptr;
    std::vector<Value> args = call->args;
    std::vector<Type> type_args = call->type_args;
    bool changed = run(args) || callee != call->callee;
    for (Type& t : type_args) changed = replace(t, run(t)) || changed;
    Type type = run(call->type);
    Attrs attrs = run(call->attrs);
    if (!changed && type == call->type && attrs == call->attrs) return v;
    return make_ref<CallNode>(call->op, std::move(callee), std::move(args), std::move(attrs),
                              std::move(type_args), std::move(type));
  }

  const Value* find(const ValueNode* v) const {
    for (const ValueMap* map : {&values_, &bound_}) {
      if (auto it = map->find(v); it != map->end()) return &it->second;
    }
    return nullptr;
  }

  const ValueMap& values_;
  ValueMap bound_;  // variables that are bound within
  const VarMap& symbols_;
};

}  // namespace

Body substitute(const Body& body, const ValueMap& values, const VarMap& symbols) {
  return Substituter(values, symbols).run(body);
}

Value substitute(const Value& value, const ValueMap& values, const VarMap& symbols) {
  return Substituter(values, symbols).run(value);
}

Function substitute(const Function& f, const ValueMap& values, const VarMap& symbols) {
  return Substituter(values, symbols).run(f);
}

}  // namespace repose::graph
