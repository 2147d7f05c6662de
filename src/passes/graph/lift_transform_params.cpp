// Moves what depends on weights alone into a function of its own.
#include "passes/graph/lift_transform_params.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// What moves out of a function, and what of it is read by what stays.
struct MovedOut {
  std::vector<const Binding*> bindings;
  std::vector<graph::Variable> results;       // variables that what stays reads
  std::vector<graph::Variable> kept_weights;  // parameters that what stays reads
};

class MovedOutFinder {
 public:
  MovedOutFinder(const graph::Function& f, size_t inputs) : f_(f) {
    for (size_t i = inputs; i < f->params.size(); ++i) {
      weights_.insert(f->params[i].get());
      for (const Var& v : binding_symbols(f->params[i]->type)) symbols_.insert(v.get());
    }
  }

  MovedOut find() {
    MovedOut lifted;
    for (const graph::Block& block : f_->body->blocks) {
      for (const Binding& b : block.bindings) {
        // What stands behind a check may rest on it.
        if (is_check(b.value) || b.cast) return finish(std::move(lifted));
        if (!moves(b)) continue;
        weights_.insert(b.var.get());
        moved_.insert(&b);
        lifted.bindings.push_back(&b);
      }
    }
    return finish(std::move(lifted));
  }

 private:
  bool moves(const Binding& b) const {
    const auto* call = graph::as<graph::CallNode>(b.value);
    const bool is_kind = call ? call->op && call->op->pure && call->op->lower
                              : b.value->kind == graph::ValueKind::tuple_get ||
                                    b.value->kind == graph::ValueKind::tuple;
    if (!is_kind || !reads_weights_alone(b.value) || !knows_symbols(b.var->type)) return false;
    bool any = false;
    std::function<void(const Value&)> look = [&](const Value& v) {
      any = any || v->kind == graph::ValueKind::variable;
      graph::visit_operands(v, look);
    };
    look(b.value);
    return any;
  }

  bool reads_weights_alone(const Value& v) const {
    if (v->kind == graph::ValueKind::variable) return weights_.contains(v.get());
    if (v->type && !knows_symbols(v->type)) return false;
    bool all = true;
    graph::visit_operands(v, [&](const Value& o) { all = all && reads_weights_alone(o); });
    return all;
  }

  bool knows_symbols(const Type& t) const {
    const std::vector<Var> used = free_vars(t);
    return std::all_of(used.begin(), used.end(),
                       [&](const Var& v) { return symbols_.contains(v.get()); });
  }

  MovedOut finish(MovedOut lifted) const {
    std::unordered_set<const graph::ValueNode*> read;
    std::function<void(const Value&)> note = [&](const Value& v) {
      read.insert(v.get());
      graph::visit_operands(v, note);
    };
    graph::visit_bindings(f_->body, true, [&](const Binding& b) {
      if (moved_.contains(&b)) return;
      note(b.value);
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        note(choice->then_body->result);
        note(choice->else_body->result);
      } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        note(closure->body->result);
      }
    });
    note(f_->body->result);
    for (const Binding* b : lifted.bindings) {
      if (read.contains(b->var.get())) lifted.results.push_back(b->var);
    }
    for (const graph::Variable& p : f_->params) {
      if (weights_.contains(p.get()) && read.contains(p.get())) lifted.kept_weights.push_back(p);
    }
    return lifted;
  }

  const graph::Function& f_;
  std::unordered_set<const graph::ValueNode*> weights_;  // and what is made of them
  std::unordered_set<const VarNode*> symbols_;           // that weights bind
  std::unordered_set<const Binding*> moved_;
};

Result<std::optional<size_t>> number_of_inputs(const graph::Function& f) {
  const Attr* attr = f->attrs.find("num_input");
  if (!attr) return std::optional<size_t>();
  const int64_t* n = attr->as_int();
  if (!n || *n < 0 || static_cast<size_t>(*n) > f->params.size()) {
    return error(DiagnosticKind::bad_attribute, f->span,
                 "`num_input` is no number of parameters, of which there are {}", f->params.size());
  }
  return std::optional<size_t>(static_cast<size_t>(*n));
}

// Weights that main needs as they are come out of it too: main gets nothing but its result.
graph::Function transform_function(const graph::Function& f, size_t inputs,
                                   const MovedOut& lifted) {
  std::vector<graph::Variable> params(f->params.begin() + static_cast<std::ptrdiff_t>(inputs),
                                      f->params.end());
  VarMap symbols;
  for (const graph::Variable& p : params) {
    for (const Var& v : free_vars(p->type)) {
      symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
    }
  }
  graph::Block block{false, {}};
  for (const Binding* b : lifted.bindings) block.bindings.push_back(*b);
  std::vector<Value> results;
  std::vector<Type> types;
  for (const auto* list : {&lifted.kept_weights, &lifted.results}) {
    for (const graph::Variable& v : *list) {
      results.push_back(v);
      types.push_back(v->type);
    }
  }
  // Variables of a dataflow block are visible in it only.
  graph::ValueMap values;
  for (Binding& b : block.bindings) {
    const graph::Variable var = graph::make_variable(b.var->name, b.var->type);
    values.emplace(b.var.get(), var);
    b.var = var;
  }
  for (Binding& b : block.bindings) b.value = graph::substitute(b.value, values, {});
  for (Value& v : results) v = graph::substitute(v, values, {});
  const graph::Function made = make_ref<graph::FunctionNode>(
      params,
      make_ref<graph::BodyNode>(std::vector<graph::Block>{std::move(block)},
                                graph::make_tuple(std::move(results))),
      tuple_type(std::move(types)), true, f->is_private, Attrs{}, f->span);
  graph::ValueMap fresh;
  for (const graph::Variable& p : params) {
    fresh.emplace(p.get(), graph::make_variable(p->name, substitute(p->type, symbols)));
  }
  return graph::substitute(made, fresh, symbols);
}

graph::Function rest_function(const graph::Function& f, size_t inputs, const MovedOut& lifted) {
  std::vector<graph::Variable> params(f->params.begin(),
                                      f->params.begin() + static_cast<std::ptrdiff_t>(inputs));
  graph::ValueMap values;
  for (const graph::Variable& p : lifted.kept_weights) params.push_back(p);
  for (const graph::Variable& v : lifted.results) {
    params.push_back(graph::make_variable(v->name, v->type));
    values.emplace(v.get(), params.back());
  }
  std::vector<graph::Block> blocks = f->body->blocks;
  std::unordered_set<const graph::ValueNode*> moved;
  for (const Binding* b : lifted.bindings) moved.insert(b->var.get());
  for (graph::Block& block : blocks) {
    std::erase_if(block.bindings, [&](const Binding& b) { return moved.contains(b.var.get()); });
  }
  std::erase_if(blocks, [](const graph::Block& b) { return b.bindings.empty(); });
  Attrs attrs = f->attrs;
  for (const char* key : {"num_input", "input_names", "donate"}) attrs.erase(key);
  const auto body = make_ref<graph::BodyNode>(std::move(blocks), f->body->result);
  return make_ref<graph::FunctionNode>(std::move(params), graph::substitute(body, values, {}),
                                       f->result_type, f->is_pure, f->is_private, std::move(attrs),
                                       f->span);
}

// Whether the parameters that stay bind each symbol that the function needs.
bool binds_symbols(const graph::Function& f) {
  std::unordered_set<const VarNode*> bound;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : binding_symbols(p->type)) bound.insert(v.get());
  }
  bool all = true;
  auto look = [&](const Type& t) {
    if (!t) return;
    for (const Var& v : free_vars(t)) all = all && bound.contains(v.get());
  };
  for (const graph::Variable& p : f->params) look(p->type);
  for (const graph::Block& block : f->body->blocks) {
    for (const Binding& b : block.bindings) {
      std::function<void(const Value&)> operands = [&](const Value& v) {
        if (v->kind == graph::ValueKind::shape || v->kind == graph::ValueKind::prim_value) {
          look(v->type);
        }
        graph::visit_operands(v, operands);
      };
      operands(b.value);
    }
  }
  return all;
}

}  // namespace

Result<Module> lift_transform_params(const Module& module, const OpTable&) {
  Module result = module;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    REPOSE_TRY(inputs, number_of_inputs(f));
    if (!inputs) continue;
    const MovedOut lifted = MovedOutFinder(f, *inputs).find();
    if (lifted.bindings.empty()) continue;
    const graph::Function rest = rest_function(f, *inputs, lifted);
    if (!binds_symbols(rest)) continue;
    result.set(result.fresh_name(name + "_transform_params"),
               transform_function(f, *inputs, lifted));
    result.set(name, rest);
  }
  return result;
}

}  // namespace repose
