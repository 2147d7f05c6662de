// Makes every symbol of every tensor program a scalar parameter, and every call pass it.
#include "passes/lower/expose_symbols.h"

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

void result_tensors(const Type& t, std::vector<const TensorTypeNode*>& out) {
  if (const auto* tensor = as<TensorTypeNode>(t)) out.push_back(tensor);
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) result_tensors(field, out);
  }
}

}  // namespace

Module expose_symbols(const Module& module) {
  Module result = module;
  std::unordered_map<std::string, std::vector<Var>> exposed;
  rewrite_calls(result, [&](const graph::CallNode& call, const Type& type) -> graph::Value {
    if (!call.op || call.op->name != "call_tir") return nullptr;
    const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
    tir::PrimFunc f = module.prim_func(name);
    if (!f) return nullptr;
    const std::vector<Var> symbols = tir::bound_symbols(*f);
    if (symbols.empty()) return nullptr;
    std::vector<graph::Value> args = graph::as<graph::TupleNode>(call.args[1])->fields;
    std::vector<const TensorTypeNode*> buffers;
    for (const graph::Value& a : args) {
      if (const TensorTypeNode* t = graph::tensor_of(a)) buffers.push_back(t);
    }
    const size_t inputs = args.size();
    result_tensors(type, buffers);
    VarMap values;
    size_t next = 0;
    for (const tir::Param& p : f->params) {
      if (!p.buffer) continue;
      const TensorTypeNode* t = buffers.at(next++);
      for (size_t d = 0; d < p.buffer->shape.size(); ++d) {
        if (const auto* v = as<VarNode>(p.buffer->shape[d])) values.emplace(v, (*t->shape)[d]);
      }
    }
    for (const Var& v : symbols) args.push_back(graph::make_prim(values.at(v.get())));
    if (exposed.emplace(name, symbols).second) result.set(name, with_scalars(f, symbols, inputs));
    return make_ref<graph::CallNode>(
        call.op, nullptr,
        std::vector<graph::Value>{call.args[0], graph::make_tuple(std::move(args))}, call.attrs,
        call.type_args, type);
  });
  return result;
}

}  // namespace repose
