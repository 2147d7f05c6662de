// Brings calls of packed functions to one form, with names for what their results don't say.
#include "passes/lower/specify_packed_calls.h"

#include "ir/packed_call.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

// The packed function that a value is; null where it is another function, or one that nobody knows.
Value external_of(const Module& module, const Value& v) {
  if (!v || v->kind == graph::ValueKind::external) return v;
  const auto* g = graph::as<graph::GlobalNode>(v);
  const Definition* d = g ? module.find(g->name) : nullptr;
  const auto* function = d ? std::get_if<ExternFunc>(d) : nullptr;
  return function ? Value(make_ref<graph::ExternNode>(function->symbol)) : nullptr;
}

// Variables that are packed functions give way to these.
graph::Function without_names(const Module& module, const graph::Function& f) {
  graph::ValueMap functions;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    if (b.cast || b.value->kind == graph::ValueKind::call) return;
    auto known = functions.find(b.value.get());
    Value function = known != functions.end() ? known->second : external_of(module, b.value);
    if (function) functions.emplace(b.var.get(), std::move(function));
  });
  if (functions.empty()) return f;
  return make_ref<graph::FunctionNode>(f->params, graph::substitute(f->body, functions, {}),
                                       f->result_type, f->is_pure, f->is_private, f->attrs,
                                       f->span);
}

bool calls_packed(const graph::Function& f) {
  bool found = false;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    found = found || (call && (call->callee || is_packed_call(*call) || is_dps_packed(*call)));
  });
  return found;
}

Type with_names(const Type& type) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    std::vector<Type> fields;
    bool is_new = false;
    for (const Type& field : tuple->fields) {
      fields.push_back(with_names(field));
      is_new = is_new || fields.back() != field;
    }
    return is_new ? tuple_type(std::move(fields)) : type;
  }
  if (const auto* t = as<TensorTypeNode>(type); t && !t->shape && t->rank >= 0 && t->dtype) {
    Dims dims;
    for (int i = 0; i < t->rank; ++i)
      dims.push_back(make_var("d", dtypes::index, VarRole::dimension));
    return tensor_type(std::move(dims), t->dtype, {}, t->device);
  }
  if (const auto* s = as<ShapeTypeNode>(type); s && !s->dims && s->rank >= 0) {
    Dims dims;
    for (int i = 0; i < s->rank; ++i) dims.push_back(make_var("d", dtypes::index, VarRole::value));
    return shape_type(std::move(dims));
  }
  const auto* p = as<PrimTypeNode>(type);
  if (!p || p->value || !(p->dtype.is_index() || p->dtype == dtypes::int64)) return type;
  return prim_type_of(make_var("k", dtypes::index, VarRole::value));
}

// A result that overwrites an argument has its type; what else the call declares is checked behind
// it.
Result<Value> specify_in_place(Builder& b, const graph::CallNode& call, std::vector<Value> args,
                               std::vector<Type> types, const Span& span) {
  const std::vector<int64_t> indices = call.attrs.get_ints("inplace_indices");
  const Type declared = types.size() == 1 ? types[0] : tuple_type(types);
  bool is_same = true;
  for (size_t i = 0; i < types.size(); ++i) {
    if (indices.at(i) < 0) {
      types[i] = with_names(types[i]);
      continue;
    }
    const Type& own = args.at(static_cast<size_t>(indices[i]) + 1)->type;
    is_same = is_same && is_subtype(own, types[i], b.facts()) == Truth::yes;
    types[i] = own;
  }
  Value made = graph::make_op_call(*call.op, std::move(args), call.attrs, std::move(types));
  if (is_same) return made;
  if (indices.size() > 1) {
    return error(DiagnosticKind::unsupported_feature, span,
                 "`call_inplace_packed`: several results, of which one has not the type of the "
                 "argument that it overwrites, run in the interpreter only");
  }
  REPOSE_TRY(var, b.emit(made, "overwritten", span));
  auto cast = b.emit_match_cast(var, declared, "overwritten", span);
  if (!cast.ok()) return cast.errors();
  return Value(*cast);
}

}  // namespace

Result<Module> specify_packed_calls(const Module& module, const OpTable& ops) {
  Module current = module;
  bool any = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f || !calls_packed(f)) continue;
    any = true;
    current.set(name, without_names(module, f));
  }
  if (!any) return module;
  return rebuild_functions(
      current, ops,
      [&](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
        const bool is_packed = is_packed_call(call), is_dps = is_dps_packed(call);
        if (call.op && !is_packed && !is_dps) return Value();
        const Value function = external_of(module, call.op ? call.args[0] : call.callee);
        if (!function) return Value();
        std::vector<Value> args = call.args;
        std::vector<Type> types = call.type_args;
        if (call.op) {
          args[0] = function;
        } else {
          args.insert(args.begin(), function);
          if (types.empty() && call.type) types = {call.type};
        }
        if (call.op && call.op->name == "call_inplace_packed") {
          return specify_in_place(b, call, std::move(args), std::move(types), span);
        }
        if (!is_dps) {
          for (Type& type : types) type = with_names(type);
        }
        const OpDef* op = call.op ? call.op : ops.find("call_packed");
        return graph::make_op_call(*op, std::move(args), call.attrs, std::move(types));
      });
}

}  // namespace repose
