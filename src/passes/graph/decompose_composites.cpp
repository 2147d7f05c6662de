// Replaces operators that consist of others by these.
#include "passes/graph/decompose_composites.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "passes/graph/canonicalize_bindings.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

bool has_shape(const Type& t) {
  if (const auto* tensor = as<TensorTypeNode>(t)) return tensor->shape && tensor->dtype;
  const auto* tuple = as<TupleTypeNode>(t);
  return !tuple || std::all_of(tuple->fields.begin(), tuple->fields.end(), has_shape);
}

// Whether a lowering gave calls of operators alone, none of them emitted yet.
bool is_composition(const Value& v) {
  const auto* call = graph::as<graph::CallNode>(v);
  if (call && (!call->op || call->op->name.starts_with("call_tir"))) return false;
  bool all = true;
  graph::visit_operands(v, [&](const Value& o) { all = all && is_composition(o); });
  return all;
}

// The call in terms of other operators; null: it isn't made of any. Lowerings that make programs
// leave them in a module of their own.
Value composition(const OpTable& ops, const graph::CallNode& call, const Facts& facts) {
  if (!call.op || !call.op->lower || !call.op->pure) return nullptr;
  for (const Value& arg : call.args) {
    if (arg->type && !has_shape(arg->type)) return nullptr;
  }
  Builder aside(ops);
  aside.begin_function("composite", {}, facts);
  auto lowered = call.op->lower(aside, call);
  if (!lowered.ok() || !aside.module().names().empty() || !is_composition(*lowered)) return nullptr;
  return *lowered;
}

}  // namespace

Result<Module> decompose_composites(const Module& module, const OpTable& ops) {
  bool any = false;
  RebuildHooks hooks;
  // A composite may consist of composites.
  std::function<Result<Value>(Builder&, const Value&)> decomposed =
      [&](Builder& b, const Value& v) -> Result<Value> {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) {
        REPOSE_TRY(part, decomposed(b, field));
        REPOSE_TRY(leaf, b.normalize(part));
        fields.push_back(leaf);
      }
      return graph::make_tuple(std::move(fields));
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      REPOSE_TRY(part, decomposed(b, get->tuple));
      REPOSE_TRY(leaf, b.normalize(part));
      return graph::make_tuple_get(leaf, get->index);
    }
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call || !call->op) return v;
    std::vector<Value> args;
    for (const Value& arg : call->args) {
      REPOSE_TRY(part, decomposed(b, arg));
      REPOSE_TRY(leaf, b.normalize(part));
      args.push_back(leaf);
    }
    REPOSE_TRY(typed,
               b.infer_only(make_ref<graph::CallNode>(call->op, nullptr, std::move(args),
                                                      call->attrs, call->type_args, nullptr)));
    const Value parts = composition(ops, *graph::as<graph::CallNode>(typed), b.facts());
    if (!parts) return typed;
    any = true;
    return decomposed(b, parts);
  };
  hooks.call = [&](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
    if (!call.op || !call.op->lower || !call.op->pure || is_check(Value(&call))) return Value();
    REPOSE_TRY(typed, b.infer_only(Value(&call), span));
    const Value parts = composition(ops, *graph::as<graph::CallNode>(typed), b.facts());
    if (!parts) return Value();
    any = true;
    return decomposed(b, parts);
  };
  REPOSE_TRY(result, rebuild_functions(module, ops, hooks));
  return any ? canonicalize_bindings(result, ops) : module;
}

}  // namespace repose
