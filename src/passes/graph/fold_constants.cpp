// Evaluates calls whose operands are all constants, and values whose elements are known.
#include "passes/graph/fold_constants.h"

#include <algorithm>
#include <optional>

#include "interp/interpreter.h"
#include "ir/function_facts.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

constexpr int64_t max_grown_bytes = 64 << 20;
constexpr int64_t max_element_bytes = 1024;  // more than what elements are known of

using graph::Value;

// Is it made of constants alone? Adds up the bytes of tensors.
bool all_constant(const Value& v, int64_t& bytes) {
  if (const auto* c = graph::as<graph::ConstantNode>(v)) {
    bytes += static_cast<int64_t>(c->data->num_bytes);
    return true;
  }
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const Value& field : tuple->fields) {
      if (!all_constant(field, bytes)) return false;
    }
    return true;
  }
  if (const auto* s = graph::as<graph::ShapeNode>(v)) {
    for (const Expr& d : s->dims) {
      if (!is_constant(d)) return false;
    }
    return true;
  }
  if (const auto* p = graph::as<graph::PrimValueNode>(v)) return is_constant(p->value);
  if (const auto* call = graph::as<graph::CallNode>(v))
    return call->op && call->op->name == "null_value";
  return v->kind == graph::ValueKind::string || v->kind == graph::ValueKind::dtype;
}

// Bytes of a result of known shape; -1 if some extent is not a constant.
int64_t result_bytes(const Type& t) {
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    int64_t sum = 0;
    for (const Type& field : tuple->fields) {
      const int64_t n = result_bytes(field);
      if (n < 0) return -1;
      sum += n;
    }
    return sum;
  }
  const auto* tensor = as<TensorTypeNode>(t);
  if (!tensor || !tensor->shape || !tensor->dtype) return -1;
  std::vector<int64_t> shape;
  for (const Expr& d : *tensor->shape) {
    int64_t n = 0;
    if (!as_const_int(d, &n)) return -1;
    shape.push_back(n);
  }
  return array_bytes(shape, tensor->dtype);
}

// The constant whose elements these are, if all of them are constants.
Value constant_of(const Type& type, const std::vector<Expr>& elements) {
  const auto* t = as<TensorTypeNode>(type);
  std::vector<int64_t> shape;
  for (const Expr& d : *t->shape) {
    int64_t n = 0;
    if (!as_const_int(d, &n)) return nullptr;
    shape.push_back(n);
  }
  Ref<ArrayNode> array = make_array(shape, t->dtype);
  for (size_t i = 0; i < elements.size(); ++i) {
    if (!elements[i]) return nullptr;
    if (const auto* value = as<IntImmNode>(elements[i])) {
      array->store(static_cast<int64_t>(i), Scalar::of_int(value->value, t->dtype));
    } else if (const auto* f = as<FloatImmNode>(elements[i])) {
      array->store(static_cast<int64_t>(i), Scalar::of_float(f->value, t->dtype));
    } else {
      return nullptr;
    }
  }
  return graph::make_constant(Array(array));
}

// The bytes of the operands, if all are constants; a program that is called is none.
std::optional<int64_t> constant_bytes(const graph::CallNode& call) {
  int64_t bytes = 0;
  for (size_t i = is_call_tir(call) ? 1 : 0; i < call.args.size(); ++i) {
    if (!all_constant(call.args[i], bytes)) return std::nullopt;
  }
  return bytes;
}

constexpr int64_t max_program_steps = 5'000'000;

// Runs the program of a call_tir whose arguments are constants; nothing where it fails or takes
// long.
std::optional<std::vector<Array>> run_program(const Module& module, const graph::CallNode& call) {
  const auto* global = graph::as<graph::GlobalNode>(call.args[0]);
  const tir::PrimFunc f = global ? module.prim_func(global->name) : nullptr;
  if (!f || call.type_args.size() != 1) return std::nullopt;
  std::vector<Ref<ArrayNode>> buffers;
  std::vector<Scalar> scalars;
  for (const Value& arg : graph::as<graph::TupleNode>(call.args[1])->fields) {
    if (const auto* constant = graph::as<graph::ConstantNode>(arg)) {
      Ref<ArrayNode> copy = make_array(constant->data->shape, constant->data->dtype);
      std::copy_n(constant->data->bytes, constant->data->num_bytes, copy->mutable_bytes());
      buffers.push_back(std::move(copy));
      continue;
    }
    const auto* prim = graph::as<graph::PrimValueNode>(arg);
    const auto* number = prim ? as<IntImmNode>(prim->value) : nullptr;
    if (!number) return std::nullopt;
    scalars.push_back(Scalar::of_int(number->value, number->dtype));
  }
  std::vector<Array> results;
  for (const TensorTypeNode* t : tensor_leaves(call.type_args[0])) {
    std::vector<int64_t> shape(t->shape->size());
    for (size_t d = 0; d < shape.size(); ++d) {
      if (!as_const_int((*t->shape)[d], &shape[d])) return std::nullopt;
    }
    Ref<ArrayNode> result = make_array(std::move(shape), t->dtype);
    buffers.push_back(result);
    results.push_back(result);
  }
  InterpretOptions options;
  options.max_steps = max_program_steps;
  if (!interpret_program(f, buffers, scalars, options).ok()) return std::nullopt;
  return results;
}

// Whether some call might be folded: else nothing has to be built anew.
bool may_fold(const Module& module) {
  bool found = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      if (!call || !call->op || !call->op->pure || is_check(b.value)) return;
      const int64_t bytes = call->op->elements ? result_bytes(b.var->type) : -1;
      const bool runs = call->op->lower || is_call_tir(*call);
      found =
          found || (runs && constant_bytes(*call)) || (bytes >= 0 && bytes <= max_element_bytes);
    });
  }
  return found;
}

}  // namespace

Result<Module> fold_constants(const Module& module, const OpTable& ops,
                              const CallEvaluator& evaluate) {
  if (!may_fold(module)) return module;
  return rebuild_functions(
      module, ops, [&](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
        if (!call.op || !call.op->pure || is_check(Value(&call))) return Value();
        const std::optional<int64_t> bytes = constant_bytes(call);
        if (bytes && (call.op->lower || is_call_tir(call))) {
          REPOSE_TRY(typed, b.infer_only(Value(&call), span));
          const int64_t grown = result_bytes(typed->type);
          if (grown >= 0 && (grown <= *bytes || grown <= max_grown_bytes)) {
            const auto& folded = *graph::as<graph::CallNode>(typed);
            auto arrays = is_call_tir(call) ? run_program(module, folded) : evaluate(folded);
            if (arrays) {
              std::vector<Value> results;
              for (Array& a : *arrays) results.push_back(graph::make_constant(std::move(a)));
              return results.size() == 1 ? results[0] : graph::make_tuple(std::move(results));
            }
          }
          return Value();
        }
        if (!call.op->elements) return Value();
        REPOSE_TRY(var, b.emit(Value(&call), "", span));
        const auto* known = b.elements_of(var);
        Value folded = known ? constant_of(var->type, *known) : nullptr;
        return folded ? folded : Value(var);
      });
}

}  // namespace repose
