// The Builder: A-normal form, functions, blocks and bindings. Facts of sizes are in
// builder_sizes.cpp, types in builder_infer.cpp, branches in builder_if.cpp.
#include "ir/builder.h"

#include "ir/builder_state.h"
#include "ir/cast.h"
#include "ir/name_symbols.h"
#include "ir/structural.h"
#include "ir/verify_attributes.h"

namespace repose {

namespace {

constexpr int64_t max_tracked_elements = 64;

// The elements of a small constant, as InferContext::elements_of gives them.
std::optional<std::vector<Expr>> constant_elements(const ArrayNode& array) {
  if (array.num_elements() > max_tracked_elements) return std::nullopt;
  std::vector<Expr> result;
  for (int64_t i = 0; i < array.num_elements(); ++i) {
    Scalar s = array.load(i);
    if (s.dtype.is_float()) {
      result.push_back(make_float(s.f, s.dtype));
    } else {
      result.push_back(s.dtype.is_bool() ? make_bool(s.i != 0) : make_int(s.i));
    }
  }
  return result;
}

bool has_tracked_elements(const Type& type) {
  const auto* t = as<TensorTypeNode>(type);
  if (!t || !t->shape || !t->dtype) return false;
  int64_t count = 1;
  for (const Expr& d : *t->shape) {
    int64_t n = 0;
    if (!as_const_int(d, &n) || n > max_tracked_elements) return false;
    count *= n;
    if (count > max_tracked_elements) return false;
  }
  return true;
}

std::string name_hint(const Value& v) {
  if (const auto* call = graph::as<graph::CallNode>(v)) {
    if (call->op) return std::string(call->op->name);
    if (const auto* g = graph::as<graph::GlobalNode>(call->callee)) return g->name;
  }
  return "v";
}

}  // namespace

Builder::Builder(const OpTable& ops, Module base) : ops_(ops), module_(std::move(base)) {}
Builder::~Builder() = default;

Builder::Frame& Builder::frame() const {
  REPOSE_CHECK(!functions_.empty(), "no function is being built");
  return *functions_.back()->frames.back();
}

const Facts& Builder::facts() const {
  static const Facts nothing;
  return functions_.empty() ? nothing : frame().facts;
}

void Builder::assume(const Expr& condition) {
  frame().facts.assume(condition);
}

bool Builder::in_dataflow() const {
  return !functions_.empty() && frame().in_dataflow;
}

// ---- Functions and blocks
// ------------------------------------------------------------------------

void Builder::begin_function(std::string name, std::vector<Variable> params, Facts facts,
                             Span span) {
  auto state = std::make_unique<FunctionState>();
  auto f = std::make_unique<Frame>();
  if (!functions_.empty()) {  // a closure sees the symbols and facts around it
    f->bound = frame().bound;
    f->facts = frame().facts;
    f->found_broadcasts = frame().found_broadcasts;
    f->conditional = true;  // it may never be called
    state->elements = functions_.back()->elements;
  } else {
    f->facts = std::move(facts);
  }
  for (const Variable& p : params) {
    for (const Var& symbol : binding_symbols(p->type)) {
      f->bind_symbol(symbol);
      state->known_at_entry.insert(symbol.get());
    }
  }
  state->bound_at_entry = f->bound;
  state->at_entry = f->facts;
  state->name = std::move(name);
  state->params = std::move(params);
  state->span = std::move(span);
  state->frames.push_back(std::move(f));
  functions_.push_back(std::move(state));
}

void Builder::begin_dataflow() {
  REPOSE_CHECK(!frame().in_dataflow, "dataflow blocks don't nest");
  frame().in_dataflow = true;
  frame().blocks.push_back(Block{true, {}});
}

void Builder::end_dataflow() {
  Frame& f = frame();
  REPOSE_CHECK(f.in_dataflow, "no dataflow block is open");
  f.in_dataflow = false;
  if (f.blocks.back().bindings.empty()) f.blocks.pop_back();
}

Result<Value> Builder::end_function(Value result, FunctionOptions options) {
  if (frame().in_dataflow) end_dataflow();
  Span span = functions_.back()->span;
  REPOSE_TRY(leaf, normalize(result, span));
  FunctionState& state = *functions_.back();
  Type type = options.result_type ? options.result_type : leaf->type;
  if (!options.result_type && functions_.size() > 1) {  // symbols of the body end with a closure
    type = with_bound_symbols(type,
                              [&](const Var& v) { return state.bound_at_entry.contains(v.get()); });
  }
  Diagnostics problems;
  if (options.result_type && is_subtype(leaf->type, type, facts()) == Truth::no) {
    problems.push_back(error(DiagnosticKind::type_mismatch, span,
                             "`{}` returns `{}`, its annotation says `{}`", state.name,
                             to_string(leaf->type), to_string(type)));
  }
  if (options.result_type && problems.empty()) {
    auto required = require_result(type, leaf->type, span);
    if (!required.ok()) problems = required.errors();
  }
  if (options.is_pure && state.impure && !is_forced_pure(options.attrs)) {
    problems.push_back(error(DiagnosticKind::impure_call, state.impure_span,
                             "`{}` is pure, but calls `{}`, which is not", state.name,
                             state.impure_callee));
  }
  std::vector<Block> blocks = std::move(state.frames.back()->blocks);
  if (!state.head.empty()) {
    if (blocks.empty() || blocks[0].is_dataflow) blocks.insert(blocks.begin(), Block{false, {}});
    std::vector<Binding>& first = blocks[0].bindings;
    first.insert(first.begin(), state.head.begin(), state.head.end());
  }
  auto body = make_ref<graph::BodyNode>(std::move(blocks), leaf);
  graph::Function f = make_ref<graph::FunctionNode>(state.params, body, type, options.is_pure,
                                                    options.is_private, options.attrs, span);
  std::string name = state.name;
  for (Diagnostic& d :
       attribute_problems(name, *f, options.attrs_span ? options.attrs_span : span)) {
    problems.push_back(std::move(d));
  }
  const auto symbol_names = std::move(state.symbol_names);
  const std::vector<Var> named = std::move(state.named);
  functions_.pop_back();
  if (!problems.empty()) return problems;
  if (functions_.empty()) f = name_symbols(f, symbol_names);
  if (functions_.empty()) module_.set(name, f);
  return Value(f);
}

// Dimensions of a result that may differ from its annotation: checks. Symbols that nothing binds
// are names for what the result has.
Result<void> Builder::require_result(const Type& annotation, const Type& derived, Span span) {
  VarMap symbols;
  for (const Var& v : free_vars(annotation)) {
    if (frame().bound.count(v.get())) symbols.emplace(v.get(), v);
  }
  std::vector<std::pair<Expr, Expr>> equal;
  match_types(annotation, derived, symbols, equal);
  for (const auto& [want, have] : equal) {
    if (have->dtype != want->dtype || !want->dtype.is_index()) continue;
    const Expr expected = canonical(substitute(want, symbols));
    bool is_known = true;
    for (const Var& v : free_vars(expected)) is_known = is_known && frame().bound.count(v.get());
    if (!is_known) continue;
    auto required = require(eq(have, expected),
                            fmt::format("`{}`: a dimension of its result is {{0}}, its annotation "
                                        "says `{}` = {{1}}",
                                        functions_.back()->name, to_string(want)),
                            {have, expected}, span);
    if (!required.ok()) return required;
  }
  return {};
}

// ---- Bindings
// ------------------------------------------------------------------------------------

Variable Builder::bind(Value value, Type type, Type cast, std::string name, Span span,
                       bool force_output) {
  Frame& f = frame();
  if (name.empty()) name = name_hint(value);
  Variable var =
      graph::make_variable(std::move(name), std::move(type), f.in_dataflow && !force_output);
  if (Value known = known_value(value)) functions_.back()->closures[var.get()] = std::move(known);
  f.bindings().push_back(
      Binding{var, std::move(value), std::move(cast), span ? std::move(span) : span_});
  return var;
}

Result<Value> Builder::normalize(const Value& value, Span span) {
  if (graph::is_leaf(value)) {
    if (value->type || value->kind == graph::ValueKind::global) return value;
    return infer(value, span);
  }
  REPOSE_TRY(var, emit(value, "", span));
  return Value(var);
}

Result<Variable> Builder::emit(const Value& value, std::string name, Span span) {
  if (value->kind == graph::ValueKind::variable) {
    return Variable(graph::as<graph::VariableNode>(value));
  }
  return emit_binding(value, std::move(name), std::move(span), false);
}

void Builder::emit_closure(Variable var, const Value& closure, Span span) {
  Frame& f = frame();
  functions_.back()->closures[var.get()] = closure;
  f.bindings().push_back(Binding{std::move(var), closure, nullptr, std::move(span)});
}

// A closure, or a tuple that may hold some, behind variables and items; null: something else.
Value Builder::known_value(Value v) const {
  if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
    const Value tuple = known_value(get->tuple);
    const auto* fields = tuple ? graph::as<graph::TupleNode>(tuple) : nullptr;
    return fields ? known_value(fields->fields[static_cast<size_t>(get->index)]) : nullptr;
  }
  if (v->kind == graph::ValueKind::function || v->kind == graph::ValueKind::tuple) return v;
  for (size_t i = functions_.size(); i-- > 0;) {
    const auto it = functions_[i]->closures.find(v.get());
    if (it != functions_[i]->closures.end()) return it->second;
  }
  return nullptr;
}

const graph::FunctionNode* Builder::closure_of(const Value& v) const {
  const Value known = known_value(v);
  return known ? graph::as<graph::FunctionNode>(known) : nullptr;
}

Result<Variable> Builder::emit_binding(const Value& value, std::string name, Span span,
                                       bool is_output) {
  FunctionState& state = *functions_.back();
  const std::string hint = name.empty() ? name_hint(value) : name;
  state.hint = hint;
  REPOSE_TRY(typed, infer(value, span));
  Variable var = bind(typed, typed->type, nullptr, std::move(name), span, is_output);
  if (graph::is_leaf(typed)) {
    if (const auto* known = elements_of(typed)) state.elements[var.get()] = *known;
  } else if (const auto* call = graph::as<graph::CallNode>(typed);
             call && call->op && call->op->elements && has_tracked_elements(call->type)) {
    BuilderInferContext context(*this, span);
    if (auto known = call->op->elements(context, *call, call->type)) {
      for (size_t i = 0; i < known->size(); ++i) {
        Expr& e = (*known)[i];
        if (!e) continue;
        e = name_size(e, known->size() == 1 ? hint : fmt::format("{}_{}", hint, i), span);
      }
      state.elements[var.get()] = std::move(*known);
    }
  }
  return var;
}

Variable Builder::emit_output(const Value& value, std::string name, Span span) {
  return bind(value, value->type, nullptr, std::move(name), std::move(span), true);
}

const std::vector<Expr>* Builder::elements_of(const Value& v) const {
  if (functions_.empty()) return nullptr;
  FunctionState& state = *functions_.back();
  if (auto it = state.elements.find(v.get()); it != state.elements.end()) return &it->second;
  const auto* constant = graph::as<graph::ConstantNode>(v);
  if (!constant) return nullptr;
  auto known = constant_elements(*constant->data);
  if (!known) return nullptr;
  state.keep_alive.push_back(v);
  return &(state.elements[v.get()] = std::move(*known));
}

void Builder::set_elements(const Variable& v, std::vector<Expr> elements) {
  functions_.back()->elements[v.get()] = std::move(elements);
}

Value make_call_tir(const OpTable& ops, const std::string& program, std::vector<Value> args,
                    std::vector<Type> results, Dims symbols) {
  const OpDef* op = ops.find("call_tir");
  REPOSE_CHECK(op != nullptr, "the operator table has no `call_tir`");
  for (Expr& s : symbols) args.push_back(graph::make_prim(std::move(s)));
  std::vector<Value> operands{graph::make_global(program), graph::make_tuple(std::move(args))};
  Type type = results.size() == 1 ? results[0] : tuple_type(std::move(results));
  return graph::make_op_call(*op, std::move(operands), {}, {type});
}

}  // namespace repose
