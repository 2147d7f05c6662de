// Emits a copy of a function's body where a Builder stands.
#include "passes/graph/emit_body.h"

#include <algorithm>

namespace repose {

namespace {

using graph::Value;

class Emitter {
 public:
  Emitter(Builder& builder, const CallRewrite& rewrite) : builder_(builder), rewrite_(rewrite) {}

  Result<Value> body(const graph::Body& source, graph::ValueMap values, VarMap symbols) {
    for (const graph::Block& block : source->blocks) {
      for (const graph::Binding& x : block.bindings) {
        auto bound = binding(x, values, symbols);
        if (!bound.ok()) return bound.errors();
        values[x.var.get()] = *bound;
        // Symbols that this binding introduced are fresh in each copy.
        match_symbols(x.var->type, (*bound)->type, symbols);
      }
    }
    return graph::substitute(source->result, values, symbols);
  }

  // Each copy has a closure of its own, with parameters and symbols of its own.
  Result<Value> closure(const std::string& name, const graph::Variable& old_self,
                        const graph::FunctionNode& f, graph::ValueMap values, VarMap symbols,
                        const Span& span) {
    const Type type = old_self ? substitute(old_self->type, symbols) : f.type;
    const graph::Variable self = graph::make_variable(name, type, builder_.in_dataflow());
    if (old_self) values[old_self.get()] = self;
    auto params = parameters(f, values, symbols);
    builder_.begin_function(name, std::move(params), {}, f.span);
    REPOSE_TRY(result, body(f.body, std::move(values), symbols));
    FunctionOptions options;
    options.result_type = substitute(f.result_type, symbols);
    options.is_pure = f.is_pure;
    options.attrs = f.attrs;
    REPOSE_TRY(made, builder_.end_function(result, options));
    const std::vector<graph::Variable> free = graph::free_variables(f.body, f.params);
    if (!old_self || std::find(free.begin(), free.end(), old_self) == free.end()) {
      REPOSE_TRY(bound, builder_.emit_binding(made, name, span, false));
      return Value(bound);
    }
    builder_.emit_closure(self, made, span);
    return Value(self);
  }

 private:
  Result<Value> binding(const graph::Binding& x, const graph::ValueMap& values, VarMap& symbols) {
    if (const auto* choice = graph::as<graph::IfNode>(x.value)) {
      return branches(x, *choice, values, symbols);
    }
    if (const auto* f = graph::as<graph::FunctionNode>(x.value)) {
      return closure(x.var->name, x.var, *f, values, symbols, x.span);
    }
    Value value = graph::substitute(x.value, values, symbols);
    if (x.cast) {
      for (const Var& v : binding_symbols(x.cast)) {
        if (!symbols.count(v.get())) symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
      }
      REPOSE_TRY(var,
                 builder_.emit_match_cast(value, substitute(x.cast, symbols), x.var->name, x.span));
      return Value(var);
    }
    if (const auto* call = graph::as<graph::CallNode>(value); call && rewrite_) {
      REPOSE_TRY(replaced, rewrite_(builder_, *call, x.span));
      if (replaced) return builder_.normalize(replaced, x.span);
    }
    REPOSE_TRY(var, builder_.emit(value, x.var->name, x.span));
    return Value(var);
  }

  Result<Value> branches(const graph::Binding& x, const graph::IfNode& choice,
                         const graph::ValueMap& values, const VarMap& symbols) {
    const Value condition = graph::substitute(choice.condition, values, symbols);
    const auto* known = graph::as<graph::PrimValueNode>(condition);
    if (const auto* taken = known ? as<IntImmNode>(known->value) : nullptr) {
      REPOSE_TRY(result, body(taken->value ? choice.then_body : choice.else_body, values, symbols));
      return builder_.normalize(result, x.span);
    }
    builder_.begin_if(condition, x.span);
    REPOSE_TRY(t, body(choice.then_body, values, symbols));
    REPOSE_TRY(then_leaf, builder_.normalize(t));
    builder_.begin_else(then_leaf);
    REPOSE_TRY(e, body(choice.else_body, values, symbols));
    REPOSE_TRY(else_leaf, builder_.normalize(e));
    REPOSE_TRY(joined, builder_.end_if(else_leaf, x.var->name));
    return Value(joined);
  }

  static std::vector<graph::Variable> parameters(const graph::FunctionNode& f,
                                                 graph::ValueMap& values, VarMap& symbols) {
    for (const graph::Variable& p : f.params) {
      for (const Var& v : binding_symbols(p->type)) {
        if (!symbols.count(v.get())) symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
      }
    }
    std::vector<graph::Variable> params;
    for (const graph::Variable& p : f.params) {
      params.push_back(graph::make_variable(p->name, substitute(p->type, symbols)));
      values[p.get()] = params.back();
    }
    return params;
  }

  Builder& builder_;
  const CallRewrite& rewrite_;
};

}  // namespace

Result<Value> emit_body(Builder& builder, const graph::Body& body, graph::ValueMap values,
                        VarMap symbols, const CallRewrite& rewrite) {
  REPOSE_TRY(result, Emitter(builder, rewrite).body(body, std::move(values), std::move(symbols)));
  return builder.normalize(result);
}

Result<Value> emit_closure(Builder& builder, const std::string& name, const graph::Variable& self,
                           const graph::FunctionNode& f, graph::ValueMap values, VarMap symbols,
                           const Span& span, const CallRewrite& rewrite) {
  return Emitter(builder, rewrite)
      .closure(name, self, f, std::move(values), std::move(symbols), span);
}

}  // namespace repose
