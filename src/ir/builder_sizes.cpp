// What a Builder knows of sizes: names for those made of sizes, and what has to hold.
#include <algorithm>

#include "ir/builder_state.h"

namespace repose {

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

// ---- What has to hold
// ---------------------------------------------------------------------------

namespace {

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

}  // namespace

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

}  // namespace repose
