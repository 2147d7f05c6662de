// Operator calls: the few that are no tensor programs, and the others by their lowerings.
#include <cstring>

#include "interp/graph_machine.h"
#include "ir/builder.h"

namespace repose::interp {

using namespace graph;
using graph::as;
using repose::as;

Array GraphMachine::tensor_operand(const graph::CallNode& call, size_t i, const Span& span) {
  const HostValue v = operand(call.args.at(i), span);
  const Array a = v.tensor();
  if (!a) {
    fail(DiagnosticKind::type_mismatch, span, "`{}`: operand {} is {}, expected a tensor",
         call.op->name, i, repose::to_string(v));
  }
  return a;
}

// ---- Tensor programs ----------------------------------------------------------------------------

namespace {

void add_arguments(const HostValue& v, std::vector<ProgramArgument>& args, const Span& span) {
  if (const Array a = v.tensor()) {
    // Programs never write operands: the machine refuses it.
    args.push_back({Ref<ArrayNode>(const_cast<ArrayNode*>(a.get())), false, false, {}});
  } else if (const Scalar* s = v.scalar()) {
    args.push_back({nullptr, false, false, *s});
  } else if (const auto* shape = v.shape()) {
    for (int64_t d : *shape) {
      args.push_back({nullptr, false, false, Scalar::of_int(d, dtypes::index)});
    }
  } else {
    fail(DiagnosticKind::type_mismatch, span, "a tensor program is given {}", repose::to_string(v));
  }
}

}  // namespace

HostValue GraphMachine::call_tir(const graph::CallNode& call, const Span& span) {
  const auto* global = as<GlobalNode>(call.args.at(0));
  const auto& module = frames_.back().module;
  const tir::PrimFunc f = global ? module->prim_func(global->name) : nullptr;
  if (!f || call.type_args.size() != 1) {
    fail(DiagnosticKind::ill_formed, span,
         "`{}` of `{}`, which is no tensor program, or without "
         "a result type",
         call.op->name, global ? global->name : "a value");
  }
  std::vector<ProgramArgument> args;
  const HostValue given = operand(call.args.at(1), span);
  if (given.tuple()) {
    for (const HostValue& v : *given.tuple()) add_arguments(v, args, span);
  } else {
    add_arguments(given, args, span);
  }

  const auto* tuple = repose::as<TupleTypeNode>(call.type_args[0]);
  const std::vector<Type> types = tuple ? tuple->fields : std::vector<Type>{call.type_args[0]};
  std::vector<int64_t> overwritten(types.size(), -1);
  if (call.op->name == "call_tir_inplace") overwritten = call.attrs.get_ints("inplace_indices");
  HostValue::Tuple results;
  std::vector<ProgramArgument> fresh;
  for (size_t i = 0; i < types.size(); ++i) {
    const auto* t = repose::as<TensorTypeNode>(types[i]);
    if (!t || !t->shape || overwritten.size() != types.size()) {
      fail(DiagnosticKind::ill_formed, span, "result {} of `{}` has the type `{}`", i, global->name,
           repose::to_string(types[i]));
    }
    std::vector<int64_t> shape;
    for (const Expr& d : *t->shape) shape.push_back(eval_symbolic(d, env(), span).i);
    const Ref<ArrayNode> result =
        limits_.allocate(shape, t->dtype, fmt::format("result {} of {}", i, global->name), span);
    results.push_back(result);
    const auto target = static_cast<size_t>(overwritten[i]);
    if (overwritten[i] < 0) {
      fresh.push_back({result, true, true, {}});
      continue;
    }
    const Array from = target < args.size() ? Array(args[target].array) : nullptr;
    if (!from || from->dtype != result->dtype || from->shape != result->shape) {
      fail(DiagnosticKind::ill_formed, span, "result {} of `{}` cannot overwrite argument {}", i,
           global->name, overwritten[i]);
    }
    if (from->num_bytes) std::memcpy(result->mutable_bytes(), from->bytes, from->num_bytes);
    args[target] = {result, true, false, {}};
  }
  args.insert(args.end(), fresh.begin(), fresh.end());
  try {
    programs_.run(global->name, f, module.get(), args, span);
  } catch (Failure& failure) {
    if (span) failure.diagnostics[0].notes.push_back({span, "called here"});
    throw;
  }
  return tuple ? HostValue(std::move(results)) : results[0];
}

// ---- Checks and texts ---------------------------------------------------------------------------

HostValue GraphMachine::null_value(const graph::CallNode&, const Span&) {
  return {};
}

HostValue GraphMachine::check(const graph::CallNode& call, const Span& span) {
  if (condition_operand(call.args.at(0), span)) return HostValue::Tuple{};
  std::vector<std::string> values;
  for (size_t i = 1; i < call.args.size(); ++i) {
    values.push_back(repose::to_string(operand(call.args[i], span)));
  }
  const bool is_assertion = call.attrs.find("format") != nullptr;
  const std::string message = call.attrs.get_string(is_assertion ? "format" : "message");
  const std::string text = fill_in(message, values);
  fail(DiagnosticKind::run_time_check, span, "{}", text.empty() ? "an assertion fails" : text);
}

HostValue GraphMachine::print(const graph::CallNode& call, const Span& span) {
  std::vector<std::string> values;
  for (const Value& a : call.args) values.push_back(repose::to_string(operand(a, span)));
  const std::string format = call.attrs.get_string("format");
  if (options_.print) {
    options_.print(format.empty() ? fmt::format("{}", fmt::join(values, " "))
                                  : fill_in(format, values));
  }
  return HostValue::Tuple{};
}

// ---- Shapes -------------------------------------------------------------------------------------

HostValue GraphMachine::reshape(const graph::CallNode& call, const Span& span) {
  const Array a = tensor_operand(call, 0, span);
  const HostValue target = operand(call.args.at(1), span);
  if (!target.shape()) {
    fail(DiagnosticKind::type_mismatch, span, "`reshape`: operand 1 is {}, expected a shape",
         repose::to_string(target));
  }
  if (array_bytes(*target.shape(), dtypes::int8) != a->num_elements()) {
    fail(DiagnosticKind::run_time_check, span,
         "`reshape`: the operand of shape ({}) has {} elements, the new shape is {}",
         fmt::join(a->shape, ", "), a->num_elements(), repose::to_string(target));
  }
  return wrap_array(*target.shape(), a->dtype, a->bytes, std::make_shared<Array>(a));
}

HostValue GraphMachine::shape_of(const graph::CallNode& call, const Span& span) {
  return tensor_operand(call, 0, span)->shape;
}

HostValue GraphMachine::shape_to_tensor(const graph::CallNode& call, const Span& span) {
  const HostValue v = operand(call.args.at(0), span);
  if (!v.shape()) {
    fail(DiagnosticKind::type_mismatch, span, "`shape_to_tensor` of {}, expected a shape",
         repose::to_string(v));
  }
  const auto count = static_cast<int64_t>(v.shape()->size());
  const Ref<ArrayNode> result = limits_.allocate({count}, dtypes::int64, "shape_to_tensor", span);
  for (int64_t i = 0; i < count; ++i) {
    result->store(i, Scalar::of_int((*v.shape())[i], dtypes::int64));
  }
  return result;
}

HostValue GraphMachine::tensor_to_shape(const graph::CallNode& call, const Span& span) {
  const Array a = tensor_operand(call, 0, span);
  if (a->shape.size() != 1 || !a->dtype.is_data_int()) {
    fail(DiagnosticKind::type_mismatch, span,
         "`tensor_to_shape` of a tensor of rank {} and dtype {}, expected integers of rank 1",
         a->shape.size(), a->dtype.to_string());
  }
  HostValue::Shape shape;
  for (int64_t i = 0; i < a->shape[0]; ++i) {
    const auto member = eval_cast(dtypes::index, a->load(i));
    if (!member) {
      fail(DiagnosticKind::run_time_check, span,
           "`tensor_to_shape`: element {} does not fit 64 bits", i);
    }
    shape.push_back(member->i);
  }
  return shape;
}

// ---- Operators by their lowerings ---------------------------------------------------------------

namespace {

// Operands of a call as the type rules and lowerings see them: tensors become parameters, whatever
// else has a value becomes a constant.
class OperandTypes {
 public:
  OperandTypes(const OpTable& ops, std::string_view op, const Span& span)
      : ops_(ops), op_(op), span_(span) {}

  Value add(const HostValue& v) {
    if (v.tensor()) {
      tensors.push_back(v);
      params.push_back(make_variable(fmt::format("arg{}", params.size()), type_of(v)));
      return params.back();
    }
    if (const auto* tuple = v.tuple()) {
      std::vector<Value> fields;
      for (const HostValue& field : *tuple) fields.push_back(add(field));
      return make_tuple(std::move(fields));
    }
    if (const auto* shape = v.shape()) {
      Dims dims;
      for (int64_t d : *shape) dims.push_back(make_int(d));
      return make_shape(std::move(dims));
    }
    if (v.scalar()) return make_prim(to_expr(*v.scalar()));
    if (v.string()) return make_ref<StringNode>(*v.string());
    if (v.dtype()) return make_ref<DTypeNode>(*v.dtype());
    const OpDef* null_value = ops_.find("null_value");
    if (v.is_none() && null_value) return make_op_call(*null_value, {});
    fail(DiagnosticKind::unsupported_feature, span_, "`{}` is given {}", op_, repose::to_string(v));
  }

  std::vector<Variable> params;
  std::vector<HostValue> tensors;

 private:
  const OpTable& ops_;
  std::string_view op_;
  const Span& span_;
};

void add_tensors(const HostValue& v, std::vector<HostValue>& tensors) {
  if (v.tensor()) tensors.push_back(v);
  if (!v.tuple()) return;
  for (const HostValue& field : *v.tuple()) add_tensors(field, tensors);
}

template <class T>
T take(Result<T> result) {
  if (!result.ok()) throw Failure{result.errors()};
  return std::move(*result);
}

}  // namespace

void GraphMachine::start_instance(const graph::CallNode& call, const Span& span) {
  std::vector<HostValue> args, tensors;
  for (const Value& a : call.args) {
    args.push_back(operand(a, span));
    add_tensors(args.back(), tensors);
  }
  push_call(instance(call, args, span), std::move(tensors), span);
}

std::shared_ptr<const ClosureValue> GraphMachine::instance(const graph::CallNode& call,
                                                           const std::vector<HostValue>& args,
                                                           const Span& span) {
  const OpDef& op = *call.op;
  if (!op.lower) {
    fail(DiagnosticKind::unsupported_operator, span, "`{}` is not known to the interpreter",
         op.name);
  }
  const Attrs attrs = rewrite_exprs(
      call.attrs, [&](const Expr& e) { return to_expr(eval_symbolic(e, env(), span)); });
  std::string key(op.name);
  std::vector<Type> types;
  for (const HostValue& a : args) {
    types.push_back(type_of(a));
    key += " " + repose::to_string(types.back());
    if (a.string() || a.dtype()) key += repose::to_string(a);
  }
  std::vector<Type> type_args;
  for (const Type& t : call.type_args) type_args.push_back(eval_type(t, env(), span));
  types.insert(types.end(), type_args.begin(), type_args.end());
  const auto [begin, end] = instances_.equal_range(key);
  for (auto it = begin; it != end; ++it) {
    const Instance& known = it->second;
    bool same = known.op == &op && known.attrs == attrs && known.types.size() == types.size();
    for (size_t i = 0; same && i < types.size(); ++i) {
      same = structural_equal(known.types[i], types[i]);
    }
    if (same) return known.closure;
  }

  OperandTypes operands(ops_, op.name, span);
  std::vector<Value> values;
  for (const HostValue& a : args) values.push_back(operands.add(a));
  Builder b(ops_);
  b.begin_function("call", operands.params, {}, span);
  const Value typed = take(b.infer_only(
      make_ref<graph::CallNode>(&op, nullptr, values, attrs, type_args, nullptr), span));
  const Value lowered = take(op.lower(b, *as<graph::CallNode>(typed)));
  const Value result = take(b.normalize(lowered, span));
  FunctionOptions options;
  options.is_pure = false;
  take(b.end_function(result, std::move(options)));
  auto module = std::make_shared<const Module>(std::move(b.module()));
  auto closure = std::make_shared<const ClosureValue>(
      ClosureValue{module->graph_function("call"), module, {}, nullptr});
  instances_.emplace(std::move(key), Instance{&op, attrs, std::move(types), closure});
  return closure;
}

}  // namespace repose::interp
