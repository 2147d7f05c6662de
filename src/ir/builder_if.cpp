// Branches of an `if` while a Builder makes them, and the type of what they give.
#include <algorithm>

#include "ir/builder_state.h"
#include "ir/cast.h"

namespace repose {

namespace {

// What a condition says as an expression; null where only the data tells.
Expr known_condition(const Builder& b, const Value& condition) {
  if (const auto* prim = as<PrimTypeNode>(condition->type)) return prim->value;
  const auto* known = b.elements_of(condition);
  return known && known->size() == 1 ? (*known)[0] : nullptr;
}

}  // namespace

void Builder::begin_if(Value condition, Span span) {
  FunctionState& state = *functions_.back();
  auto f = frame().branch(Frame::Kind::then_branch);
  if (const Expr known = known_condition(*this, condition)) f->facts.assume(known);
  state.ifs.push_back({std::move(condition), std::move(span), nullptr, state.elements});
  state.frames.push_back(std::move(f));
}

void Builder::begin_else(Value then_result) {
  FunctionState& state = *functions_.back();
  REPOSE_CHECK(frame().kind == Frame::Kind::then_branch, "begin_else ends a first branch");
  state.ifs.back().then_body =
      make_ref<graph::BodyNode>(std::move(frame().blocks), std::move(then_result));
  state.frames.pop_back();
  auto f = frame().branch(Frame::Kind::else_branch);
  if (const Expr known = known_condition(*this, state.ifs.back().condition)) {
    f->facts.assume(make_not(known));
  }
  state.elements = state.ifs.back().elements;  // what the first branch found is unknown here
  state.frames.push_back(std::move(f));
}

namespace {

// The least type above those of two branches. Where a dimension differs, it is a choice by the
// condition, if that is an expression; else, or where it mentions a symbol that only a branch
// knows, a fresh symbol stands for it, so that nothing else is lost.
Type join_branches(const Type& a, const Type& b, const Expr& condition, const Facts& facts,
                   const std::unordered_set<const VarNode*>& bound) {
  auto in_scope = [&](const Expr& e) {
    const std::vector<Var> symbols = free_vars(e);
    return std::all_of(symbols.begin(), symbols.end(),
                       [&](const Var& v) { return bound.contains(v.get()); });
  };
  auto join_dims = [&](const Dims& x, const Dims& y) {
    Dims out;
    for (size_t i = 0; i < x.size(); ++i) {
      if (in_scope(x[i]) && prove_equal(x[i], y[i], facts) == Truth::yes) {
        out.push_back(x[i]);
      } else if (condition && in_scope(x[i]) && in_scope(y[i])) {
        out.push_back(canonical(make_select(condition, x[i], y[i])));
      } else {
        out.push_back(make_var("d"));
      }
    }
    return out;
  };
  if (const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      x && y && x->shape && y->shape && x->shape->size() == y->shape->size()) {
    return tensor_type(join_dims(*x->shape, *y->shape), x->dtype == y->dtype ? x->dtype : DType{},
                       {}, x->device == y->device ? x->device : "");
  }
  if (const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      x && y && x->dims && y->dims && x->dims->size() == y->dims->size()) {
    return shape_type(join_dims(*x->dims, *y->dims));
  }
  if (const auto *x = as<TupleTypeNode>(a), *y = as<TupleTypeNode>(b);
      x && y && x->fields.size() == y->fields.size()) {
    std::vector<Type> fields;
    for (size_t i = 0; i < x->fields.size(); ++i) {
      fields.push_back(join_branches(x->fields[i], y->fields[i], condition, facts, bound));
    }
    return tuple_type(std::move(fields));
  }
  return least_upper_bound(a, b, facts);
}

}  // namespace

Result<Variable> Builder::end_if(Value else_result, std::string name) {
  FunctionState& state = *functions_.back();
  REPOSE_CHECK(frame().kind == Frame::Kind::else_branch, "end_if ends a second branch");
  Body else_body = make_ref<graph::BodyNode>(std::move(frame().blocks), else_result);
  state.frames.pop_back();
  FunctionState::OpenIf open = std::move(state.ifs.back());
  state.ifs.pop_back();
  state.elements = std::move(open.elements);
  if (in_dataflow()) {
    return error(DiagnosticKind::ill_formed, open.span, "an `if` inside a dataflow block");
  }
  Frame& f = frame();
  const auto* prim = as<PrimTypeNode>(open.condition->type);
  Type type = join_branches(open.then_body->result->type, else_result->type,
                            prim ? prim->value : nullptr, f.facts, f.bound);
  for (const Var& v : binding_symbols(type)) f.bind_symbol(v);
  Value value = make_ref<graph::IfNode>(open.condition, open.then_body, else_body, type);
  return bind(value, type, nullptr, std::move(name), open.span, false);
}

}  // namespace repose
