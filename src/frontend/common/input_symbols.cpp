// Dimensions of a model's inputs as expressions over symbols.
#include "frontend/common/input_symbols.h"

#include <algorithm>

#include "expr/interval.h"
#include "frontend/common/call_context.h"
#include "script/parser.h"

namespace repose::frontend {
namespace {

std::string unnamed(std::string_view input, size_t axis) {
  return fmt::format("{}_{}", printable_name(input), axis);
}

// The name of a dimension that is no number.
std::string dimension_name(const ModelInput& input, size_t axis) {
  const std::string& text = (*input.shape)[axis].text;
  // `?` says that nothing is known: each is a symbol of its own.
  const bool has_name = !text.empty() && text != "?";
  return has_name ? printable_name(text) : unnamed(input.name, axis);
}

// Could the text be a formula, and not only a name?
bool is_formula(std::string_view text) {
  return text.size() <= 200 && text.find_first_of("+-*/(") != std::string_view::npos;
}

// The expression that `text` is over known names; null where it is none.
Expr parse_formula(std::string_view text, const SymbolLookup& lookup) {
  if (!is_formula(text)) return nullptr;
  auto parsed = parse_expr(text, lookup);
  return parsed.ok() && (*parsed)->dtype.is_index() ? canonical(*parsed) : nullptr;
}

// The name that stands for `name` after following the aliases.
std::string resolved(std::string name, const SymbolAliases& aliases) {
  for (auto it = aliases.find(name); it != aliases.end(); it = aliases.find(name)) {
    name = it->second.name;
  }
  return name;
}

}  // namespace

Expr InputSymbols::symbol(const std::string& name, const SymbolAliases& aliases,
                          Identifiers& identifiers) {
  auto [known, is_new] = by_name_.emplace(name, nullptr);
  if (!is_new) return known->second;
  const std::string real = resolved(name, aliases);
  if (real != name) return known->second = symbol(real, aliases, identifiers);
  Var var = make_var(identifiers.fresh(name));
  names_.emplace(var.get(), name);
  Interval range;
  range.lower = 0;
  symbols_.push_back({name, var, range});
  return known->second = var;
}

Expr InputSymbols::meaning(std::string_view text) const {
  if (auto it = by_name_.find(printable_name(text)); it != by_name_.end()) return it->second;
  return parse_formula(text, [this](std::string_view name) -> Expr {
    auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  });
}

// The one name that nothing else binds in a formula that is linear in it.
std::optional<InputSymbols::Linear> InputSymbols::linear(std::string_view text) const {
  std::map<std::string, Expr, std::less<>> unknown;
  const Expr e = parse_formula(text, [&](std::string_view name) -> Expr {
    if (auto it = by_name_.find(name); it != by_name_.end()) return it->second;
    auto [it, is_new] = unknown.emplace(name, nullptr);
    if (is_new) it->second = make_var(std::string(name));
    return it->second;
  });
  if (!e || unknown.size() != 1) return std::nullopt;
  const auto& [name, var] = *unknown.begin();
  auto at = [&](int64_t value) {
    return canonical(substitute(e, {{as<VarNode>(var), make_int(value)}}));
  };
  int64_t factor = 0, offset = 0;
  if (!as_const_int(at(0), &offset) || !as_const_int(canonical(at(1) - at(0)), &factor) ||
      factor < 1 || !is_const_int(canonical(e - var * factor - offset), 0)) {
    return std::nullopt;
  }
  return Linear{name, factor, offset};
}

Interval InputSymbols::Derived::range_of_symbol(const Interval& range_of_name) const {
  return interval_scaled(range_of_name, factor) + interval_point(offset);
}

InputSymbols::Symbol* InputSymbols::find(const ExprNode* var) {
  auto it = std::find_if(symbols_.begin(), symbols_.end(),
                         [&](const Symbol& s) { return s.var.get() == var; });
  return it == symbols_.end() ? nullptr : &*it;
}

void InputSymbols::bind_by_formula(std::string_view text, const SymbolAliases& aliases,
                                   Identifiers& identifiers) {
  const std::optional<Linear> formula = linear(text);
  if (!formula) return;
  const Expr dimension = symbol(printable(text), aliases, identifiers);
  Symbol* s = find(dimension.get());
  const Derived derived{s->var, formula->factor, formula->offset};
  s->range =
      intersection(s->range, derived.range_of_symbol(interval_between(0, Interval::plus_infinity)));
  by_name_.emplace(formula->name,
                   canonical(floor_div(dimension - formula->offset, make_int(formula->factor))));
  derived_.emplace(formula->name, derived);
}

// Attributes say of what a symbol is a multiple; any other remainder is checked like a sum.
void InputSymbols::check_remainders() {
  for (Symbol& s : symbols_) {
    if (s.range.is_point() || s.range.remainder == 0) continue;
    bounds_.push_back({s.var, s.range, s.name});
    s.range.divisor = 1;
    s.range.remainder = 0;
  }
}

const std::string* InputSymbols::name_of(const VarNode* symbol) const {
  auto it = names_.find(symbol);
  return it == names_.end() ? nullptr : &it->second;
}

Diagnostic InputSymbols::no_such_dimension(const std::string& name, const Span& span) const {
  std::string known;
  for (const Symbol& s : symbols_) known += (known.empty() ? "`" : ", `") + s.name + "`";
  for (const auto& [derived, d] : derived_) known += ", `" + derived + "`";
  return error(DiagnosticKind::bad_usage, span,
               "no dimension of the model is called `{}`; there are {}", name,
               known.empty() ? "none" : known);
}

// Names that `same` makes one, where both are of dimensions.
void InputSymbols::add_aliases(const std::vector<ModelInput>& inputs,
                               const std::map<std::string, std::string>& same) {
  std::map<std::string, std::string> names;  // all that a dimension is called
  for (const ModelInput& input : inputs) {
    for (size_t axis = 0; input.shape && axis < input.shape->size(); ++axis) {
      if ((*input.shape)[axis].value) continue;
      const std::string name = dimension_name(input, axis);
      names.emplace(name, name);
      names.emplace(unnamed(input.name, axis), name);
    }
  }
  for (const auto& [name, other] : same) {
    auto a = names.find(name), b = names.find(other);
    if (a == names.end() || b == names.end()) continue;
    const std::string gone = resolved(a->second, aliases_), stays = resolved(b->second, aliases_);
    if (gone != stays) aliases_.emplace(gone, SymbolAlias{stays, "`--dim`"});
  }
}

// What `same` says of expressions is checked like a range.
Result<void> InputSymbols::declare_same(const std::map<std::string, std::string>& same,
                                        const Span& span) {
  for (const auto& [name, other] : same) {
    const Expr a = meaning(name), b = meaning(other);
    if (!a || !b) return no_such_dimension(a ? other : name, span);
    const Expr difference = canonical(a - b);
    if (is_const_int(difference, 0)) continue;
    bounds_.push_back({difference, interval_point(0), fmt::format("{} - ({})", name, other)});
  }
  return {};
}

Result<void> InputSymbols::declare(const std::map<std::string, Interval>& dims,
                                   const SymbolAliases& aliases, const Span& span) {
  for (const auto& [name, range] : dims) {
    auto it = by_name_.find(resolved(name, aliases));
    if (it == by_name_.end()) {
      Expr value = meaning(name);
      if (!value) return no_such_dimension(name, span);
      bounds_.push_back({value, range, name});
      continue;
    }
    auto derived = derived_.find(it->first);
    Symbol* s = find(derived == derived_.end() ? it->second.get() : derived->second.symbol.get());
    if (!s) {
      bounds_.push_back({it->second, range, name});
      continue;
    }
    s->range = intersection(
        s->range, derived == derived_.end() ? range : derived->second.range_of_symbol(range));
    if (is_empty(s->range)) {
      return error(DiagnosticKind::bad_range, span, "no size of dimension `{}` lies in its range",
                   s->name);
    }
  }
  return {};
}

Result<InputSymbols> InputSymbols::make(const std::vector<ModelInput>& inputs,
                                        const std::map<std::string, Interval>& dims,
                                        const std::map<std::string, std::string>& same,
                                        const SymbolAliases& known_aliases,
                                        Identifiers& identifiers, const Span& span) {
  InputSymbols result;
  result.aliases_ = known_aliases;
  result.add_aliases(inputs, same);
  const SymbolAliases aliases = result.aliases_;
  // Names first: a formula may stand before the names that it uses.
  for (const ModelInput& input : inputs) {
    if (!input.shape) continue;
    const auto& shape = *input.shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis].value || is_formula(shape[axis].text)) continue;
      Expr symbol = result.symbol(dimension_name(input, axis), aliases, identifiers);
      result.by_name_.emplace(unnamed(input.name, axis), symbol);
    }
  }
  for (const ModelInput& input : inputs) {
    if (!input.shape) continue;
    for (const auto& d : *input.shape) {
      if (!d.value) result.bind_by_formula(d.text, aliases, identifiers);
    }
  }
  for (const ModelInput& input : inputs) {
    result.shapes_.emplace_back();
    if (!input.shape) continue;
    const auto& shape = *input.shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const auto& d = shape[axis];
      if (d.value && *d.value < 0) {
        return error(DiagnosticKind::bad_model, span,
                     "input `{}`: dimension {} is {}, expected at least 0", printable(input.name),
                     axis, *d.value);
      }
      Expr dim;
      if (d.value) {
        dim = make_int(*d.value);
      } else {
        dim = result.meaning(dimension_name(input, axis));
        if (!dim) dim = result.symbol(dimension_name(input, axis), aliases, identifiers);
        result.by_name_.emplace(unnamed(input.name, axis), dim);
      }
      result.shapes_.back().push_back(dim);
    }
  }
  if (auto declared = result.declare(dims, aliases, span); !declared.ok()) return declared.errors();
  if (auto declared = result.declare_same(same, span); !declared.ok()) return declared.errors();
  result.check_remainders();

  VarMap points;
  for (const Symbol& s : result.symbols_) {
    if (s.range.is_point()) points.emplace(s.var.get(), make_int(s.range.lower));
  }
  for (auto& shape : result.shapes_) {
    for (Expr& dim : shape) dim = canonical(substitute(dim, points));
  }
  for (auto& [name, value] : result.by_name_) value = canonical(substitute(value, points));
  for (DeclaredBound& b : result.bounds_) b.value = canonical(substitute(b.value, points));
  std::erase_if(result.symbols_, [](const Symbol& s) { return s.range.is_point(); });
  for (const Symbol& s : result.symbols_) result.facts_.restrict(s.var, s.range);
  for (auto& shape : result.shapes_) {
    for (Expr& dim : shape) dim = simplify(dim, result.facts_);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (auto sized = check_size(result.shapes_[i], dtypes::int8, span); !sized.ok()) {
      return error(DiagnosticKind::too_large, span, "input `{}` is larger than any memory: {}",
                   printable(inputs[i].name), to_string(result.shapes_[i]));
    }
  }
  return result;
}

void InputSymbols::describe(Attrs& attrs) const {
  AttrDict names, same, lower, upper, divisor;
  for (const Symbol& s : symbols_) {
    names.emplace_back(s.var->name, s.name);
    if (s.range.lower > 0) lower.emplace_back(s.var->name, s.range.lower);
    if (s.range.upper != Interval::plus_infinity) upper.emplace_back(s.var->name, s.range.upper);
    if (s.range.divisor != 1) divisor.emplace_back(s.var->name, s.range.divisor);
  }
  for (const auto& [name, alias] : aliases_) {
    if (!by_name_.contains(name)) continue;
    same.emplace_back(name, std::vector<std::string>{resolved(name, aliases_), alias.origin});
  }
  if (!same.empty()) attrs.set("symbol_aliases", Attr(std::move(same)));
  if (!names.empty()) attrs.set("symbol_names", Attr(std::move(names)));
  if (!lower.empty()) attrs.set("tir_var_lower_bound", Attr(std::move(lower)));
  if (!upper.empty()) attrs.set("tir_var_upper_bound", Attr(std::move(upper)));
  if (!divisor.empty()) attrs.set("tir_var_divisor", Attr(std::move(divisor)));
}

}  // namespace repose::frontend
