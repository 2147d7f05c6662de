// The walk over graph functions: bindings in order, calls, branches, loops.
#include "interp/graph_machine.h"

#include "ir/function_facts.h"

namespace repose::interp {

using namespace graph;
using graph::as;
using repose::as;

GraphMachine::GraphMachine(const OpTable& ops, const InterpretOptions& options)
    : ops_(ops), options_(options), limits_(options), programs_(limits_) {
  const std::pair<const char*, Handler> handlers[] = {
      {"call_tir", &GraphMachine::call_tir},
      {"call_tir_inplace", &GraphMachine::call_tir},
      {"call_tir_with_grad", &GraphMachine::call_tir},
      {"call_dps_packed", &GraphMachine::call_packed},
      {"call_pure_packed", &GraphMachine::call_packed},
      {"call_packed", &GraphMachine::call_packed},
      {"call_inplace_packed", &GraphMachine::call_packed},
      {"null_value", &GraphMachine::null_value},
      {"check", &GraphMachine::check},
      {"assert_op", &GraphMachine::check},
      {"print", &GraphMachine::print},
      {"reshape", &GraphMachine::reshape},
      {"shape_of", &GraphMachine::shape_of},
      {"shape_to_tensor", &GraphMachine::shape_to_tensor},
      {"tensor_to_shape", &GraphMachine::tensor_to_shape},
  };
  for (const auto& [name, handler] : handlers) {
    if (const OpDef* op = ops.find(name)) handlers_.emplace(op, handler);
  }
  while_loop_ = ops.find("while_loop");
}

HostValue GraphMachine::call(std::shared_ptr<const Module> module, const std::string& function,
                             const std::vector<HostValue>& args) {
  const Function f = module->graph_function(function);
  if (!f) {
    fail(DiagnosticKind::unknown_name, {}, "no graph function `{}` in the module", function);
  }
  push_call(std::make_shared<const ClosureValue>(ClosureValue{f, std::move(module), {}, nullptr}),
            args, f->span, DiagnosticKind::call_refused);
  return run();
}

HostValue GraphMachine::call_operator(const graph::CallNode& call) {
  // The call is the one binding of a body.
  const Variable result = make_variable("result", call.type ? call.type : any_type());
  const Block block{false, {Binding{result, Value(&call), nullptr, {}}}};
  Frame frame;
  frame.module = std::make_shared<const Module>();
  frame.env = std::make_shared<Environment>();
  frame.body = make_ref<BodyNode>(std::vector<Block>{block}, result);
  push(std::move(frame), {});
  return run();
}

// ---- The stack ----------------------------------------------------------------------------------

void GraphMachine::push(Frame frame, const Span& span) {
  limits_.step(span);
  if (frames_.size() >= static_cast<size_t>(options_.max_call_depth)) {
    fail(DiagnosticKind::nesting_too_deep, span, "calls are nested more than {} deep",
         options_.max_call_depth);
  }
  frame.span = span;
  frames_.push_back(std::move(frame));
}

const Binding* GraphMachine::current() const {
  const Frame& f = frames_.back();
  const auto& blocks = f.body->blocks;
  return f.block < blocks.size() ? &blocks[f.block].bindings[f.binding] : nullptr;
}

HostValue GraphMachine::run() {
  while (true) {
    Frame& f = frames_.back();
    const auto& blocks = f.body->blocks;
    while (f.block < blocks.size() && f.binding >= blocks[f.block].bindings.size()) {
      ++f.block;
      f.binding = 0;
    }
    if (const Binding* b = current()) {
      limits_.step(b->span);
      start(*b);
      continue;
    }
    HostValue result = operand(f.body->result, f.span);
    if (f.function && f.function->result_type) {
      check_value(f.function->result_type, result, *f.env,
                  {DiagnosticKind::run_time_check, f.span, "the result of a call", true});
    }
    frames_.pop_back();
    if (frames_.empty()) return result;
    deliver(std::move(result));
  }
}

// Gives the result of a body to what waits for it.
void GraphMachine::deliver(HostValue value) {
  Frame& f = frames_.back();
  if (f.body) return finish(*current(), std::move(value));
  if (!f.is_testing) {  // the body of a loop
    f.carried = std::move(value);
    f.is_testing = true;
    return loop_call(f.condition, Span(f.span));
  }
  const Array flag = value.tensor();
  const bool goes_on = flag && flag->num_elements() == 1 ? flag->load(0).i != 0
                                                         : value.scalar() && value.scalar()->i;
  if (goes_on) {
    f.is_testing = false;
    return loop_call(f.step, Span(f.span));
  }
  HostValue result = std::move(f.carried);
  frames_.pop_back();
  deliver(std::move(result));
}

void GraphMachine::finish(const Binding& b, HostValue value) {
  Environment& e = env();
  if (b.cast) {
    const MatchContext context{DiagnosticKind::run_time_check, b.span,
                               fmt::format("`{}`", b.var->name), false};
    bind_symbols(b.cast, value, e, context);
    check_value(b.cast, value, e, context);
  }
  if (b.var->type) {
    const MatchContext context{DiagnosticKind::run_time_check, b.span,
                               fmt::format("`{}`", b.var->name), true};
    bind_symbols(b.var->type, value, e, context);
    check_value(b.var->type, value, e, context);
  }
  e.values[b.var.get()] = std::move(value);
  ++frames_.back().binding;
}

// ---- Bindings -----------------------------------------------------------------------------------

void GraphMachine::start(const Binding& b) {
  if (const auto* call = as<graph::CallNode>(b.value)) return start_call(*call, b.span);
  if (const auto* choice = as<graph::IfNode>(b.value)) return start_if(*choice, b.span);
  if (b.value->kind == ValueKind::function) {
    return finish(b, make_closure(Function(as<FunctionNode>(b.value)), b.var));
  }
  finish(b, operand(b.value, b.span));
}

HostValue GraphMachine::operand(const Value& v, const Span& span) {
  switch (v->kind) {
    case ValueKind::variable: {
      auto it = env().values.find(v.get());
      if (it == env().values.end()) {
        fail(DiagnosticKind::ill_formed, span, "variable `{}` is used where it is not bound",
             as<VariableNode>(v)->name);
      }
      return it->second;
    }
    case ValueKind::constant:
      return as<ConstantNode>(v)->data;
    case ValueKind::tuple: {
      HostValue::Tuple fields;
      for (const Value& field : as<TupleNode>(v)->fields) fields.push_back(operand(field, span));
      return fields;
    }
    case ValueKind::tuple_get: {
      const HostValue whole = operand(as<TupleGetNode>(v)->tuple, span);
      const auto index = static_cast<size_t>(as<TupleGetNode>(v)->index);
      if (!whole.tuple() || index >= whole.tuple()->size()) {
        fail(DiagnosticKind::type_mismatch, span, "there is no item {} of {}", index,
             repose::to_string(whole));
      }
      return (*whole.tuple())[index];
    }
    case ValueKind::shape: {
      HostValue::Shape dims;
      for (const Expr& d : as<ShapeNode>(v)->dims) {
        dims.push_back(eval_symbolic(d, env(), span).i);
      }
      return dims;
    }
    case ValueKind::prim_value:
      return eval_symbolic(as<PrimValueNode>(v)->value, env(), span);
    case ValueKind::string:
      return as<StringNode>(v)->value;
    case ValueKind::dtype:
      return as<DTypeNode>(v)->value;
    case ValueKind::external:
      return ExternName{as<ExternNode>(v)->name};
    case ValueKind::global: {
      const std::string& name = as<GlobalNode>(v)->name;
      const auto& module = frames_.back().module;
      const Definition* d = module->find(name);
      if (!d) fail(DiagnosticKind::unknown_name, span, "no function `{}` in the module", name);
      if (const auto* e = std::get_if<ExternFunc>(d)) return ExternName{e->symbol};
      const auto* f = std::get_if<Function>(d);
      if (!f) fail(DiagnosticKind::ill_formed, span, "the tensor program `{}` is no value", name);
      return std::make_shared<const ClosureValue>(ClosureValue{*f, module, {}, nullptr});
    }
    default:
      fail(DiagnosticKind::ill_formed, span, "an operand is not in normal form: {}",
           kind_name(v->kind));
  }
}

HostValue GraphMachine::make_closure(const Function& f, const Variable& self) {
  ClosureValue closure{f, frames_.back().module, {}, self};
  for (const Variable& v : free_variables(f->body, f->params)) {
    auto it = env().values.find(v.get());
    if (it != env().values.end()) closure.captured.values.emplace(it->first, it->second);
  }
  closure.captured.symbols = env().symbols;
  return std::make_shared<const ClosureValue>(std::move(closure));
}

void GraphMachine::start_if(const graph::IfNode& choice, const Span& span) {
  Frame frame;
  frame.module = frames_.back().module;
  frame.env = frames_.back().env;
  frame.body = condition_operand(choice.condition, span) ? choice.then_body : choice.else_body;
  push(std::move(frame), span);
}

bool GraphMachine::condition_operand(const Value& v, const Span& span) {
  const HostValue value = operand(v, span);
  if (value.scalar() && value.scalar()->dtype.is_bool()) return value.scalar()->i != 0;
  const Array flag = value.tensor();
  if (!flag || !flag->dtype.is_bool() || flag->num_elements() != 1) {
    fail(DiagnosticKind::type_mismatch, span, "a condition is {}, expected a bool",
         repose::to_string(value));
  }
  return flag->load(0).i != 0;
}

// ---- Calls --------------------------------------------------------------------------------------

void GraphMachine::start_call(const graph::CallNode& call, const Span& span) {
  if (!call.op) {
    std::vector<HostValue> args;
    for (const Value& a : call.args) args.push_back(operand(a, span));
    const HostValue callee = operand(call.callee, span);
    if (!callee.external()) return push_call(callee, std::move(args), span);
    return finish(*current(), call_entry(callee.external()->name, args, {}, call.type, span));
  }
  if (call.op == while_loop_) return start_loop(call, span);
  auto it = handlers_.find(call.op);
  if (it == handlers_.end()) return start_instance(call, span);
  HostValue result = (this->*it->second)(call, span);
  finish(*current(), std::move(result));
}

void GraphMachine::push_call(const HostValue& callee, std::vector<HostValue> args, const Span& span,
                             DiagnosticKind mismatch) {
  if (callee.external()) {
    fail(DiagnosticKind::unsupported_feature, span,
         "the packed function `{}` is not known to the interpreter", callee.external()->name);
  }
  const ClosureValue* c = callee.closure();
  if (!c) {
    fail(DiagnosticKind::type_mismatch, span, "{} is called, which is no function",
         repose::to_string(callee));
  }
  const FunctionNode& f = *c->function;
  if (args.size() != f.params.size()) {
    fail(DiagnosticKind::wrong_arity, span,
         "a function of {} parameters is called with {} arguments", f.params.size(), args.size());
  }
  Frame frame;
  frame.module = c->module;
  frame.env = std::make_shared<Environment>(c->captured);
  frame.body = c->function->body;
  frame.function = c->function;
  Environment& inner = *frame.env;
  if (c->self) inner.values[c->self.get()] = callee;
  MatchContext context{mismatch, span, "", false};
  for (size_t i = 0; i < args.size(); ++i) {
    context.what = fmt::format("argument {} (`{}`)", i, f.params[i]->name);
    bind_symbols(f.params[i]->type, args[i], inner, context);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    context.what = fmt::format("argument {} (`{}`)", i, f.params[i]->name);
    check_value(f.params[i]->type, args[i], inner, context);
    inner.values[f.params[i].get()] = std::move(args[i]);
  }
  check_declared_ranges(f, inner, context);
  push(std::move(frame), span);
}

void GraphMachine::check_declared_ranges(const FunctionNode& f, const Environment& env,
                                         const MatchContext& context) {
  if (f.attrs.empty()) return;
  const Facts facts = declared_facts(Function(&f));
  for (const Variable& p : f.params) {
    for (const Var& v : free_vars(p->type)) {
      auto it = env.symbols.find(v.get());
      if (it == env.symbols.end() || facts.range_of(v).contains(it->second.i)) continue;
      const Interval range = facts.range_of(v);
      fail(context.kind, context.span,
           "symbol `{}` is {}, it is declared to lie in [{}, {}] and to be a multiple of {}",
           v->name, it->second.i, range.lower, range.upper, range.divisor);
    }
  }
}

void GraphMachine::start_loop(const graph::CallNode& call, const Span& span) {
  if (call.args.size() != 3) {
    fail(DiagnosticKind::wrong_arity, span, "`while_loop` takes 3 operands, {} are given",
         call.args.size());
  }
  Frame frame;
  frame.module = frames_.back().module;
  frame.condition = operand(call.args[0], span);
  frame.step = operand(call.args[1], span);
  frame.carried = operand(call.args[2], span);
  frame.is_testing = true;
  const HostValue condition = frame.condition;
  push(std::move(frame), span);
  loop_call(condition, span);
}

// Carried values are given one by one, or as they are to a function of one parameter that is a
// tuple.
void GraphMachine::loop_call(HostValue f, const Span& span) {
  const HostValue carried = frames_.back().carried;
  const ClosureValue* c = f.closure();
  const bool takes_tuple = c && c->function->params.size() == 1 &&
                           repose::as<TupleTypeNode>(c->function->params[0]->type);
  if (!carried.tuple() || takes_tuple) return push_call(f, {carried}, span);
  push_call(f, *carried.tuple(), span);
}

}  // namespace repose::interp
