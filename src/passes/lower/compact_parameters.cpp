// Copies parameters with declared strides, so that everything else is compact.
#include "passes/lower/compact_parameters.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "ops/loops.h"
#include "passes/graph/hoist_checks.h"
#include "passes/graph/rewrite_calls.h"

namespace repose {

namespace {

bool has_strides(const Type& type) {
  if (const auto* t = as<TensorTypeNode>(type)) return !t->strides.empty();
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    for (const Type& field : tuple->fields) {
      if (has_strides(field)) return true;
    }
  }
  return false;
}

Diagnostic refusal(const Span& span, const std::string& what) {
  return error(DiagnosticKind::unsupported_feature, span,
               "{} has declared strides; in native code parameters alone have them", what);
}

Diagnostics find_strides(const graph::Function& f, const std::string& name) {
  Diagnostics problems;
  if (has_strides(f->result_type)) {
    problems.push_back(refusal(f->span, fmt::format("the result of `{}`", name)));
  }
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    if (has_strides(b.var->type) || has_strides(b.cast)) {
      problems.push_back(refusal(b.span, fmt::format("`{}`", b.var->name)));
    }
  });
  for (const graph::Variable& p : f->params) {
    if (as<TupleTypeNode>(p->type) && has_strides(p->type)) {
      problems.push_back(refusal(f->span, fmt::format("a member of `{}`", p->name)));
    }
  }
  return problems;
}

// The binding of the compact copy of a parameter.
graph::Binding compact_copy(Module& module, const OpTable& ops, const graph::Variable& param,
                            const graph::Variable& copy, const Span& span) {
  const auto* t = as<TensorTypeNode>(param->type);
  const Buffer source = make_buffer("x", *t->shape, t->dtype, Scope::global, t->strides);
  const Buffer target = make_buffer("y", *t->shape, t->dtype);
  const te::Program program =
      te::close_program({tir::buffer_param(source)}, {tir::buffer_param(target)},
                        copy_nest("compact", source, target));
  const std::string name = module.add_prim_func("compact", program.func);
  const graph::Value call = make_call_tir(ops, name, {param}, {copy->type}, program.symbols);
  const auto* node = graph::as<graph::CallNode>(call);
  return {copy,
          make_ref<graph::CallNode>(node->op, nullptr, node->args, node->attrs, node->type_args,
                                    copy->type),
          nullptr, span};
}

// Programs that are called with the parameter itself know its strides: they keep it.
graph::Body keep_in_programs(const graph::Body& body, const graph::ValueMap& originals) {
  return rewrite_calls(body, [&](const graph::CallNode& call, const Type&) -> graph::Value {
    if (!is_program_call(call)) return nullptr;
    return graph::substitute(graph::Value(&call), originals, {});
  });
}

}  // namespace

Result<Module> compact_parameters(const Module& module, const OpTable& ops) {
  Module result = module;
  Diagnostics problems;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    Diagnostics found = find_strides(f, name);
    problems.insert(problems.end(), found.begin(), found.end());
    if (!found.empty()) continue;
    std::vector<graph::Binding> copies;
    graph::Body body = f->body;
    for (const graph::Variable& p : f->params) {
      const auto* t = as<TensorTypeNode>(p->type);
      if (!t || t->strides.empty() || !t->shape || !t->dtype) continue;
      const graph::Variable copy =
          graph::make_variable(p->name, tensor_type(*t->shape, t->dtype, {}, t->device));
      graph::Body changed =
          keep_in_programs(graph::substitute(body, {{p.get(), copy}}, {}), {{copy.get(), p}});
      const std::vector<graph::Variable> used = graph::free_variables(changed);
      if (std::find(used.begin(), used.end(), copy) == used.end()) continue;
      copies.push_back(compact_copy(result, ops, p, copy, f->span));
      body = std::move(changed);
    }
    if (copies.empty()) continue;
    result.set(name, make_ref<graph::FunctionNode>(f->params, insert_after_checks(body, copies),
                                                   f->result_type, f->is_pure, f->is_private,
                                                   f->attrs, f->span));
  }
  if (!problems.empty()) return problems;
  return result;
}

}  // namespace repose
