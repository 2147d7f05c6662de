// The C++ API of the compiler: a builder that collects errors, passes by name, compilation to a
// file.
#include "repose/compiler.hpp"

#include <unordered_map>

#include "codegen/llvm/target_llvm.h"
#include "ir/function_facts.h"

namespace repose {

namespace {

Span span_of(const Here& here) {
  return {make_text_source(here.file_name(), ""), static_cast<int>(here.line()),
          static_cast<int>(here.column())};
}

// What `f` gives; a bug that it runs into is an error too.
template <class F>
auto guarded(const Span& span, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const InternalError& e) {
    return error(DiagnosticKind::internal, span, "{}", e.what());
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, span, "out of memory");
  }
}

AttrList strings(const std::vector<std::string>& texts) {
  return AttrList(texts.begin(), texts.end());
}

}  // namespace

// ---- ModuleBuilder
// -------------------------------------------------------------------------------

struct ModuleBuilder::State {
  Builder builder;
  Diagnostics errors;
  std::unordered_map<const VarNode*, Interval> ranges;
  // The function that is being built: its parameters are collected until its first operation.
  enum class Stage { outside, parameters, body } stage = Stage::outside;
  std::string function;
  Span begin;
  std::vector<graph::Variable> params;

  State(const OpTable& ops, Module base) : builder(ops, std::move(base)) {}

  void add(const Diagnostics& more) {
    for (Diagnostic d : more) errors.push_back(std::move(d));
  }
  // Errors without a place of their own get that of the C++ line.
  void add_at(const Span& span, const Diagnostics& more) {
    for (Diagnostic d : more) {
      if (!d.span) d.span = span;
      errors.push_back(std::move(d));
    }
  }

  Facts entry_facts() const {
    Facts facts;
    for (const graph::Variable& p : params) {
      for (const Var& v : free_vars(p->type)) {
        if (auto it = ranges.find(v.get()); it != ranges.end()) facts.restrict(v, it->second);
      }
    }
    return facts;
  }

  // The attributes from which later stages know the symbols' ranges.
  void declare_ranges(Attrs& attrs) const {
    AttrDict lower, upper, divisor;
    for (const graph::Variable& p : params) {
      for (const Var& v : binding_symbols(p->type)) {
        auto it = ranges.find(v.get());
        if (it == ranges.end()) continue;
        const Interval& range = it->second;
        if (range.lower > 0) lower.emplace_back(v->name, range.lower);
        if (range.upper != Interval::plus_infinity) upper.emplace_back(v->name, range.upper);
        if (range.divisor != 1) divisor.emplace_back(v->name, range.divisor);
      }
    }
    if (!lower.empty()) attrs.set("tir_var_lower_bound", std::move(lower));
    if (!upper.empty()) attrs.set("tir_var_upper_bound", std::move(upper));
    if (!divisor.empty()) attrs.set("tir_var_divisor", std::move(divisor));
  }

  // Enters the function's body; false, with an error, outside of a function.
  bool in_body(const Span& span) {
    if (stage == Stage::outside) {
      errors.push_back(error(DiagnosticKind::ill_formed, span,
                             "an operation outside of a function: call `begin_function` first"));
      return false;
    }
    if (stage == Stage::parameters) {
      builder.begin_function(function, params, entry_facts(), begin);
      stage = Stage::body;
    }
    return true;
  }

  // What `f` gives, or null with its errors kept. Null operands come from errors that are known.
  template <class F>
  Value make(const Here& here, const std::vector<Value>& operands, const F& f) {
    const Span span = span_of(here);
    if (!in_body(span)) return nullptr;
    for (const Value& v : operands) {
      if (v) continue;
      if (errors.empty()) {
        errors.push_back(error(DiagnosticKind::missing_value, span, "an operand is a null value"));
      }
      return nullptr;
    }
    auto result = guarded(span, [&]() -> Result<Value> { return f(span); });
    if (result.ok()) return *result;
    add_at(span, result.errors());
    return nullptr;
  }
};

ModuleBuilder::ModuleBuilder(const OpTable& ops, Module base)
    : state_(std::make_unique<State>(ops, std::move(base))) {}
ModuleBuilder::~ModuleBuilder() = default;
ModuleBuilder::ModuleBuilder(ModuleBuilder&&) noexcept = default;
ModuleBuilder& ModuleBuilder::operator=(ModuleBuilder&&) noexcept = default;

const Diagnostics& ModuleBuilder::errors() const {
  return state_->errors;
}

Builder& ModuleBuilder::builder() {
  if (state_->stage == State::Stage::parameters) state_->in_body({});
  return state_->builder;
}

Var ModuleBuilder::symbol(std::string name, Interval range) {
  Var v = make_var(std::move(name));
  if (range != Interval{}) {
    range.lower = std::max<int64_t>(range.lower, 0);
    state_->ranges[v.get()] = range;
  }
  return v;
}

void ModuleBuilder::begin_function(std::string name, Here here) {
  State& s = *state_;
  if (s.stage != State::Stage::outside) {
    s.errors.push_back(error(DiagnosticKind::ill_formed, span_of(here),
                             "`{}` begins before `{}` has ended", name, s.function));
    return;
  }
  s.function = std::move(name);
  s.begin = span_of(here);
  s.params.clear();
  s.stage = State::Stage::parameters;
}

Value ModuleBuilder::input(std::string name, Shape shape, DType dtype, Here here) {
  return input(std::move(name), tensor_type(std::move(shape), dtype), here);
}

Value ModuleBuilder::input(std::string name, Type type, Here here) {
  State& s = *state_;
  if (s.stage != State::Stage::parameters) {
    s.errors.push_back(error(DiagnosticKind::ill_formed, span_of(here), "input `{}` comes {}", name,
                             s.stage == State::Stage::outside
                                 ? "outside of a function: call `begin_function` first"
                                 : "after the function's first operation"));
    return nullptr;
  }
  s.params.push_back(graph::make_variable(std::move(name), std::move(type)));
  return s.params.back();
}

void ModuleBuilder::end_function(std::vector<Value> results, std::vector<std::string> names,
                                 Here here) {
  State& s = *state_;
  const size_t num_results = results.size();
  bool complete = num_results > 0;
  Value result = s.make(here, results, [&](const Span& span) -> Result<Value> {
    if (results.empty()) {
      return error(DiagnosticKind::ill_formed, span, "`{}` has no result", s.function);
    }
    if (results.size() == 1) return results[0];
    return graph::make_tuple(std::move(results));
  });
  if (s.stage == State::Stage::outside) return;
  if (!names.empty() && names.size() != num_results) {
    s.errors.push_back(error(DiagnosticKind::wrong_arity, span_of(here),
                             "{} names for the {} results of `{}`", names.size(), num_results,
                             s.function));
    names.clear();
  }
  complete = complete && result;
  // An incomplete function ends too, so that the next one can begin.
  if (!result) result = graph::make_tuple({});
  FunctionOptions options;
  if (!names.empty()) options.attrs.set("output_names", strings(names));
  s.declare_ranges(options.attrs);
  auto ended = guarded(span_of(here), [&] { return s.builder.end_function(result, options); });
  if (!ended.ok() && complete) s.add_at(span_of(here), ended.errors());
  s.stage = State::Stage::outside;
}

Value ModuleBuilder::emit(std::string_view op, std::vector<Value> operands, Attrs attrs,
                          Here here) {
  return state_->make(here, operands, [&](const Span& span) -> Result<Value> {
    const OpDef* def = state_->builder.ops().find(op);
    if (!def) return error(DiagnosticKind::unknown_name, span, "no operator is called `{}`", op);
    REPOSE_TRY(v, state_->builder.emit(
                      graph::make_op_call(*def, std::move(operands), std::move(attrs)), "", span));
    return Value(v);
  });
}

Value ModuleBuilder::emit(const Value& value, std::string name, Here here) {
  return state_->make(here, {value}, [&](const Span& span) -> Result<Value> {
    REPOSE_TRY(v, state_->builder.emit(value, std::move(name), span));
    return Value(v);
  });
}

Value ModuleBuilder::emit_formula(
    const std::string& name, const std::vector<Value>& operands,
    const std::function<std::vector<te::Tensor>(const std::vector<te::Tensor>&)>& formula,
    const Here& here) {
  return state_->make(here, operands, [&](const Span& span) -> Result<Value> {
    for (size_t i = 0; i < operands.size(); ++i) {
      const TensorTypeNode* type = graph::tensor_of(operands[i]);
      if (type && type->shape && type->dtype) continue;
      return error(DiagnosticKind::type_mismatch, span,
                   "`{}`: operand {} has type `{}`, expected a tensor of known shape and dtype",
                   name, i, operands[i]->type ? to_string(operands[i]->type) : "unknown");
    }
    REPOSE_TRY(call, te::emit_te(state_->builder, name, operands, formula));
    REPOSE_TRY(v, state_->builder.emit(call, "", span));
    return Value(v);
  });
}

Value ModuleBuilder::match_cast(const Value& value, Shape shape, DType dtype, Here here) {
  return match_cast(value, tensor_type(std::move(shape), dtype), here);
}

Value ModuleBuilder::match_cast(const Value& value, Type type, Here here) {
  return state_->make(here, {value}, [&](const Span& span) -> Result<Value> {
    REPOSE_TRY(v, state_->builder.emit_match_cast(value, type, "", span));
    for (const Var& symbol : binding_symbols(type)) {
      auto it = state_->ranges.find(symbol.get());
      if (it == state_->ranges.end()) continue;
      auto required = state_->builder.require_range(symbol, it->second, span);
      if (!required.ok()) return required.errors();
    }
    return Value(v);
  });
}

void ModuleBuilder::begin_dataflow(const Here& here) {
  const Span span = span_of(here);
  if (!state_->in_body(span)) return;
  if (state_->builder.in_dataflow()) {
    state_->errors.push_back(
        error(DiagnosticKind::ill_formed, span, "a dataflow block inside a dataflow block"));
    return;
  }
  state_->builder.begin_dataflow();
}

void ModuleBuilder::end_dataflow() {
  if (state_->stage == State::Stage::body && state_->builder.in_dataflow()) {
    state_->builder.end_dataflow();
  }
}

Value ModuleBuilder::emit_output(const Value& value, const Here& here) {
  return state_->make(here, {value}, [&](const Span& span) -> Result<Value> {
    if (!state_->builder.in_dataflow()) return value;
    return Value(state_->builder.emit_output(value, "", span));
  });
}

Value ModuleBuilder::constant(Array data, Here here) {
  if (data) return graph::make_constant(std::move(data));
  state_->errors.push_back(error(DiagnosticKind::bad_literal, span_of(here),
                                 "a constant has more or fewer elements than its shape says"));
  return nullptr;
}

Value ModuleBuilder::tuple(std::vector<Value> fields) const {
  for (const Value& field : fields) {
    if (!field) return nullptr;
  }
  return graph::make_tuple(std::move(fields));
}

Value ModuleBuilder::item(const Value& tuple, int index, Here here) {
  return state_->make(here, {tuple}, [&](const Span& span) -> Result<Value> {
    const auto* type = as<TupleTypeNode>(tuple->type);
    if (!type || index < 0 || static_cast<size_t>(index) >= type->fields.size()) {
      return error(DiagnosticKind::type_mismatch, span, "no item {} in a value of type `{}`", index,
                   tuple->type ? to_string(tuple->type) : "unknown");
    }
    REPOSE_TRY(v, state_->builder.emit(graph::make_tuple_get(tuple, index), "", span));
    return Value(v);
  });
}

Dims ModuleBuilder::shape_of(const Value& value) const {
  const TensorTypeNode* type = value ? graph::tensor_of(value) : nullptr;
  return type && type->shape ? *type->shape : Dims{};
}

DType ModuleBuilder::dtype_of(const Value& value) const {
  const TensorTypeNode* type = value ? graph::tensor_of(value) : nullptr;
  return type ? type->dtype : dtypes::none;
}

Result<Module> ModuleBuilder::finish() {
  State& s = *state_;
  if (s.stage != State::Stage::outside) {
    s.errors.push_back(error(DiagnosticKind::ill_formed, s.begin,
                             "`{}` has no end: call `end_function`", s.function));
  }
  const OpTable& ops = s.builder.ops();
  Diagnostics errors = std::move(s.errors);
  Module module = s.builder.module();
  state_ = std::make_unique<State>(ops, Module{});
  if (errors.empty()) errors = verify(module, ops);
  if (!errors.empty()) return errors;
  return module;
}

// ---- PassManager
// ---------------------------------------------------------------------------------

PassManager& PassManager::add(std::string pass) {
  passes_.push_back({std::move(pass), nullptr});
  return *this;
}

PassManager& PassManager::add(std::string name, std::function<Result<Module>(const Module&)> pass) {
  passes_.push_back({std::move(name), std::move(pass)});
  return *this;
}

PassManager& PassManager::add_pipeline() {
  for (const PassInfo& pass : pipeline_passes()) add(pass.name);
  return *this;
}

Result<Module> PassManager::run(const Module& module, const OpTable& ops,
                                const std::string& cpu) const {
  return guarded({}, [&]() -> Result<Module> {
    PipelineOptions options;
    REPOSE_TRY(target, find_target(cpu));
    options.target = target;
    options.verify = true;
    Module current = module;
    for (const Pass& pass : passes_) {
      auto next = pass.run ? pass.run(current) : run_pass(pass.name, current, ops, options);
      if (!next.ok()) return next.errors();
      current = *std::move(next);
      if (pass.run) {
        Diagnostics problems = verify(current, ops);
        if (!problems.empty()) return problems;
      }
      if (after_pass) after_pass(pass.name, current);
    }
    return current;
  });
}

// ---- Text and artifacts
// --------------------------------------------------------------------------

Result<Module> with_schedule(const Module& module, const std::string& program,
                             const std::function<Result<void>(schedule::Scheduled&)>& steps) {
  return guarded({}, [&]() -> Result<Module> {
    const tir::PrimFunc f = module.prim_func(program);
    if (!f) {
      return error(DiagnosticKind::unknown_name, {}, "there is no tensor program `{}`", program);
    }
    schedule::Scheduled s = schedule::begin_schedule(f);
    if (auto done = steps(s); !done.ok()) return done.errors();
    if (!s.layouts.empty()) {
      return error(
          DiagnosticKind::illegal_schedule, {},
          "calls of `{}` would have to pass `{}` packed: prepack is for schedules that the "
          "pipeline applies",
          program, f->params[s.layouts[0].param].buffer->name);
    }
    REPOSE_TRY(loops, schedule::finish_schedule(s));
    // Steps may read operands after they wrote results.
    Attrs attrs = loops->attrs;
    attrs.erase("in_place");
    Module result = module;
    result.set(program, tir::make_prim_func(loops->params, loops->body, loops->is_private,
                                            std::move(attrs), loops->span));
    return result;
  });
}

Result<Module> parse(std::string text, std::string name, const OpTable& ops) {
  return guarded({}, [&]() -> Result<Module> {
    return parse_module(make_text_source(std::move(name), std::move(text)), ops);
  });
}

Result<void> compile(const Module& module, const std::string& path, const ArtifactOptions& o) {
  return guarded({}, [&]() -> Result<void> {
    CompileOptions options;
    REPOSE_TRY(target, find_target(o.cpu));
    options.pipeline.target = target;
    options.pipeline.disabled = o.disabled;
    options.name = o.name;
    options.name_prefix = o.symbol_prefix;
    options.profile = o.profile;
    REPOSE_TRY(model, compile(module, standard_ops(), options));
    return write_artifact(model, o.kind, path);
  });
}

}  // namespace repose
