// The Builder: A-normal form, type inference, facts and run-time checks while a function is made.
#include "ir/builder.h"
#include "ir/cast.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/name_symbols.h"
#include "ir/structural.h"
#include "ir/verify_attributes.h"

namespace repose {

using graph::Binding;
using graph::Block;
using graph::Body;
using graph::Value;
using graph::Variable;

// A body under construction: of a function, or of one branch of an `if`.
struct Builder::Frame {
  enum class Kind { function, then_branch, else_branch };
  Kind kind = Kind::function;
  std::vector<Block> blocks;
  bool in_dataflow = false;
  bool conditional = false;  // runs only under a run-time condition
  Facts facts;
  FoundBroadcasts found_broadcasts;
  std::unordered_set<const VarNode*> bound;
  std::vector<Expr> bound_here;  // keeps the symbols of `bound` alive

  void bind_symbol(const Var& v) {
    if (bound.insert(v.get()).second) bound_here.push_back(v);
  }

  // Those of the block that is open, in dataflow or not.
  std::vector<Binding>& bindings() {
    if (blocks.empty() || blocks.back().is_dataflow != in_dataflow) {
      blocks.push_back(Block{in_dataflow, {}});
    }
    return blocks.back().bindings;
  }
};

struct Builder::FunctionState {
  std::string name;
  std::vector<Variable> params;
  Span span;
  bool impure = false;
  Span impure_span;
  std::string impure_callee;
  std::vector<std::unique_ptr<Frame>> frames;
  // Names of sizes that are known at entry stand before everything else.
  std::vector<Binding> head;
  Facts at_entry;
  std::unordered_set<const VarNode*> known_at_entry;
  std::unordered_set<const VarNode*> bound_at_entry;  // those of parameters, and those around
  std::string hint;  // what the result of the call at hand is to be called
  // An `if` whose branches are being built: its condition, and the finished first branch.
  struct OpenIf {
    Value condition;
    Span span;
    Body then_body;
    std::unordered_map<const graph::ValueNode*, std::vector<Expr>> elements;  // before the branches
  };
  std::vector<OpenIf> ifs;
  std::unordered_map<const graph::ValueNode*, std::vector<Expr>> elements;
  // What variables are that hold closures, or tuples of them.
  std::unordered_map<const graph::ValueNode*, Value> closures;
  std::vector<Value> keep_alive;
  std::unordered_map<const VarNode*, std::string>
      symbol_names;        // wanted; of the outermost function
  std::vector<Var> named;  // keeps these symbols alive
};

// What a type rule sees of the builder.
class BuilderInferContext : public InferContext {
 public:
  BuilderInferContext(Builder& builder, Span span) : builder_(builder), span_(std::move(span)) {}
  const Facts& facts() const override { return builder_.facts(); }
  FoundBroadcasts& found_broadcasts() override { return builder_.frame().found_broadcasts; }
  const std::vector<Expr>* elements_of(const Value& v) const override {
    return builder_.elements_of(v);
  }
  Result<void> require(const Expr& condition, const std::string& message,
                       std::vector<Expr> values) override {
    if (message.empty()) {  // the operator's promise
      builder_.assume(condition);
      return {};
    }
    return builder_.require(condition, message, std::move(values), span_);
  }
  const Module& module() const override { return builder_.module_; }
  Span span() const override { return span_; }

 private:
  Builder& builder_;
  Span span_;
};

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

std::string fill_in(const std::string& message, const std::vector<Expr>& values) {
  std::string out;
  for (size_t i = 0; i < message.size(); ++i) {
    size_t close = message[i] == '{' ? message.find('}', i) : std::string::npos;
    size_t n = 0;
    bool is_place = close != std::string::npos && close > i + 1;
    for (size_t k = i + 1; is_place && k < close; ++k) {
      is_place = message[k] >= '0' && message[k] <= '9';
      n = n * 10 + static_cast<size_t>(message[k] - '0');
    }
    if (is_place && n < values.size()) {
      out += to_string(values[n]);
      i = close;
    } else {
      out += message[i];
    }
  }
  return out;
}

std::string name_hint(const Value& v) {
  if (const auto* call = graph::as<graph::CallNode>(v)) {
    if (call->op) return std::string(call->op->name);
    if (const auto* g = graph::as<graph::GlobalNode>(call->callee)) return g->name;
  }
  return "v";
}

}  // namespace

namespace {

// Gives the symbols that `param` binds their values from `arg`, and lists what else must be equal.
void match_types(const Type& param, const Type& arg, VarMap& symbols,
                 std::vector<std::pair<Expr, Expr>>& equal) {
  auto match_dims = [&](const Dims& want, const Dims& have) {
    for (size_t i = 0; i < want.size() && i < have.size(); ++i) {
      const auto* v = as<VarNode>(want[i]);
      if (v && symbols.emplace(v, have[i]).second) continue;
      equal.emplace_back(want[i], have[i]);
    }
  };
  if (const auto *p = as<TensorTypeNode>(param), *a = as<TensorTypeNode>(arg); p && a) {
    if (p->shape && a->shape) match_dims(*p->shape, *a->shape);
  } else if (const auto* p = as<ShapeTypeNode>(param), *a = as<ShapeTypeNode>(arg); p && a) {
    if (p->dims && a->dims) match_dims(*p->dims, *a->dims);
  } else if (const auto* p = as<PrimTypeNode>(param), *a = as<PrimTypeNode>(arg); p && a) {
    if (p->value && a->value) match_dims({p->value}, {a->value});
  } else if (const auto* p = as<TupleTypeNode>(param), *a = as<TupleTypeNode>(arg); p && a) {
    for (size_t i = 0; i < p->fields.size() && i < a->fields.size(); ++i) {
      match_types(p->fields[i], a->fields[i], symbols, equal);
    }
  }
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

namespace {

// A result type in which new symbols stand for what is made of symbols that are neither known nor
// bound by the type: for `n * 3` where nothing says what `n` is.
Type with_bound_symbols(const Type& type, const std::function<bool(const Var&)>& is_known) {
  const std::vector<Var> bound = binding_symbols(type);
  auto is_bound = [&](const Expr& e) {
    const std::vector<Var> symbols = free_vars(e);
    return std::all_of(symbols.begin(), symbols.end(), [&](const Var& v) {
      return is_known(v) || std::find(bound.begin(), bound.end(), v) != bound.end();
    });
  };
  auto rewrite = [&](Dims dims, VarRole role) {
    for (Expr& d : dims) {
      if (!is_bound(d)) d = make_var("d", dtypes::index, role);
    }
    return dims;
  };
  std::function<Type(const Type&)> visit = [&](const Type& t) -> Type {
    if (const auto* tensor = as<TensorTypeNode>(t); tensor && tensor->shape) {
      return tensor_type(rewrite(*tensor->shape, VarRole::dimension), tensor->dtype,
                         tensor->strides, tensor->device);
    }
    if (const auto* shape = as<ShapeTypeNode>(t); shape && shape->dims) {
      return shape_type(rewrite(*shape->dims, VarRole::value));
    }
    if (const auto* prim = as<PrimTypeNode>(t); prim && prim->value && !is_bound(prim->value)) {
      return prim_type(prim->dtype.is_index() ? dtypes::int64 : prim->dtype);
    }
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      std::vector<Type> fields;
      for (const Type& f : tuple->fields) fields.push_back(visit(f));
      return tuple_type(std::move(fields));
    }
    return t;
  };
  return visit(type);
}

}  // namespace

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

// ---- Names of sizes
// ------------------------------------------------------------------------------

namespace {

// Whether an expression has a value wherever its symbols have: nothing in it divides by 0.
bool is_total(const Expr& e, const Facts& facts) {
  bool total = true;
  visit(e, [&](const Expr& node) {
    const bool divides = node->kind == ExprKind::floor_div || node->kind == ExprKind::floor_mod ||
                         node->kind == ExprKind::div || node->kind == ExprKind::mod;
    const auto* call = as<CallNode>(node);
    if (node->kind == ExprKind::load || (call && !intrinsic_is_pure(call->intrinsic)))
      total = false;
    if (divides && total && !node->dtype.is_float())
      total = prove_nonzero(node->args[1], facts) == Truth::yes;
    return total;
  });
  return total;
}

// Where a size passes the limit in the middle of a calculation that comes back to the same symbols,
// a name hides what would cancel: n + 1 - name, of a name that is n + k. The expression in terms of
// the definitions of such names; null: there are none, or it is larger so.
Expr without_entangled_names(const Expr& value, const Facts& facts) {
  constexpr size_t max_nodes = 200;
  const std::vector<Var> symbols = free_vars(value);
  const auto is_in_value = [&](const Var& v) {
    return std::find(symbols.begin(), symbols.end(), v) != symbols.end();
  };
  VarMap definitions;
  for (const Var& name : symbols) {
    const Expr definition = facts.definition(name.get());
    if (!definition) continue;
    const std::vector<Var> mentioned = free_vars(definition);
    if (std::any_of(mentioned.begin(), mentioned.end(), is_in_value))
      definitions.emplace(name.get(), definition);
  }
  if (definitions.empty()) return nullptr;
  const Expr unfolded = substitute(value, definitions);
  if (tree_size(unfolded, max_nodes + 1) > max_nodes) return nullptr;
  const Expr plain = simplify(unfolded, facts);
  const size_t nodes = tree_size(value, max_nodes);
  return tree_size(plain, nodes + 1) <= nodes ? plain : nullptr;
}

}  // namespace

bool Builder::binds(const VarNode* symbol) const {
  return frame().bound.contains(symbol);
}

void Builder::define(const Var& name, const Expr& value) {
  frame().bind_symbol(name);
  frame().facts.define(name, value);
}

Expr Builder::name_size(const Expr& size, const std::string& hint, const Span& span) {
  Expr value = simplify(size, facts());
  const auto is_small = [&] { return tree_size(value, max_size_nodes + 1) <= max_size_nodes; };
  if (size->dtype != dtypes::index || functions_.empty() || is_small()) return value;
  if (Var known = facts().name_of(value)) return known;
  if (const Expr plain = without_entangled_names(value, facts())) {
    value = plain;
    if (is_small()) return value;
    if (Var known = facts().name_of(value)) return known;
  }
  FunctionState& state = *functions_.back();
  const std::vector<Var> symbols = free_vars(value);
  // In a branch it is only computed where the branch runs.
  const bool at_entry =
      functions_.size() == 1 && state.frames.size() == 1 &&
      std::all_of(symbols.begin(), symbols.end(),
                  [&](const Var& v) { return state.known_at_entry.contains(v.get()); }) &&
      is_total(value, state.at_entry);
  const bool is_dimension = bounds(value, at_entry ? state.at_entry : facts()).lower >= 0;
  const Var name =
      make_var(hint, dtypes::index, is_dimension ? VarRole::dimension : VarRole::value);
  Binding binding = make_size_name(name, value, span ? span : span_);
  define(name, value);
  if (at_entry) {
    state.known_at_entry.insert(name.get());
    state.at_entry.define(name, value);
    state.head.push_back(std::move(binding));
    return name;
  }
  Frame& f = frame();
  binding.var = graph::make_variable(binding.var->name, binding.var->type, f.in_dataflow);
  f.bindings().push_back(std::move(binding));
  return name;
}

// A shape with names for its large members.
Value Builder::with_named_sizes(const Value& shape, const Span& span) {
  const auto* given = graph::as<graph::ShapeNode>(shape);
  if (!given) return shape;
  Dims dims = given->dims;
  bool changed = false;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (tree_size(dims[i], max_size_nodes + 1) <= max_size_nodes) continue;
    dims[i] = name_size(dims[i], fmt::format("{}_{}", functions_.back()->hint, i), span);
    changed = true;
  }
  return changed ? graph::make_shape(std::move(dims)) : shape;
}

// The type of a call's result with names for its large dimensions.
Type Builder::name_sizes(const Type& type, const Span& span) {
  int64_t position = 0;
  const std::string hint = functions_.back()->hint;
  return rewrite_exprs(type, [&](const Expr& e) {
    const int64_t at = position++;
    if (e->dtype != dtypes::index || tree_size(e, max_size_nodes + 1) <= max_size_nodes) return e;
    return name_size(e, fmt::format("{}_{}", hint, at), span);
  });
}

Result<void> Builder::require(const Expr& condition, const std::string& message,
                              std::vector<Expr> values, Span span) {
  Expr c = simplify(condition, facts());
  Truth truth = prove(c, facts());
  if (truth == Truth::yes) return {};
  if (truth == Truth::no && !frame().conditional) {
    return error(DiagnosticKind::shape_mismatch, span, "{}", fill_in(message, values));
  }
  return place_check(c, Attrs{{"message", message}}, values, std::move(span));
}

Result<void> Builder::promise(const Expr& condition, const std::string& message,
                              std::vector<Expr> values, Span span) {
  const Expr c = simplify(condition, facts());
  if (prove(c, facts()) == Truth::yes) return {};
  return place_check(c, Attrs{{"message", message}, {"guaranteed", true}}, values, std::move(span));
}

Result<void> Builder::place_check(const Expr& condition, Attrs given,
                                  const std::vector<Expr>& values, Span span) {
  const OpDef* check = ops_.find("check");
  REPOSE_CHECK(check != nullptr, "the operator table has no `check`");
  std::vector<Value> args{graph::make_prim(condition)};
  for (const Expr& v : values) args.push_back(graph::make_prim(v));
  REPOSE_TRY(attrs, check_call(*check, args, given, span));
  Value call = make_ref<graph::CallNode>(check, nullptr, std::move(args), std::move(attrs),
                                         std::vector<Type>{}, void_type());
  bind(call, void_type(), nullptr, "check", std::move(span), false);
  assume(condition);
  return {};
}

Result<void> Builder::require_range(const Var& symbol, const Interval& range, Span span) {
  const auto& names = functions_.front()->symbol_names;
  const auto wanted = names.find(symbol.get());
  return require(in_range(symbol, range),
                 fmt::format("`{}` is {{0}}, which is outside of its declared range",
                             wanted == names.end() ? symbol->name : wanted->second),
                 {symbol}, std::move(span));
}

void Builder::name_symbol(const Var& symbol, const std::string& name) {
  FunctionState& outermost = *functions_.front();
  if (outermost.symbol_names.emplace(symbol.get(), name).second) outermost.named.push_back(symbol);
}

// ---- Inference
// -----------------------------------------------------------------------------------

Result<Value> Builder::infer(const Value& value, Span span) {
  using graph::ValueKind;
  switch (value->kind) {
    case ValueKind::tuple: {
      std::vector<Value> fields;
      for (const Value& field : graph::as<graph::TupleNode>(value)->fields) {
        REPOSE_TRY(leaf, normalize(field, span));
        fields.push_back(leaf);
      }
      return graph::make_tuple(std::move(fields));
    }
    case ValueKind::tuple_get: {
      const auto* get = graph::as<graph::TupleGetNode>(value);
      REPOSE_TRY(tuple, normalize(get->tuple, span));
      const auto* type = as<TupleTypeNode>(tuple->type);
      if (!type) {
        return error(DiagnosticKind::type_mismatch, span,
                     "item {} of a value of type `{}`, which is no tuple", get->index,
                     to_string(tuple->type));
      }
      if (get->index < 0 || static_cast<size_t>(get->index) >= type->fields.size()) {
        return error(DiagnosticKind::bad_argument, span, "item {} of a tuple with {} members",
                     get->index, type->fields.size());
      }
      return graph::make_tuple_get(tuple, get->index);
    }
    case ValueKind::global: {
      const auto* g = graph::as<graph::GlobalNode>(value);
      const Definition* d = module_.find(g->name);
      if (!d) {
        return error(DiagnosticKind::unknown_name, span, "no function `{}` in the module", g->name);
      }
      if (const auto* f = std::get_if<graph::Function>(d)) {
        return graph::make_global(g->name, (*f)->type);
      }
      return value;
    }
    case ValueKind::call:
      return infer_call(*graph::as<graph::CallNode>(value), span);
    default:
      REPOSE_CHECK(value->type != nullptr, "a value of this kind is typed when it is made");
      return value;
  }
}

Result<Value> Builder::infer_call(const graph::CallNode& call, Span span) {
  std::vector<Value> args;
  for (const Value& a : call.args) {
    REPOSE_TRY(leaf, normalize(a, span));
    args.push_back(call.op ? with_named_sizes(leaf, span) : leaf);
  }
  FunctionState& state = *functions_.back();
  auto note_impure = [&](std::string_view callee) {
    if (state.impure) return;
    state.impure = true;
    state.impure_span = span;
    state.impure_callee = callee;
  };
  if (call.op) {
    REPOSE_TRY(attrs, check_call(*call.op, args, call.attrs, span));
    if (!call.op->pure) note_impure(call.op->name);
    auto checked =
        make_ref<graph::CallNode>(call.op, nullptr, args, attrs, call.type_args, nullptr);
    BuilderInferContext context(*this, span);
    REPOSE_TRY(inferred, call.op->infer(context, *checked));
    const Type type = call.type_args.empty() ? name_sizes(inferred, span) : inferred;
    for (const Var& symbol : binding_symbols(type)) frame().bind_symbol(symbol);
    if (call.op->name == "check") {  // whatever follows may rely on it
      if (const auto* p = as<PrimTypeNode>(args[0]->type); p && p->value) assume(p->value);
    }
    return Value(make_ref<graph::CallNode>(call.op, nullptr, args, attrs, call.type_args, type));
  }
  REPOSE_TRY(callee, normalize(call.callee, span));
  const auto* type = as<FunctionTypeNode>(callee->type);
  if (!type) {
    return error(DiagnosticKind::type_mismatch, span, "a value that is no function is called");
  }
  std::string name = "a closure";
  if (const auto* g = graph::as<graph::GlobalNode>(callee)) name = g->name;
  if (const auto* v = graph::as<graph::VariableNode>(callee)) name = v->name;
  if (!type->pure) note_impure(name);
  VarMap symbols;
  if (!type->opaque) {
    if (type->params.size() != args.size()) {
      return error(DiagnosticKind::wrong_arity, span, "`{}` takes {} arguments, {} are given", name,
                   type->params.size(), args.size());
    }
    std::vector<std::pair<Expr, Expr>> equal;
    for (size_t i = 0; i < args.size(); ++i) {
      match_types(type->params[i], args[i]->type, symbols, equal);
    }
    for (auto& [want, have] : equal) {
      Expr expected = canonical(substitute(want, symbols));
      auto ok = require(eq(have, expected),
                        fmt::format("call of `{}`: a dimension is {{0}}, expected `{}` = {{1}}",
                                    name, to_string(want)),
                        {have, expected}, span);
      if (!ok.ok()) return ok.errors();
    }
    for (size_t i = 0; i < args.size(); ++i) {
      Type want = substitute(type->params[i], symbols);
      if (is_subtype(args[i]->type, want, facts()) == Truth::no) {
        return error(DiagnosticKind::type_mismatch, span,
                     "call of `{}`: argument {} has type `{}`, expected `{}`", name, i,
                     to_string(args[i]->type), to_string(type->params[i]));
      }
    }
  }
  // Symbols that only the result mentions are fresh in each call.
  auto is_known = [&](const Var& v) {
    return symbols.count(v.get()) || frame().bound.count(v.get());
  };
  Type result =
      call.type_args.empty() ? with_bound_symbols(type->result, is_known) : call.type_args[0];
  for (const Var& symbol : free_vars(type->result)) {
    if (!is_known(symbol)) {
      symbols.emplace(symbol.get(), make_var(symbol->name, symbol->dtype, symbol->role));
    }
  }
  if (call.type_args.empty()) {
    result = substitute(result, symbols);
    for (const Var& symbol : binding_symbols(result)) frame().bind_symbol(symbol);
  }
  return Value(
      make_ref<graph::CallNode>(nullptr, callee, args, call.attrs, call.type_args, result));
}

// ---- match_cast and if
// ---------------------------------------------------------------------------

Result<Variable> Builder::emit_match_cast(const Value& value, Type type, std::string name,
                                          Span span, bool is_output) {
  REPOSE_TRY(leaf, normalize(value, span));
  Frame& f = frame();
  const auto named = size_name({nullptr, leaf, type, {}});
  if (named && !f.bound.contains(named->name.get())) {
    define(named->name, simplify(named->value, facts()));
    return bind(leaf, type, type, std::move(name), std::move(span), is_output);
  }
  VarMap symbols;  // bound ones stand for themselves
  for (const Var& v : free_vars(type)) {
    if (f.bound.count(v.get())) symbols.emplace(v.get(), v);
  }
  std::vector<std::pair<Expr, Expr>> equal;
  match_types(type, leaf->type, symbols, equal);
  std::vector<Var> binds;
  for (const Var& v : binding_symbols(type)) {
    if (!f.bound.count(v.get())) binds.push_back(v);
  }
  for (const Var& v : binds) {
    f.bind_symbol(v);
    if (auto it = symbols.find(v.get()); it != symbols.end()) assume(eq(v, it->second));
  }
  for (const Var& v : free_vars(type)) {
    if (!f.bound.count(v.get())) {
      return error(DiagnosticKind::unbound_symbol, span,
                   "symbol `{}` is used, but nothing binds it", v->name);
    }
  }
  if (!f.conditional && !may_overlap(leaf->type, type, facts())) {
    return error(DiagnosticKind::type_mismatch, span, "a value of type `{}` is cast to `{}`",
                 to_string(leaf->type), to_string(type));
  }
  for (auto& [want, have] : equal) assume(eq(canonical(have), canonical(want)));
  const std::vector<Expr>* known = elements_of(leaf);
  // A number that is known stays known, whatever the cast leaves open.
  const auto *cast = as<PrimTypeNode>(type), *given = as<PrimTypeNode>(leaf->type);
  if (cast && !cast->value && given && given->value && may_overlap(leaf->type, type, facts())) {
    type = leaf->type;
  }
  Variable var = bind(leaf, type, type, std::move(name), std::move(span), is_output);
  if (known) functions_.back()->elements[var.get()] = *known;
  return var;
}

namespace {

// What a condition says as an expression; null where only the data tells.
Expr known_condition(const Builder& b, const Value& condition) {
  if (const auto* prim = as<PrimTypeNode>(condition->type)) return prim->value;
  const auto* known = b.elements_of(condition);
  return known && known->size() == 1 ? (*known)[0] : nullptr;
}

}  // namespace

void Builder::begin_if(Value condition, Span span) {
  FunctionState& state = *functions_.back();
  Frame& outer = frame();
  auto f = std::make_unique<Frame>();
  f->kind = Frame::Kind::then_branch;
  f->conditional = true;
  f->facts = outer.facts;
  f->found_broadcasts = outer.found_broadcasts;
  f->bound = outer.bound;
  if (const Expr known = known_condition(*this, condition)) f->facts.assume(known);
  state.ifs.push_back({std::move(condition), std::move(span), nullptr, state.elements});
  state.frames.push_back(std::move(f));
}

void Builder::begin_else(Value then_result) {
  FunctionState& state = *functions_.back();
  REPOSE_CHECK(frame().kind == Frame::Kind::then_branch, "begin_else ends a first branch");
  state.ifs.back().then_body =
      make_ref<graph::BodyNode>(std::move(frame().blocks), std::move(then_result));
  state.frames.pop_back();
  Frame& outer = frame();
  auto f = std::make_unique<Frame>();
  f->kind = Frame::Kind::else_branch;
  f->conditional = true;
  f->facts = outer.facts;
  f->found_broadcasts = outer.found_broadcasts;
  f->bound = outer.bound;
  if (const Expr known = known_condition(*this, state.ifs.back().condition)) {
    f->facts.assume(make_not(known));
  }
  state.elements = state.ifs.back().elements;  // what the first branch found is unknown here
  state.frames.push_back(std::move(f));
}

namespace {

// The least type above those of two branches. Where a dimension differs, it is a choice by the
// condition, if that is an expression; else, or where it mentions a symbol that only a branch
// knows, a fresh symbol stands for it, so that nothing else is lost.
Type join_branches(const Type& a, const Type& b, const Expr& condition, const Facts& facts,
                   const std::unordered_set<const VarNode*>& bound) {
  auto in_scope = [&](const Expr& e) {
    const std::vector<Var> symbols = free_vars(e);
    return std::all_of(symbols.begin(), symbols.end(),
                       [&](const Var& v) { return bound.contains(v.get()); });
  };
  auto join_dims = [&](const Dims& x, const Dims& y) {
    Dims out;
    for (size_t i = 0; i < x.size(); ++i) {
      if (in_scope(x[i]) && prove_equal(x[i], y[i], facts) == Truth::yes) {
        out.push_back(x[i]);
      } else if (condition && in_scope(x[i]) && in_scope(y[i])) {
        out.push_back(canonical(make_select(condition, x[i], y[i])));
      } else {
        out.push_back(make_var("d"));
      }
    }
    return out;
  };
  if (const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      x && y && x->shape && y->shape && x->shape->size() == y->shape->size()) {
    return tensor_type(join_dims(*x->shape, *y->shape), x->dtype == y->dtype ? x->dtype : DType{},
                       {}, x->device == y->device ? x->device : "");
  }
  if (const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      x && y && x->dims && y->dims && x->dims->size() == y->dims->size()) {
    return shape_type(join_dims(*x->dims, *y->dims));
  }
  if (const auto *x = as<TupleTypeNode>(a), *y = as<TupleTypeNode>(b);
      x && y && x->fields.size() == y->fields.size()) {
    std::vector<Type> fields;
    for (size_t i = 0; i < x->fields.size(); ++i) {
      fields.push_back(join_branches(x->fields[i], y->fields[i], condition, facts, bound));
    }
    return tuple_type(std::move(fields));
  }
  return least_upper_bound(a, b, facts);
}

}  // namespace

Result<Variable> Builder::end_if(Value else_result, std::string name) {
  FunctionState& state = *functions_.back();
  REPOSE_CHECK(frame().kind == Frame::Kind::else_branch, "end_if ends a second branch");
  Body else_body = make_ref<graph::BodyNode>(std::move(frame().blocks), else_result);
  state.frames.pop_back();
  FunctionState::OpenIf open = std::move(state.ifs.back());
  state.ifs.pop_back();
  state.elements = std::move(open.elements);
  if (in_dataflow()) {
    return error(DiagnosticKind::ill_formed, open.span, "an `if` inside a dataflow block");
  }
  Frame& f = frame();
  const auto* prim = as<PrimTypeNode>(open.condition->type);
  Type type = join_branches(open.then_body->result->type, else_result->type,
                            prim ? prim->value : nullptr, f.facts, f.bound);
  for (const Var& v : binding_symbols(type)) f.bind_symbol(v);
  Value value = make_ref<graph::IfNode>(open.condition, open.then_body, else_body, type);
  return bind(value, type, nullptr, std::move(name), open.span, false);
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
