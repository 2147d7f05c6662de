// Replaces operators by tensor programs and simpler operators.
#include "passes/lower/legalize.h"

#include <algorithm>

#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

// Programs are made for shapes, if symbolic ones.
Result<void> require_shapes(const graph::CallNode& call, const Span& span) {
  for (size_t i = 0; i < call.args.size(); ++i) {
    std::function<bool(const Type&)> known = [&](const Type& t) {
      if (const auto* tensor = as<TensorTypeNode>(t)) return tensor->shape && tensor->dtype;
      const auto* tuple = as<TupleTypeNode>(t);
      return !tuple || std::all_of(tuple->fields.begin(), tuple->fields.end(), known);
    };
    if (!call.args[i]->type || known(call.args[i]->type)) continue;
    return error(
        DiagnosticKind::unsupported_feature, span,
        "`{}`: operand {} is of type `{}`; to compile it, a match_cast has to say what its "
        "shape and dtype are",
        call.op->name, i, to_string(call.args[i]->type));
  }
  return {};
}

// Lowers a value until only calls that later stages know are left in it.
Result<Value> lower_value(Builder& b, const Value& value, const Span& span) {
  const auto* call = graph::as<graph::CallNode>(value);
  if (!call) {
    if (const auto* tuple = graph::as<graph::TupleNode>(value)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) {
        REPOSE_TRY(lowered, lower_value(b, field, span));
        REPOSE_TRY(leaf, b.normalize(lowered, span));
        fields.push_back(leaf);
      }
      return graph::make_tuple(std::move(fields));
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(value)) {
      REPOSE_TRY(lowered, lower_value(b, get->tuple, span));
      REPOSE_TRY(leaf, b.normalize(lowered, span));
      return leaf == get->tuple ? value : graph::make_tuple_get(leaf, get->index);
    }
    return value;
  }
  if (!call->op) return value;
  std::vector<Value> args;
  for (const Value& a : call->args) {
    REPOSE_TRY(lowered, lower_value(b, a, span));
    args.push_back(lowered);
  }
  if (!call->op->lower && args == call->args) return value;
  REPOSE_TRY(typed, b.infer_only(make_ref<graph::CallNode>(call->op, call->callee, std::move(args),
                                                           call->attrs, call->type_args, nullptr),
                                 span));
  if (!call->op->lower) return typed;
  auto shapes = require_shapes(*graph::as<graph::CallNode>(typed), span);
  if (!shapes.ok()) return shapes.errors();
  auto lowered = call->op->lower(b, *graph::as<graph::CallNode>(typed));
  if (lowered.ok()) return lower_value(b, *lowered, span);
  Diagnostics problems = lowered.errors();
  for (Diagnostic& d : problems) {
    if (!d.span) d.span = span;  // a lowering doesn't know where its call stands
  }
  return problems;
}

}  // namespace

Result<Module> legalize(const Module& module, const OpTable& ops) {
  return rebuild_functions(
      module, ops, [](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
        if (!call.op) return Value();
        // A shape that is known is written down: what it was computed from is lowered too, and a
        // program's result tells no elements.
        const auto* shape = as<ShapeTypeNode>(call.type);
        if (shape && shape->dims && call.op->pure) return graph::make_shape(*shape->dims);
        if (!call.op->lower) return Value();
        return lower_value(b, Value(&call), span);
      });
}

}  // namespace repose
