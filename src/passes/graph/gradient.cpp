// Adds the gradient of a function.
#include "passes/graph/gradient.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "ops/gradient.h"
#include "passes/graph/eliminate_dead_code.h"

namespace repose {

namespace {

using graph::Value;
using graph::Variable;
using Variables = std::unordered_set<const graph::ValueNode*>;

const OpDef* op_of(const graph::Binding& b) {
  const auto* call = graph::as<graph::CallNode>(b.value);
  return call ? call->op : nullptr;
}

bool is_float_tensor_type(const Type& t) {
  const auto* tensor = as<TensorTypeNode>(t);
  return tensor && tensor->dtype && is_float_dtype(tensor->dtype);
}

// What ends of checkpoints depend on, as far as starts, other ends and parameters.
Variables checkpointed(const graph::Function& f) {
  std::unordered_map<const graph::ValueNode*, const graph::Binding*> binding_of;
  std::vector<const graph::ValueNode*> open;
  Variables kept;  // results of parts
  graph::visit_bindings(f->body, false, [&](const graph::Binding& b) {
    binding_of[b.var.get()] = &b;
    if (op_of(b) != &op_grad_end_checkpoint()) return;
    const auto* end = graph::as<graph::CallNode>(b.value);
    open.push_back(end->args[0].get());
    kept.insert(end->args[0].get());
  });
  Variables seen;
  while (!open.empty()) {
    const graph::ValueNode* v = open.back();
    open.pop_back();
    const auto it = binding_of.find(v);
    if (it == binding_of.end() || it->second->cast) continue;
    const OpDef* op = op_of(*it->second);
    if (op == &op_grad_start_checkpoint() || op == &op_grad_end_checkpoint()) continue;
    if (!seen.insert(v).second) continue;
    std::function<void(const Value&)> note = [&](const Value& operand) {
      open.push_back(operand.get());
      if (graph::as<graph::TupleNode>(operand)) graph::visit_operands(operand, note);
    };
    graph::visit_operands(it->second->value, note);
  }
  for (const graph::ValueNode* v : kept) seen.erase(v);
  return seen;
}

// The values of a part that isn't kept, computed again where they are needed.
class Recomputation {
 public:
  explicit Recomputation(Builder& b) : builder_(b) {}

  void add(const graph::Binding& b) {
    positions_.emplace(b.var.get(), bindings_.size());
    bindings_.push_back(b);
  }

  Result<Value> operator()(const Value& v) {
    if (bindings_.empty()) return v;
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) {
        REPOSE_TRY(again, (*this)(field));
        fields.push_back(again);
      }
      return graph::make_tuple(std::move(fields));
    }
    if (!positions_.contains(v.get())) return v;
    for (const size_t i : needed_for(v)) {
      REPOSE_REQUIRE(compute(bindings_[i]));
    }
    return known_.at(v.get());
  }

 private:
  Builder& builder_;
  std::vector<graph::Binding> bindings_;
  std::unordered_map<const graph::ValueNode*, size_t> positions_;
  graph::ValueMap known_, starts_;

  // The bindings that aren't known yet, in order.
  std::vector<size_t> needed_for(const Value& v) const {
    std::vector<size_t> needed;
    std::unordered_set<size_t> seen;
    std::vector<const graph::ValueNode*> open{v.get()};
    while (!open.empty()) {
      const graph::ValueNode* value = open.back();
      open.pop_back();
      const auto it = positions_.find(value);
      if (it == positions_.end() || known_.contains(value) || !seen.insert(it->second).second) {
        continue;
      }
      needed.push_back(it->second);
      each_variable(bindings_[it->second].value, [&](const Value& x) { open.push_back(x.get()); });
    }
    std::sort(needed.begin(), needed.end());
    return needed;
  }

  static void each_variable(const Value& v, const std::function<void(const Value&)>& visit) {
    graph::visit_operands(v, [&](const Value& operand) {
      if (graph::as<graph::TupleNode>(operand)) return each_variable(operand, visit);
      if (graph::as<graph::VariableNode>(operand)) visit(operand);
    });
  }

  // What the part begins with stays marked, so that nobody takes what is computed again for what
  // was computed before.
  Result<void> compute(const graph::Binding& b) {
    graph::ValueMap operands;
    std::vector<Value> outside;
    each_variable(b.value, [&](const Value& v) {
      if (auto it = known_.find(v.get()); it != known_.end()) {
        operands.emplace(v.get(), it->second);
      } else {
        outside.push_back(v);
      }
    });
    for (const Value& v : outside) {
      Value& start = starts_[v.get()];
      if (!start && graph::tensor_of(v)) {
        REPOSE_TRY(marked, builder_.emit(graph::make_op_call(op_grad_start_checkpoint(), {v}),
                                         v->kind == graph::ValueKind::variable
                                             ? graph::as<graph::VariableNode>(v)->name
                                             : ""));
        start = marked;
      }
      if (start) operands.emplace(v.get(), start);
    }
    REPOSE_TRY(again, builder_.emit(graph::substitute(b.value, operands, {}), b.var->name, b.span));
    // Sizes that the data decides have another name in each call: such values are kept.
    const bool same = structural_equal(again->type, b.var->type);
    known_[b.var.get()] = same ? Value(again) : Value(b.var);
    return {};
  }
};

class Differentiator {
 public:
  Differentiator(const Module& module, const OpTable& ops, const GradientOptions& options)
      : options_(options),
        builder_(ops, module),
        recompute_(builder_),
        reverse_(builder_, [this](const Value& v) { return recompute_(v); }) {}

  Result<Module> run(const graph::Function& f) {
    REPOSE_TRY(sources, begin(f));
    region_ = checkpointed(f);
    for (const Variable& v : sources) reverse_.want(v);
    REPOSE_REQUIRE(copy_body(f));
    const Value results = graph::substitute(f->body->result, values_, symbols_);
    REPOSE_TRY(target, target_of(results, f->span));
    if (!builder_.in_dataflow()) builder_.begin_dataflow();
    const auto* type = graph::tensor_of(target);
    const Value one = graph::make_op_call(op_ones(), {graph::make_shape({})},
                                          Attrs{{"dtype", Attr(type->dtype)}});
    REPOSE_TRY(seed, builder_.emit(one, "seed"));
    REPOSE_REQUIRE(reverse_.add(target, seed));
    REPOSE_REQUIRE(reverse_.run());
    REPOSE_TRY(gradients, gradients_in(sources));
    return end(f, results, sources, gradients);
  }

 private:
  const GradientOptions& options_;
  Builder builder_;
  Recomputation recompute_;
  ReverseMode reverse_;
  graph::ValueMap values_;
  VarMap symbols_;
  Variables region_;  // of the function that is copied

  std::string adjoint_name() const { return options_.function + "_adjoint"; }

  // Begins the copy, with parameters and symbols of its own. Gives the parameters asked for.
  Result<std::vector<Variable>> begin(const graph::Function& f) {
    std::vector<Variable> params, sources;
    for (const Variable& p : f->params) {
      for (const Var& v : free_vars(p->type)) {
        if (!symbols_.contains(v.get())) {
          symbols_.emplace(v.get(), make_var(v->name, v->dtype, v->role));
        }
      }
    }
    std::vector<std::string> names;
    for (const Variable& p : f->params) {
      params.push_back(graph::make_variable(p->name, substitute(p->type, symbols_)));
      values_.emplace(p.get(), params.back());
      names.push_back(p->name);
    }
    for (const std::string& wanted : options_.parameters) {
      const auto at = std::find(names.begin(), names.end(), wanted);
      if (at == names.end()) {
        return error(DiagnosticKind::unknown_name, f->span, "`{}` has no parameter `{}`; it has {}",
                     options_.function, wanted, fmt::join(names, ", "));
      }
      sources.push_back(params[static_cast<size_t>(at - names.begin())]);
      if (is_float_tensor_type(sources.back()->type)) continue;
      return error(DiagnosticKind::dtype_mismatch, f->span,
                   "parameter `{}` of `{}` is of type `{}`, gradients are those of float tensors",
                   wanted, options_.function, to_string(sources.back()->type));
    }
    if (options_.parameters.empty()) {
      std::copy_if(params.begin(), params.end(), std::back_inserter(sources),
                   [](const Variable& p) { return is_float_tensor_type(p->type); });
    }
    const graph::Function renamed = make_ref<graph::FunctionNode>(
        params, f->body, f->result_type, f->is_pure, f->is_private, f->attrs, f->span);
    builder_.begin_function(adjoint_name(), params, declared_facts(renamed), f->span);
    return sources;
  }

  // From the last block that isn't one on, bindings are a dataflow block.
  Result<void> copy_body(const graph::Function& f) {
    const std::vector<graph::Block>& blocks = f->body->blocks;
    size_t plain = blocks.size();
    while (plain > 0 && blocks[plain - 1].is_dataflow) --plain;
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (i == plain) builder_.begin_dataflow();
      for (const graph::Binding& b : blocks[i].bindings) REPOSE_REQUIRE(copy(b));
    }
    return {};
  }

  Result<void> copy(const graph::Binding& b) {
    builder_.set_span(b.span);
    const bool is_function = b.value->kind == graph::ValueKind::function;
    if (is_function || b.value->kind == graph::ValueKind::if_) {
      return error(DiagnosticKind::unsupported_feature, b.span,
                   "the gradient of `{}`: `{}` is {}; gradients are those of functions without "
                   "branches and closures",
                   options_.function, b.var->name, is_function ? "a closure" : "an `if`");
    }
    const Value value = graph::substitute(b.value, values_, symbols_);
    if (const auto named = size_name(b); named && !symbols_.contains(named->name.get())) {
      const Expr size =
          builder_.name_size(substitute(named->value, symbols_), named->name->name, b.span);
      symbols_.emplace(named->name.get(), size);
      values_[b.var.get()] = graph::make_prim(size);
      return {};
    }
    const OpDef* op = op_of(b);
    if (op == &op_grad_start_checkpoint() || op == &op_grad_end_checkpoint()) {
      values_[b.var.get()] = graph::as<graph::CallNode>(value)->args[0];
      return {};
    }
    REPOSE_TRY(bound, emit_copy(b, value));
    values_[b.var.get()] = bound;
    match_symbols(b.var->type, bound->type, symbols_);
    const graph::Binding copied{bound, with_type_of(value, bound), nullptr, b.span};
    reverse_.record(copied);
    if (region_.contains(b.var.get())) recompute_.add(copied);
    return {};
  }

  // Symbols that a call makes are those of the variable that it is bound to.
  static Value with_type_of(const Value& v, const Variable& bound) {
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call) return v;
    return make_ref<graph::CallNode>(call->op, call->callee, call->args, call->attrs,
                                     call->type_args, bound->type);
  }

  Result<Variable> emit_copy(const graph::Binding& b, const Value& value) {
    if (!b.cast) return builder_.emit_binding(value, b.var->name, b.span, false);
    for (const Var& v : binding_symbols(b.cast)) {
      if (!symbols_.contains(v.get())) {
        symbols_.emplace(v.get(), make_var(v->name, v->dtype, v->role));
      }
    }
    return builder_.emit_match_cast(value, substitute(b.cast, symbols_), b.var->name, b.span);
  }

  Result<Value> target_of(const Value& results, const Span& span) {
    const auto* type = as<TupleTypeNode>(results->type);
    const size_t count = type ? type->fields.size() : 1;
    if (options_.target < 0 || static_cast<size_t>(options_.target) >= count) {
      return error(DiagnosticKind::bad_argument, span,
                   "the target is result {} of `{}`, which has {}", options_.target,
                   options_.function, count);
    }
    Value target = results;
    if (const auto* literal = graph::as<graph::TupleNode>(results)) {
      target = literal->fields[static_cast<size_t>(options_.target)];
    } else if (type) {
      const Value item = graph::make_tuple_get(results, options_.target);
      REPOSE_TRY(bound, builder_.emit(item));
      reverse_.record({bound, item, nullptr, span});
      target = bound;
    }
    const TensorTypeNode* tensor = graph::tensor_of(target);
    if (tensor && tensor->rank == 0 && is_float_tensor_type(target->type)) return target;
    return error(DiagnosticKind::type_mismatch, span,
                 "the target, result {} of `{}`, is of type `{}`; gradients are those of a float "
                 "tensor of rank 0",
                 options_.target, options_.function, to_string(target->type));
  }

  Result<std::vector<Value>> gradients_in(const std::vector<Variable>& sources) {
    std::vector<Value> gradients;
    for (const Variable& v : sources) {
      Value g = reverse_.gradient_in(v);
      if (!g) {
        const TensorTypeNode* t = graph::tensor_of(v);
        if (!t->shape) {
          return error(DiagnosticKind::unsupported_feature, {},
                       "`{}` is of type `{}`: its gradient is zeros of an unknown shape", v->name,
                       to_string(v->type));
        }
        g = zeros_of(*t->shape, t->dtype);
      }
      REPOSE_TRY(bound, builder_.emit(g));
      gradients.push_back(bound);
    }
    return gradients;
  }

  // What is returned is visible after the dataflow block, each variable once.
  Value returned(const Value& v, graph::ValueMap& outputs, const std::string& name = "") {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) fields.push_back(returned(field, outputs));
      return graph::make_tuple(std::move(fields));
    }
    const auto* var = graph::as<graph::VariableNode>(v);
    if (!var || !var->is_dataflow) return v;
    Value& output = outputs[var];
    if (!output) output = builder_.emit_output(v, name.empty() ? var->name : name);
    return output;
  }

  Result<Module> end(const graph::Function& f, const Value& results,
                     const std::vector<Variable>& sources, const std::vector<Value>& gradients) {
    graph::ValueMap outputs;
    std::vector<Value> named;
    for (size_t i = 0; i < gradients.size(); ++i) {
      named.push_back(returned(gradients[i], outputs, sources[i]->name + "_grad"));
    }
    const Value all = graph::make_tuple({returned(results, outputs), graph::make_tuple(named)});
    builder_.end_dataflow();
    builder_.set_span({});
    FunctionOptions options;
    options.is_pure = f->is_pure;
    options.is_private = f->is_private;
    options.attrs = f->attrs;
    options.attrs.erase("output_names");  // there are more results
    REPOSE_TRY(made, builder_.end_function(all, options));
    Module result = std::move(builder_.module());
    const auto* adjoint = graph::as<graph::FunctionNode>(made);
    result.set(adjoint_name(), eliminate_dead_code(graph::Function(adjoint), result));
    return result;
  }
};

}  // namespace

Result<Module> gradient(const Module& module, const OpTable& ops, const GradientOptions& options) {
  const graph::Function f = module.graph_function(options.function);
  if (!f) {
    return error(DiagnosticKind::unknown_name, {},
                 "the gradient of `{}`: no graph function has "
                 "that name",
                 options.function);
  }
  if (module.find(options.function + "_adjoint")) {
    return error(DiagnosticKind::bad_argument, f->span,
                 "the gradient of `{}`: the module has a `{}_adjoint` already", options.function,
                 options.function);
  }
  return Differentiator(module, ops, options).run(f);
}

}  // namespace repose
