// Builds the graph functions of a module anew, call by call.
#include "passes/graph/rebuild.h"

#include <algorithm>

#include "base/work.h"
#include "ir/function_facts.h"

namespace repose {

namespace {

using graph::Value;

class Rebuilder {
 public:
  Rebuilder(const Module& module, const OpTable& ops, const RebuildHooks& hooks)
      : builder_(ops, module), hooks_(hooks) {}

  Result<Module> run() {
    const std::vector<std::string> names = builder_.module().names();
    for (const std::string& name : names) {
      graph::Function f = builder_.module().graph_function(name);
      if (!f) continue;
      values_.clear();
      symbols_.clear();
      FunctionOptions options = options_of(*f);
      if (hooks_.begin) {
        auto begun = hooks_.begin(rebuilding_, name, f, options);
        if (!begun.ok()) return begun.errors();
      }
      auto done = function(name, f, std::move(options));
      if (!done.ok()) return done.errors();
    }
    return std::move(builder_.module());
  }

 private:
  static FunctionOptions options_of(const graph::FunctionNode& f) {
    FunctionOptions options;
    options.result_type = f.result_type;
    options.is_pure = f.is_pure;
    options.is_private = f.is_private;
    options.attrs = f.attrs;
    return options;
  }

  // The parameters of a closure mention symbols of the functions around it.
  std::vector<graph::Variable> parameters(const graph::Function& f) {
    std::vector<graph::Variable> params;
    for (const graph::Variable& p : f->params) {
      if (values_.contains(p.get())) continue;
      const Type type = substitute(p->type, symbols_);
      params.push_back(type == p->type ? p : graph::make_variable(p->name, type));
      if (params.back() != p) values_[p.get()] = params.back();
    }
    return params;
  }

  Result<Value> function(const std::string& name, const graph::Function& f,
                         FunctionOptions options) {
    builder_.begin_function(name, parameters(f), declared_facts(f), f->span);
    REPOSE_TRY(result, body(f->body));
    builder_.set_span({});
    if (options.result_type) options.result_type = substitute(options.result_type, symbols_);
    return builder_.end_function(result, std::move(options));
  }

  Value map(const Value& v) { return graph::substitute(v, values_, symbols_); }

  Result<Value> body(const graph::Body& b) {
    for (const graph::Block& block : b->blocks) {
      const bool opens = block.is_dataflow && !builder_.in_dataflow();
      if (opens) builder_.begin_dataflow();
      for (const graph::Binding& binding : block.bindings) {
        auto done = this->binding(binding);
        if (!done.ok()) return done.errors();
      }
      if (opens) builder_.end_dataflow();
    }
    return map(b->result);
  }

  Result<void> binding(const graph::Binding& b) {
    const WorkPart part(b.span);
    builder_.set_span(b.span);
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      builder_.begin_if(map(choice->condition), b.span);
      REPOSE_TRY(then_result, body(choice->then_body));
      REPOSE_TRY(then_leaf, builder_.normalize(then_result, b.span));
      builder_.begin_else(then_leaf);
      REPOSE_TRY(else_result, body(choice->else_body));
      REPOSE_TRY(else_leaf, builder_.normalize(else_result, b.span));
      REPOSE_TRY(joined, builder_.end_if(else_leaf, b.var->name));
      return define(b, joined);
    }
    if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
      return this->closure(b, graph::Function(closure));
    }
    if (hooks_.binding) {
      REPOSE_TRY(replaced, hooks_.binding(rebuilding_, b));
      if (replaced.is_left_out) return {};
      auto done = replaced.value ? bind(b, replaced.value) : plain_binding(b);
      for (const graph::Binding& next : replaced.followed_by) {
        if (!done.ok()) return done;
        done = plain_binding(next);
      }
      return done;
    }
    return plain_binding(b);
  }

  Result<void> plain_binding(const graph::Binding& b) {
    Value value = map(b.value);
    if (const auto named = size_name(b); named && is_new(named->name)) {
      const Expr size =
          builder_.name_size(substitute(named->value, symbols_), named->name->name, b.span);
      symbols_.emplace(named->name.get(), size);
      values_[b.var.get()] = graph::make_prim(size);
      return {};
    }
    if (b.cast) {
      REPOSE_TRY(
          var, builder_.emit_match_cast(value, substitute(b.cast, symbols_), b.var->name, b.span));
      return define(b, var);
    }
    value = with_simple_shapes(value);
    if (const auto* call = graph::as<graph::CallNode>(value); call && hooks_.call) {
      REPOSE_TRY(replaced, hooks_.call(builder_, *call, b.span));
      if (replaced) value = replaced;
    }
    return bind(b, value);
  }

  Result<void> bind(const graph::Binding& b, const Value& value) {
    const bool is_output = builder_.in_dataflow() && !b.var->is_dataflow;
    const bool needs_no_binding =
        value->kind == graph::ValueKind::variable || value->kind == graph::ValueKind::constant;
    if (needs_no_binding && !is_output) {
      values_[b.var.get()] = value;
      match_symbols(b.var->type, value->type);
      return {};
    }
    REPOSE_TRY(var, is_output ? builder_.emit_binding(value, b.var->name, b.span, true)
                              : builder_.emit(value, b.var->name, b.span));
    values_[b.var.get()] = var;
    match_symbols(b.var->type, var->type);
    return {};
  }

  Result<void> closure(const graph::Binding& b, const graph::Function& f) {
    const std::vector<graph::Variable> free = graph::free_variables(f->body, f->params);
    if (std::find(free.begin(), free.end(), b.var) == free.end()) {
      REPOSE_TRY(value, function(b.var->name, f, options_of(*f)));
      const bool is_output = builder_.in_dataflow() && !b.var->is_dataflow;
      REPOSE_TRY(var, builder_.emit_binding(value, b.var->name, b.span, is_output));
      values_[b.var.get()] = var;
      return {};
    }
    // Its own body calls it.
    graph::Variable self =
        graph::make_variable(b.var->name, substitute(b.var->type, symbols_), b.var->is_dataflow);
    values_[b.var.get()] = self;
    REPOSE_TRY(value, function(b.var->name, f, options_of(*f)));
    builder_.emit_closure(self, value, b.span);
    return {};
  }

  // What is known by now may say more about the members of a shape than when it was written.
  Value with_simple_shapes(const Value& v) {
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call || !call->op) return v;
    std::vector<Value> args = call->args;
    bool changed = false;
    for (Value& arg : args) {
      const auto* shape = graph::as<graph::ShapeNode>(arg);
      if (!shape) continue;
      Dims dims = shape->dims;
      for (Expr& d : dims) {
        if (!d->args.empty()) d = simplify(d, builder_.facts());
      }
      if (dims == shape->dims) continue;
      arg = graph::make_shape(std::move(dims));
      changed = true;
    }
    if (!changed) return v;
    return make_ref<graph::CallNode>(call->op, call->callee, std::move(args), call->attrs,
                                     call->type_args, call->type);
  }

  bool is_new(const Var& v) const {
    return !symbols_.contains(v.get()) && !builder_.binds(v.get());
  }

  // A variable that is visible after its dataflow block stays so.
  Result<void> define(const graph::Binding& old, const graph::Variable& var) {
    graph::Variable bound = var;
    if (builder_.in_dataflow() && !old.var->is_dataflow) {
      bound = builder_.emit_output(var, old.var->name, old.span);
      if (const auto* known = builder_.elements_of(var)) {
        builder_.set_elements(bound, std::vector<Expr>(*known));
      }
    }
    values_[old.var.get()] = bound;
    match_symbols(old.var->type, bound->type);
    return {};
  }

  // Symbols that were fresh in the old function are whatever stands there now, under their name.
  void match_symbols(const Type& old, const Type& now) {
    auto match = [&](const Dims& a, const Dims& b) {
      for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
        const auto* v = as<VarNode>(a[i]);
        // One that is bound here stands for itself, whatever is known to equal it in a branch.
        if (!v || a[i] == b[i] || builder_.binds(v) || !symbols_.emplace(v, b[i]).second) continue;
        if (const auto* now = as<VarNode>(b[i])) builder_.name_symbol(Var(now), v->name);
      }
    };
    if (const auto *a = as<TensorTypeNode>(old), *b = as<TensorTypeNode>(now); a && b) {
      if (a->shape && b->shape) match(*a->shape, *b->shape);
    } else if (const auto* a = as<ShapeTypeNode>(old), *b = as<ShapeTypeNode>(now); a && b) {
      if (a->dims && b->dims) match(*a->dims, *b->dims);
    } else if (const auto* a = as<PrimTypeNode>(old), *b = as<PrimTypeNode>(now); a && b) {
      if (a->value && b->value) match({a->value}, {b->value});
    } else if (const auto* a = as<TupleTypeNode>(old), *b = as<TupleTypeNode>(now); a && b) {
      for (size_t i = 0; i < a->fields.size() && i < b->fields.size(); ++i) {
        match_symbols(a->fields[i], b->fields[i]);
      }
    }
  }

  Builder builder_;
  const RebuildHooks& hooks_;
  graph::ValueMap values_;
  VarMap symbols_;
  Rebuilding rebuilding_{builder_, values_, symbols_};
};

}  // namespace

Result<Module> rebuild_functions(const Module& module, const OpTable& ops,
                                 const CallRewrite& rewrite) {
  RebuildHooks hooks;
  hooks.call = rewrite;
  return Rebuilder(module, ops, hooks).run();
}

Result<Module> rebuild_functions(const Module& module, const OpTable& ops,
                                 const RebuildHooks& hooks) {
  return Rebuilder(module, ops, hooks).run();
}

}  // namespace repose
