// Casts of tuples as casts of their members.
#include "passes/lower/split_casts.h"

#include <algorithm>

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// The cast of one binding, in the block that it stands in.
class TupleCast {
 public:
  TupleCast(const Binding& binding, bool is_dataflow, std::vector<Binding>& out)
      : binding_(binding), is_dataflow_(is_dataflow), out_(out) {}

  void run() {
    Value members = cast(binding_.value, binding_.cast, binding_.var->name);
    for (const auto& [value, type] : again_) bind(value, type, binding_.var->name);
    // Casts that come again have the types that were asked for; the first ones have symbols of
    // their own, and the same sizes.
    members = with_casts(members);
    out_.push_back({binding_.var, members, nullptr, binding_.span});
  }

 private:
  const Binding& binding_;
  bool is_dataflow_;
  std::vector<Binding>& out_;
  std::vector<std::pair<Value, Type>> again_;  // casts that wait for later symbols
  std::unordered_map<const graph::ValueNode*, Value> recast_;

  graph::Variable bind(const Value& value, const Type& cast, const std::string& name) {
    const Type& type = cast ? cast : value->type;
    graph::Variable v = graph::make_variable(name, type, is_dataflow_);
    out_.push_back({v, value, cast, binding_.span});
    if (cast) recast_[value.get()] = v;
    return v;
  }

  Value with_casts(const Value& v) const {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& f : tuple->fields) fields.push_back(with_casts(f));
      return graph::make_tuple(std::move(fields));
    }
    auto it = recast_.find(v.get());
    return it == recast_.end() ? v : it->second;
  }

  // What a member is cast to before the symbols of later members are bound.
  Type first_type(const Type& type) const {
    const std::vector<Var> own = binding_symbols(type), all = binding_symbols(binding_.cast);
    auto waits = [&](const Expr& e) {
      if (e->kind == ExprKind::var) return false;
      const std::vector<Var> mentioned = free_vars(e);
      return std::any_of(mentioned.begin(), mentioned.end(), [&](const Var& v) {
        return std::find(own.begin(), own.end(), v) == own.end() &&
               std::find(all.begin(), all.end(), v) != all.end();
      });
    };
    auto fresh = [&](Dims dims, VarRole role) {
      for (Expr& d : dims) {
        if (waits(d)) d = make_var("d", dtypes::index, role);
      }
      return dims;
    };
    if (const auto* t = as<TensorTypeNode>(type); t && t->shape) {
      return tensor_type(fresh(*t->shape, VarRole::dimension), t->dtype, t->strides, t->device);
    }
    if (const auto* s = as<ShapeTypeNode>(type); s && s->dims) {
      return shape_type(fresh(*s->dims, VarRole::value));
    }
    const auto* p = as<PrimTypeNode>(type);
    if (p && p->value && waits(p->value)) {
      return prim_type(p->dtype.is_index() ? dtypes::int64 : p->dtype);
    }
    return type;
  }

  Value cast(const Value& value, const Type& type, const std::string& name) {
    const auto* to = as<TupleTypeNode>(type);
    const auto* from = as<TupleTypeNode>(value->type);
    if (!to || !from || to->fields.size() != from->fields.size()) {
      const Type first = first_type(type);
      const graph::Variable v = bind(value, first, name);
      if (!structural_equal(first, type)) again_.emplace_back(v, type);
      return v;
    }
    const auto* literal = graph::as<graph::TupleNode>(value);
    std::vector<Value> fields;
    for (size_t i = 0; i < to->fields.size(); ++i) {
      const std::string member = name + "_" + std::to_string(i);
      const Value field =
          literal ? literal->fields[i]
                  : bind(graph::make_tuple_get(value, static_cast<int>(i)), nullptr, member);
      fields.push_back(cast(field, to->fields[i], member));
    }
    return graph::make_tuple(std::move(fields));
  }
};

graph::Body split(const graph::Body& body);

graph::Function split(const graph::Function& f) {
  graph::Body body = split(f->body);
  if (body == f->body) return f;
  return make_ref<graph::FunctionNode>(f->params, std::move(body), f->result_type, f->is_pure,
                                       f->is_private, f->attrs, f->span);
}

Value split_inside(const Value& v) {
  if (const auto* choice = graph::as<graph::IfNode>(v)) {
    graph::Body t = split(choice->then_body), e = split(choice->else_body);
    if (t == choice->then_body && e == choice->else_body) return v;
    return make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
  }
  if (const auto* closure = graph::as<graph::FunctionNode>(v)) {
    return split(graph::Function(closure));
  }
  return v;
}

graph::Body split(const graph::Body& body) {
  bool changed = false;
  std::vector<graph::Block> blocks;
  for (const graph::Block& block : body->blocks) {
    graph::Block out{block.is_dataflow, {}};
    for (Binding b : block.bindings) {
      if (b.cast && as<TupleTypeNode>(b.cast) && as<TupleTypeNode>(b.value->type)) {
        TupleCast(b, block.is_dataflow, out.bindings).run();
        changed = true;
        continue;
      }
      Value inside = split_inside(b.value);
      changed = changed || inside != b.value;
      b.value = std::move(inside);
      out.bindings.push_back(std::move(b));
    }
    blocks.push_back(std::move(out));
  }
  if (!changed) return body;
  return make_ref<graph::BodyNode>(std::move(blocks), body->result);
}

}  // namespace

Module split_casts(const Module& module) {
  Module result = module;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    if (graph::Function changed = split(f); changed != f) result.set(name, changed);
  }
  return result;
}

}  // namespace repose
