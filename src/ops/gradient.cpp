// Reverse mode over bindings.
#include "ops/gradient.h"

#include <algorithm>

namespace repose {

namespace {

using graph::Value;

bool is_float_tensor(const Type& type) {
  const auto* t = as<TensorTypeNode>(type);
  return t && is_float_dtype(t->dtype);
}

bool has_floats(const Type& type) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    return std::any_of(tuple->fields.begin(), tuple->fields.end(), has_floats);
  }
  return is_float_tensor(type);
}

// Binds calls within calls, each once: rules share nodes.
class Emitter {
 public:
  explicit Emitter(Builder& b, std::vector<graph::Binding>* bindings = nullptr)
      : builder_(b), bindings_(bindings) {}

  Result<Value> emit(const Value& v) {
    if (auto it = known_.find(v.get()); it != known_.end()) return it->second;
    REPOSE_TRY(leaf, emit_new(v));
    kept_.push_back(v);
    known_.emplace(v.get(), leaf);
    return leaf;
  }

 private:
  Builder& builder_;
  std::vector<graph::Binding>* bindings_;  // what was bound, in order
  std::unordered_map<const graph::ValueNode*, Value> known_;
  std::vector<Value> kept_;  // the keys of `known_` live

  Result<Value> emit_new(const Value& v) {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) {
        REPOSE_TRY(leaf, emit(field));
        fields.push_back(leaf);
      }
      return graph::make_tuple(std::move(fields));
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      REPOSE_TRY(tuple, emit(get->tuple));
      if (const auto* literal = graph::as<graph::TupleNode>(tuple)) {
        return literal->fields[static_cast<size_t>(get->index)];
      }
      return bind(graph::make_tuple_get(tuple, get->index));
    }
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call) return v;
    std::vector<Value> args;
    for (const Value& a : call->args) {
      REPOSE_TRY(leaf, emit(a));
      args.push_back(leaf);
    }
    REPOSE_TRY(attrs, check_call(*call->op, args, call->attrs, {}));
    return bind(graph::make_op_call(*call->op, std::move(args), attrs, call->type_args));
  }

  Result<Value> bind(const Value& v) {
    REPOSE_TRY(var, builder_.emit(v));
    if (bindings_) bindings_->push_back({var, with_type(v, var->type), nullptr, {}});
    return Value(var);
  }

  // As a rule wants the call: every attribute given.
  static Value with_type(const Value& v, const Type& type) {
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call) return v;
    return make_ref<graph::CallNode>(call->op, nullptr, call->args, call->attrs, call->type_args,
                                     type);
  }
};

// Rules are formulas over shapes.
Result<void> require_known_shapes(const graph::CallNode& call, const Span& span) {
  for (const Value& arg : te::tensor_operands(call)) {
    const TensorTypeNode* t = graph::tensor_of(arg);
    if (t->shape && t->dtype) continue;
    return error(DiagnosticKind::unsupported_feature, span,
                 "the gradient of `{}` needs the shapes of its operands; one is of type `{}`, of "
                 "which a match_cast has to say more",
                 call.op->name, to_string(arg->type));
  }
  return {};
}

}  // namespace

Gradients no_gradient(Builder&, const Pullback& p) {
  return std::vector<Value>(p.call.args.size());
}

Gradients reshape_gradient(Builder&, const Pullback& p) {
  std::vector<Value> gradients(p.call.args.size());
  gradients[0] = reshaped(p.gradients[0], shape_of_arg(p.call, 0));
  return gradients;
}

Value collapsed(const Value& gradient, const Dims& from, const Dims& to) {
  const bool same = from.size() == to.size() &&
                    std::equal(from.begin(), from.end(), to.begin(),
                               [](const Expr& a, const Expr& b) { return structural_equal(a, b); });
  if (same) return gradient;
  return graph::make_op_call(op_collapse_sum_to(), {gradient, graph::make_shape(to)});
}

const Dims& shape_of_arg(const graph::CallNode& call, size_t i) {
  return *graph::tensor_of(call.args[i])->shape;
}

Value zeros_of(const Dims& shape, DType dtype) {
  return graph::make_op_call(op_zeros(), {graph::make_shape(shape)}, Attrs{{"dtype", Attr(dtype)}});
}

Gradients gradient_through(Builder& b, const Pullback& p, const Value& composition) {
  std::vector<graph::Binding> bindings;
  REPOSE_TRY(result, Emitter(b, &bindings).emit(composition));
  ReverseMode reverse(b);
  for (size_t i = 0; i < p.wanted.size(); ++i) {
    if (p.wanted[i]) reverse.want(p.call.args[i]);
  }
  for (const graph::Binding& binding : bindings) reverse.record(binding);
  const auto* tuple = graph::as<graph::TupleNode>(result);
  REPOSE_CHECK(tuple || p.gradients.size() == 1,
               "a composition gives a tensor, or a tuple of them");
  for (size_t i = 0; i < p.gradients.size(); ++i) {
    REPOSE_REQUIRE(reverse.add(tuple ? tuple->fields[i] : result, p.gradients[i]));
  }
  REPOSE_REQUIRE(reverse.run());
  // All that flows into an operand that is given twice is that of its first place.
  std::vector<Value> gradients(p.call.args.size()), seen;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Value& arg = p.call.args[i];
    if (!p.wanted[i] || std::count(seen.begin(), seen.end(), arg)) continue;
    seen.push_back(arg);
    gradients[i] = reverse.gradient_in(arg);
  }
  return gradients;
}

// ---- Reverse mode -------------------------------------------------------------------------------

void ReverseMode::want(const Value& v) {
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const Value& field : tuple->fields) want(field);
  } else if (graph::as<graph::VariableNode>(v) && has_floats(v->type)) {
    wanted_.insert(v.get());
  }
}

bool ReverseMode::is_wanted(const Value& v) const {
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    return std::any_of(tuple->fields.begin(), tuple->fields.end(),
                       [&](const Value& field) { return is_wanted(field); });
  }
  return wanted_.contains(v.get());
}

void ReverseMode::record(const graph::Binding& b) {
  tape_.push_back(b);
  if (!has_floats(b.var->type)) return;
  bool depends = is_wanted(b.value);
  graph::visit_operands(b.value, [&](const Value& v) { depends = depends || is_wanted(v); });
  if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
    for (const graph::Body& body : {choice->then_body, choice->else_body}) {
      for (const graph::Variable& v : graph::free_variables(body)) {
        depends = depends || is_wanted(v);
      }
    }
  }
  if (depends) wanted_.insert(b.var.get());
}

Result<void> ReverseMode::add(const Value& v, const Value& gradient) {
  if (!gradient) return {};
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    const std::vector<Value> parts = members_of(gradient);
    for (size_t i = 0; i < tuple->fields.size(); ++i) {
      if (!is_wanted(tuple->fields[i])) continue;
      REPOSE_REQUIRE(add(tuple->fields[i], parts[i]));
    }
    return {};
  }
  if (!is_wanted(v)) return {};
  return accumulate(adjoints_[v.get()], v->type, gradient);
}

Result<void> ReverseMode::accumulate(Adjoint& to, const Type& type, const Value& gradient) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    to.members.resize(tuple->fields.size());
    const std::vector<Value> parts = members_of(gradient);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!has_floats(tuple->fields[i])) continue;
      REPOSE_REQUIRE(accumulate(to.members[i], tuple->fields[i], parts[i]));
    }
    return {};
  }
  if (!is_float_tensor(type)) return {};
  REPOSE_TRY(leaf, builder_.normalize(gradient));
  if (!to.tensor) {
    to.tensor = leaf;
    return {};
  }
  REPOSE_TRY(sum, builder_.emit(graph::make_op_call(op_add(), {to.tensor, leaf})));
  to.tensor = sum;
  return {};
}

Value ReverseMode::value_of(const Adjoint& adjoint, const Type& type) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    std::vector<Value> fields;
    for (size_t i = 0; i < tuple->fields.size(); ++i) {
      fields.push_back(
          value_of(i < adjoint.members.size() ? adjoint.members[i] : Adjoint{}, tuple->fields[i]));
    }
    return graph::make_tuple(std::move(fields));
  }
  if (adjoint.tensor) return adjoint.tensor;
  const auto* t = as<TensorTypeNode>(type);
  return zeros_of(t && t->shape ? *t->shape : Dims{}, t ? t->dtype : dtypes::float32);
}

Value ReverseMode::gradient_in(const Value& v) const {
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    std::vector<Value> fields, seen;
    for (const Value& field : tuple->fields) {
      const bool again = std::count(seen.begin(), seen.end(), field) > 0;
      const Value flowed = again ? nullptr : gradient_in(field);
      fields.push_back(flowed ? flowed : value_of({}, field->type));
      seen.push_back(field);
    }
    return graph::make_tuple(std::move(fields));
  }
  const auto it = adjoints_.find(v.get());
  return it == adjoints_.end() ? nullptr : value_of(it->second, v->type);
}

Result<void> ReverseMode::run() {
  for (size_t i = tape_.size(); i-- > 0;) {
    const graph::Binding& b = tape_[i];
    const Value gradient = gradient_in(b.var);
    if (!gradient) continue;
    REPOSE_REQUIRE(pull(b, gradient));
    adjoints_.erase(b.var.get());
  }
  return {};
}

Result<void> ReverseMode::pull(const graph::Binding& b, const Value& gradient) {
  const Value& v = b.value;
  if (graph::is_leaf(v)) return add(v, gradient);  // of a match_cast too
  if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
    if (const auto* literal = graph::as<graph::TupleNode>(get->tuple)) {
      return add(literal->fields[static_cast<size_t>(get->index)], gradient);
    }
    if (!is_wanted(get->tuple)) return {};
    const Type& type = get->tuple->type;
    Adjoint& tuple = adjoints_[get->tuple.get()];
    tuple.members.resize(as<TupleTypeNode>(type)->fields.size());
    return accumulate(tuple.members[static_cast<size_t>(get->index)], b.var->type, gradient);
  }
  const auto* call = graph::as<graph::CallNode>(v);
  if (call && call->op) return pull_call(b, *call, gradient);
  const char* what = call ? "a call of a function" : "an `if` or a closure";
  return error(DiagnosticKind::unsupported_feature, b.span,
               "`{}` is {}, through which there is no gradient{}", b.var->name, what,
               call ? "; `inline_functions` puts bodies in place of calls" : "");
}

Result<void> ReverseMode::pull_call(const graph::Binding& b, const graph::CallNode& call,
                                    const Value& gradient) {
  if (!call.op->gradient) {
    return error(DiagnosticKind::unsupported_feature, b.span,
                 "`{}` has no gradient, and the target depends by way of it on what gradients are "
                 "asked for",
                 call.op->name);
  }
  REPOSE_REQUIRE(require_known_shapes(call, b.span));
  std::vector<Value> args = call.args;
  Value result = b.var;
  if (recompute_) {
    for (Value& arg : args) {
      REPOSE_TRY(again, recompute_(arg));
      arg = again;
    }
    REPOSE_TRY(again, recompute_(result));
    result = again;
  }
  const auto typed = make_ref<graph::CallNode>(call.op, nullptr, std::move(args), call.attrs,
                                               call.type_args, call.type);
  Pullback p{*typed, result, {}, {}};
  const auto* tuple = as<TupleTypeNode>(b.var->type);
  const std::vector<Value> parts = tuple ? members_of(gradient) : std::vector<Value>{gradient};
  for (size_t i = 0; i < parts.size(); ++i) {
    p.gradients.push_back(nullptr);
    if (!is_float_tensor(tuple ? tuple->fields[i] : b.var->type)) continue;
    REPOSE_TRY(leaf, builder_.normalize(parts[i]));
    p.gradients.back() = leaf;
  }
  for (const Value& arg : call.args) p.wanted.push_back(is_wanted(arg));
  auto gradients = call.op->gradient(builder_, p);
  if (!gradients.ok()) {
    Diagnostics problems = gradients.errors();
    for (Diagnostic& d : problems) {
      if (!d.span) d.span = b.span;  // a rule doesn't know where its call stands
    }
    return problems;
  }
  Emitter emitter(builder_);
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (!p.wanted[i] || !(*gradients)[i]) continue;
    REPOSE_TRY(leaf, emitter.emit((*gradients)[i]));
    REPOSE_REQUIRE(add(call.args[i], leaf));
  }
  return {};
}

}  // namespace repose
