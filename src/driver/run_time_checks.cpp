// The checks of a function that stay for run time, and why each could not be proven.
#include <algorithm>
#include <unordered_set>

#include "driver/explain.h"
#include "expr/scalar.h"
#include "host/interface.h"
#include "ir/function_facts.h"

namespace repose {

namespace {

constexpr int max_assignments = 4096;  // tried for a counterexample
constexpr size_t max_symbols = 6;      // of one condition

using Assignment = std::unordered_map<const VarNode*, int64_t>;

std::optional<bool> holds(const Expr& condition, const Assignment& values) {
  auto value = evaluate(condition, [&](const Var& v) -> std::optional<Scalar> {
    auto it = values.find(v.get());
    if (it == values.end()) return std::nullopt;
    return Scalar::of_int(it->second, v->dtype);
  });
  if (!value) return std::nullopt;
  return value->i != 0;
}

// Small values of a symbol, those at the ends of its range, and those near `constants`.
std::vector<int64_t> samples_of(const Interval& range, const std::vector<int64_t>& constants) {
  std::vector<int64_t> samples;
  // base + steps * stride, if it is in the range (and in 64 bits)
  auto add = [&](int64_t base, int64_t steps = 0, int64_t stride = 1) {
    int64_t distance = 0, v = 0;
    if (__builtin_mul_overflow(steps, stride, &distance)) return;
    if (__builtin_add_overflow(base, distance, &v) || !range.contains(v)) return;
    if (std::find(samples.begin(), samples.end(), v) == samples.end()) samples.push_back(v);
  };
  const int64_t near = std::min<int64_t>(64, range.divisor) + 2;
  if (range.lower != Interval::minus_infinity) {
    for (int64_t k = 0; k < near; ++k) add(range.lower, k);
    for (int64_t k = 1; k < 3; ++k) add(range.lower, k, range.divisor);
  }
  for (int64_t v : {2, 3, 1, 0, -1, -2, 5, 7, 8, 16, 64, -3})
    add(range.remainder, v, range.divisor);
  for (int64_t c : constants) {
    for (int64_t step : {-1, 0, 1}) add(c, step);
  }
  if (range.upper != Interval::plus_infinity) {
    for (int64_t k = 0; k < near; ++k) add(range.upper, -k);
  }
  return samples;
}

// The condition and the known ones that its symbols are linked to, as far as these have no more
// than `max_symbols` symbols together.
struct Scope {
  std::vector<Var> symbols;
  std::vector<Expr> known;
  bool is_whole = true;  // nothing that is known of the symbols is left out
};

Scope scope_of(const Expr& condition, const Facts& facts) {
  Scope scope{free_vars(condition), {}, true};
  std::vector<Expr> rest = facts.conditions();
  for (const auto& [var, value] : facts.equalities()) rest.push_back(eq(Var(var), value));
  for (bool again = true; again;) {
    again = false;
    scope.is_whole = true;
    for (size_t i = 0; i < rest.size(); ++i) {
      std::vector<Var> joined = scope.symbols;
      bool is_linked = false;
      for (const Var& v : free_vars(rest[i])) {
        const bool has = std::find(joined.begin(), joined.end(), v) != joined.end();
        is_linked = is_linked || has;
        if (!has) joined.push_back(v);
      }
      if (!is_linked) continue;
      if (joined.size() > max_symbols) {
        scope.is_whole = false;
        continue;
      }
      scope.symbols = std::move(joined);
      scope.known.push_back(rest[i]);
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i--));
      again = true;
    }
  }
  return scope;
}

// Values that what is known allows and for which the condition fails.
std::optional<Assignment> counterexample(const Expr& condition, const Scope& scope,
                                         const Facts& facts) {
  const std::vector<Var>& symbols = scope.symbols;
  const std::vector<Expr>& known = scope.known;
  if (symbols.empty() || symbols.size() > max_symbols) return std::nullopt;
  std::vector<int64_t> constants;
  visit(condition, [&](const Expr& e) {
    int64_t c = 0;
    if (as_const_int(e, &c)) constants.push_back(c);
    return true;
  });
  std::vector<std::vector<int64_t>> samples;
  for (const Var& v : symbols) {
    samples.push_back(samples_of(facts.range_of(v), constants));
    if (samples.back().empty()) return std::nullopt;
  }
  std::vector<size_t> at(symbols.size(), 0);
  for (int tried = 0; tried < max_assignments; ++tried) {
    Assignment values;
    for (size_t i = 0; i < symbols.size(); ++i) values[symbols[i].get()] = samples[i][at[i]];
    const bool allowed = std::all_of(known.begin(), known.end(), [&](const Expr& c) {
      return holds(c, values).value_or(false);
    });
    if (allowed && !holds(condition, values).value_or(true)) return values;
    size_t i = 0;
    while (i < at.size() && ++at[i] == samples[i].size()) at[i++] = 0;
    if (i == at.size()) break;
  }
  return std::nullopt;
}

class CheckList {
 public:
  CheckList(const graph::Function& f, FunctionInterface interface)
      : f_(f), interface_(std::move(interface)), facts_(declared_facts(f)) {
    for (const SymbolInfo& s : interface_.symbols) bound_.insert(s.symbol.get());
  }

  std::vector<RunTimeCheck> run() {
    signature();
    body(f_->body);
    return std::move(checks_);
  }

 private:
  std::string text(const Expr& e) const { return dim_text(e, interface_.symbols); }

  std::string reason(const Expr& condition) const {
    const Scope scope = scope_of(condition, facts_);
    auto values = counterexample(condition, scope, facts_);
    if (!values) return "not proven; no small values were found for which it fails";
    std::string list;
    for (const Var& v : free_vars(condition)) {
      list += fmt::format("{}{} = {}", list.empty() ? "" : ", ", text(v), values->at(v.get()));
    }
    return (scope.is_whole ? "fails for " : "may fail for ") + list;
  }

  void add(std::string place, const Expr& condition) {
    const Expr left = simplify(condition, facts_);
    const bool is_known = prove(left, facts_) == Truth::yes;
    checks_.push_back({std::move(place), text(is_known ? condition : left),
                       is_known ? "follows from what is checked before" : reason(left)});
    facts_.assume(left);
  }

  // What the entry tests besides ranks and dtypes: declared ranges, and dimensions that another
  // one decides.
  void signature() {
    for (const SymbolInfo& s : interface_.symbols) {
      const std::string place = fmt::format("entry, dimension {} of input `{}`", s.axis,
                                            interface_.inputs[static_cast<size_t>(s.input)].name);
      const Expr range = range_condition(s);
      if (!is_constant(range)) checks_.push_back({place, text(range), "a declared range"});
    }
    for (size_t i = 0; i < interface_.inputs.size(); ++i) {
      const ValueInfo& input = interface_.inputs[i];
      std::string dims;
      for (size_t axis = 0; axis < input.dims.size(); ++axis) {
        if (binds(i, axis)) continue;
        dims += fmt::format("{}dimension {} == {}", dims.empty() ? "" : ", ", axis,
                            input.dim_texts[axis]);
      }
      for (size_t axis = 0; axis < input.strides.size(); ++axis) {
        dims += fmt::format("{}stride {} == {}", dims.empty() ? "" : ", ", axis,
                            text(input.strides[axis]));
      }
      if (dims.empty()) continue;
      checks_.push_back(
          {fmt::format("entry, input `{}`", input.name), std::move(dims), "the caller decides it"});
    }
  }

  // Is the dimension where a symbol gets its value?
  bool binds(size_t input, size_t axis) const {
    return std::any_of(
        interface_.symbols.begin(), interface_.symbols.end(), [&](const SymbolInfo& s) {
          return s.input == static_cast<int>(input) && s.axis == static_cast<int>(axis);
        });
  }

  void body(const graph::Body& body) {
    for (const graph::Block& block : body->blocks) {
      for (const graph::Binding& b : block.bindings) binding(b);
    }
  }

  void binding(const graph::Binding& b) {
    const std::string place = b.span ? b.span.to_string() : fmt::format("`{}`", b.var->name);
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      const Facts outside = facts_;
      this->body(choice->then_body);
      facts_ = outside;
      this->body(choice->else_body);
      facts_ = outside;
    } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
      const Facts outside = facts_;
      this->body(closure->body);
      facts_ = outside;
    } else if (b.cast) {
      match_cast(place, b);
    } else if (const Expr condition = check_condition(b.value)) {
      if (is_promise(b.value)) {
        facts_.assume(condition);
      } else {
        add(place, condition);
      }
    }
  }

  void match_cast(const std::string& place, const graph::Binding& b) {
    const auto* want = as<TensorTypeNode>(b.cast);
    const auto* have = as<TensorTypeNode>(b.value->type);
    if (!want || !want->shape) return;
    const bool comparable = have && have->shape && have->shape->size() == want->shape->size();
    if (!comparable) {
      checks_.push_back({place, fmt::format("`{}` has type `{}`", b.var->name, to_string(b.cast)),
                         "only the data tells its shape"});
      return;
    }
    for (size_t i = 0; i < want->shape->size(); ++i) {
      const Expr &w = (*want->shape)[i], &h = (*have->shape)[i];
      const auto* symbol = as<VarNode>(w);
      if (symbol && bound_.insert(symbol).second) {
        facts_.assume(eq(w, h));
      } else if (prove_equal(w, h, facts_) != Truth::yes) {
        add(place, eq(h, w));
      }
    }
  }

  const graph::Function& f_;
  const FunctionInterface interface_;
  Facts facts_;
  std::unordered_set<const VarNode*> bound_;
  std::vector<RunTimeCheck> checks_;
};

}  // namespace

Result<std::vector<RunTimeCheck>> run_time_checks(const std::string& name,
                                                  const graph::Function& f) {
  REPOSE_TRY(interface, function_interface(name, f));
  return CheckList(f, std::move(interface)).run();
}

}  // namespace repose
