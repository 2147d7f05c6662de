// Makes every symbol of every tensor program a scalar parameter, and every call pass it.
#include "passes/lower/expose_symbols.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "passes/graph/rewrite_calls.h"

namespace repose {

namespace {

// Outputs stand last among the parameters; symbols go before them.
tir::PrimFunc with_scalars(const tir::PrimFunc& f, const std::vector<Var>& symbols, size_t inputs) {
  std::vector<tir::Param> params(f->params.begin(),
                                 f->params.begin() + static_cast<int64_t>(inputs));
  for (const Var& v : symbols) params.push_back(tir::scalar_param(v));
  params.insert(params.end(), f->params.begin() + static_cast<int64_t>(inputs), f->params.end());
  return tir::make_prim_func(std::move(params), f->body, f->is_private, f->attrs, f->span);
}

// The tensors that a call allocates: all of its results, but those that overwrite an argument.
std::vector<const TensorTypeNode*> new_results(const graph::CallNode& call, const Type& type) {
  std::vector<const TensorTypeNode*> all = tensor_leaves(type);
  if (call.op->name != "call_tir_inplace") return all;
  const std::vector<int64_t> overwritten = call.attrs.get_ints("inplace_indices");
  std::vector<const TensorTypeNode*> results;
  for (size_t i = 0; i < all.size(); ++i) {
    if (overwritten.at(i) < 0) results.push_back(all[i]);
  }
  return results;
}

// The program that a call_tir or call_tir_inplace calls; null for other calls.
tir::PrimFunc called_program(const Module& module, const graph::CallNode& call) {
  if (!is_program_call(call)) return nullptr;
  return module.prim_func(graph::as<graph::GlobalNode>(call.args[0])->name);
}

const std::string& program_name(const graph::CallNode& call) {
  return graph::as<graph::GlobalNode>(call.args[0])->name;
}
const std::vector<graph::Value>& program_args(const graph::CallNode& call) {
  return graph::as<graph::TupleNode>(call.args[1])->fields;
}

// What the program's symbols are in a call.
VarMap symbol_values(const tir::PrimFunc& f, const graph::CallNode& call, const Type& type) {
  std::vector<const TensorTypeNode*> buffers;
  for (const graph::Value& a : program_args(call)) {
    if (const TensorTypeNode* t = graph::tensor_of(a)) buffers.push_back(t);
  }
  for (const TensorTypeNode* t : new_results(call, type)) buffers.push_back(t);
  VarMap values;
  size_t next = 0;
  for (const tir::Param& p : f->params) {
    if (!p.buffer) continue;
    const TensorTypeNode* t = buffers.at(next++);
    for (size_t d = 0; d < p.buffer->shape.size(); ++d) {
      if (const auto* v = as<VarNode>(p.buffer->shape[d])) values.emplace(v, (*t->shape)[d]);
    }
    Expr compact = make_int(1);
    for (size_t d = p.buffer->strides.size(); d-- > 0; compact = compact * (*t->shape)[d]) {
      const auto* v = as<VarNode>(p.buffer->strides[d]);
      if (v) values.emplace(v, t->strides.empty() ? canonical(compact) : t->strides[d]);
    }
  }
  return values;
}

}  // namespace

Module expose_symbols(const Module& module) {
  Module result = module;
  // Symbols stand where the call with the fewest arguments ends: a call in place passes as
  // arguments what another call gets as results.
  std::unordered_map<std::string, size_t> positions;
  rewrite_calls(result, [&](const graph::CallNode& call, const Type&) -> graph::Value {
    if (called_program(module, call)) {
      const size_t args = program_args(call).size();
      auto [it, first] = positions.emplace(program_name(call), args);
      it->second = std::min(it->second, args);
    }
    return nullptr;
  });
  rewrite_calls(result, [&](const graph::CallNode& call, const Type& type) -> graph::Value {
    tir::PrimFunc f = called_program(module, call);
    if (!f) return nullptr;
    const std::vector<Var> symbols = tir::bound_symbols(*f);
    if (symbols.empty()) return nullptr;
    const std::string& name = program_name(call);
    const size_t position = positions.at(name);
    const VarMap values = symbol_values(f, call, type);
    std::vector<graph::Value> scalars, args = program_args(call);
    for (const Var& v : symbols) scalars.push_back(graph::make_prim(values.at(v.get())));
    args.insert(args.begin() + static_cast<int64_t>(position), scalars.begin(), scalars.end());
    Attrs attrs = call.attrs;
    if (call.op->name == "call_tir_inplace") {
      std::vector<int64_t> overwritten = attrs.get_ints("inplace_indices");
      for (int64_t& i : overwritten) {
        if (i >= static_cast<int64_t>(position)) i += static_cast<int64_t>(symbols.size());
      }
      attrs.set("inplace_indices", Attr(overwritten));
    }
    if (result.prim_func(name) == f) result.set(name, with_scalars(f, symbols, position));
    return make_ref<graph::CallNode>(
        call.op, nullptr,
        std::vector<graph::Value>{call.args[0], graph::make_tuple(std::move(args))},
        std::move(attrs), call.type_args, type);
  });
  return result;
}

}  // namespace repose
