// Witnesses, facts that matter, multiples replaced by products.
#include "expr/decide.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/refute.h"
#include "expr/scalar.h"
#include "expr/steps.h"

namespace repose {

namespace {

constexpr size_t max_conditions = 24;
constexpr int max_tries = 24;

// ---- The facts that matter ----------------------------------------------------------------------

// The conditions that are linked to an expression by symbols, the nearest first; all symbols of
// both, those of the expression first; and the names that stand for sums of these.
struct Surroundings {
  std::vector<Expr> conditions;
  std::vector<Var> symbols;
  size_t num_own = 0;  // symbols of the expression itself
  std::vector<Var> names;
};

class SurroundingsFinder {
 public:
  SurroundingsFinder(const Expr& e, const Facts& facts) : facts_(facts) {
    include(e);
    scope_.num_own = scope_.symbols.size();
    const KnownConditions& known = facts.known();
    std::vector<bool> taken(known.entries().size(), false);
    for (bool grown = true; grown && scope_.conditions.size() < max_conditions;) {
      grown = false;
      std::vector<size_t> found;
      for (size_t i = 0; i < known.entries().size(); ++i) {
        if (!taken[i] && known.entries()[i] && touches(*known.entries()[i])) found.push_back(i);
      }
      for (size_t i : found) {
        if (scope_.conditions.size() == max_conditions) break;
        taken[i] = grown = true;
        scope_.conditions.push_back(known.entries()[i]->condition);
        include(scope_.conditions.back());
      }
    }
  }

  Surroundings take() { return std::move(scope_); }

 private:
  // Symbols that are replaced by others, or defined, count as these: behind those that aren't.
  void include(const Expr& e) {
    std::vector<Expr> behind;
    for (const Var& v : free_vars(e)) {
      if (!seen_.insert(v.get()).second) continue;
      const Expr definition = facts_.definition(v.get());
      if (auto it = facts_.equalities().find(v.get()); it != facts_.equalities().end()) {
        behind.push_back(it->second);
      } else if (definition) {
        scope_.names.push_back(v);
        behind.push_back(definition);
      } else {
        scope_.symbols.push_back(v);
      }
    }
    for (const Expr& value : behind) include(value);
  }

  bool touches(const Known& known) const {
    return std::any_of(known.symbols.begin(), known.symbols.end(),
                       [&](const ExprNode* s) { return seen_.contains(s); });
  }

  const Facts& facts_;
  Surroundings scope_;
  std::unordered_set<const ExprNode*> seen_;
};

// ---- Witnesses ----------------------------------------------------------------------------------

class Witnesses {
 public:
  Witnesses(const Surroundings& scope, const Facts& facts) : scope_(scope), facts_(facts) {
    for (const Var& v : scope.symbols) {
      ranges_.push_back(intersection(facts.range_of(v), interval_of_dtype(v->dtype)));
    }
  }

  Outcomes of(const Expr& condition) {
    Outcomes seen;
    if (!can_try()) return seen;
    auto is_open = [&] { return !(seen.holds && seen.fails); };
    // All symbols the same, but for those without limits, which are data, and of the expression's
    // own one or all, which are above or below: often the only way to satisfy many conditions at
    // once.
    struct Base {
      int64_t bounded, open;
    };
    const size_t own = std::min(scope_.num_own, max_own);
    for (const Base base : {Base{1, 0}, Base{0, 0}, Base{2, 0}, Base{1, 1}, Base{0, 1}}) {
      for (size_t moved = 0; moved < own + 2 && is_open(); ++moved) {
        for (const int64_t by : {1, -1, -2}) {
          if (moved == 0 && by < 0) continue;
          try_values(condition, seen, [&](size_t i) {
            const bool moves = i < own && (moved == own + 1 || moved == i + 1);
            const Interval& range = ranges_[i];
            if (range == Interval()) return base.open + (moves ? by : 0);
            return nth(range, std::max<int64_t>(0, base.bounded + (moves ? by : 0)));
          });
        }
      }
    }
    for (int attempt = 0; attempt < max_tries && is_open(); ++attempt) {
      try_values(condition, seen, [&](size_t i) { return pick(ranges_[i], attempt); });
    }
    return seen;
  }

 private:
  bool can_try() const {
    return std::all_of(scope_.symbols.begin(), scope_.symbols.end(), [](const Var& v) {
      return v->dtype == dtypes::index || (v->dtype.is_data_int() && !v->dtype.is_vector());
    });
  }

  template <class ValueOf>
  void try_values(const Expr& condition, Outcomes& seen, const ValueOf& value_of) {
    if (!spend_steps(4 + scope_.conditions.size())) return;
    values_.clear();
    for (size_t i = 0; i < ranges_.size(); ++i) {
      values_.emplace(scope_.symbols[i].get(),
                      Scalar::of_int(value_of(i), scope_.symbols[i]->dtype));
    }
    if (!satisfies_facts()) return;
    const auto value = evaluate(condition, lookup(), SelectSides::chosen);
    if (value) (value->i ? seen.holds : seen.fails) = true;
  }

  // The first values, then some further away; the same sequence each time.
  int64_t pick(const Interval& r, int attempt) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    const int64_t reach = attempt < max_tries / 2 ? 3 : 40;
    return nth(r, attempt == 0 ? 0 : static_cast<int64_t>((random_ >> 33) % reach), reach);
  }

  // The member of a range that is so many steps above its lower end; one near the middle, or in a
  // short range an earlier one, where there is none.
  static int64_t nth(const Interval& r, int64_t step, int64_t reach = 3) {
    int64_t distance = 0, value = 0;
    if (r.lower == Interval::minus_infinity) {
      const int64_t end = r.upper == Interval::plus_infinity ? reach / 2 : r.upper;
      const int64_t last = end - floor_remainder(end - r.remainder, r.divisor);
      const bool fits = !__builtin_mul_overflow(step, r.divisor, &distance) &&
                        !__builtin_sub_overflow(last, distance, &value);
      return fits ? value : last;
    }
    int64_t count = std::max(reach, step + 1);
    if (r.upper != Interval::plus_infinity) {
      // The difference fits: the quotient is compared before it is used.
      const uint64_t width = static_cast<uint64_t>(r.upper) - static_cast<uint64_t>(r.lower);
      const uint64_t steps = width / static_cast<uint64_t>(r.divisor);
      if (steps < static_cast<uint64_t>(count)) count = static_cast<int64_t>(steps) + 1;
    }
    const bool fits = !__builtin_mul_overflow(step % count, r.divisor, &distance) &&
                      !__builtin_add_overflow(r.lower, distance, &value);
    return fits ? value : r.lower;
  }

  std::function<std::optional<Scalar>(const Var&)> lookup() {
    return [this](const Var& v) { return value_of(v); };
  }

  std::optional<Scalar> value_of(const Var& v) {
    if (auto it = values_.find(v.get()); it != values_.end()) return it->second;
    auto replaced = facts_.equalities().find(v.get());
    const Expr e =
        replaced != facts_.equalities().end() ? replaced->second : facts_.definition(v.get());
    if (!e) return std::nullopt;
    const auto value = spend_steps() ? evaluate(e, lookup(), SelectSides::chosen) : std::nullopt;
    values_.emplace(v.get(), value);  // also that it has none
    return value;
  }

  bool satisfies_facts() {
    for (const Var& name : scope_.names) {
      const auto value = value_of(name);
      if (!value || !facts_.range_of(name).contains(value->i)) return false;
    }
    for (const Expr& c : scope_.conditions) {
      const auto value = evaluate(c, lookup(), SelectSides::chosen);
      if (!value || !value->i) return false;
    }
    return true;
  }

  static constexpr size_t max_own = 5;

  const Surroundings& scope_;
  const Facts& facts_;
  std::vector<Interval> ranges_;
  std::unordered_map<const VarNode*, std::optional<Scalar>> values_;
  uint64_t random_ = 20260712;
};

// ---- Divisors -----------------------------------------------------------------------------------

// What a condition divides by wherever it has a value: not on the right of `and` and `or`, nor in
// the sides of an if.
void collect_divisors(const Expr& e, const Facts& facts, std::vector<Expr>& out) {
  switch (e->kind) {
    case ExprKind::logical_and:
    case ExprKind::logical_or:
    case ExprKind::if_then_else:
      return collect_divisors(e->args[0], facts, out);
    case ExprKind::floor_div:
    case ExprKind::floor_mod:
      if (e->dtype == dtypes::index && !is_constant(e->args[1])) {
        out.push_back(simplify(e->args[1], facts));
        // Products of factors that aren't 0.
        Polynomial p = polynomial_of(out.back());
        if (p.constant == 0 && p.terms.size() == 1) {
          for (const Expr& f : p.terms[0].factors) out.push_back(f);
        }
      }
      break;
    default:
      break;
  }
  for (const Expr& a : e->args) collect_divisors(a, facts, out);
}

// ---- Multiples ----------------------------------------------------------------------------------

// The symbols in products and in what is divided: where replacing them by a product helps.
bool is_multiplied(const Expr& e, const Var& v) {
  bool found = false;
  visit(e, [&](const Expr& node) {
    bool here = node->kind == ExprKind::mul || node->kind == ExprKind::floor_div ||
                node->kind == ExprKind::floor_mod;
    if (here && !is_constant(node->args[1])) found = found || uses_var(node, v);
    if (node->kind == ExprKind::floor_div || node->kind == ExprKind::floor_mod) {
      bool nonlinear = !polynomial_of(node->args[0]).is_linear();
      found = found || (nonlinear && uses_var(node, v));
    }
    return !found;
  });
  return found;
}

// x % q == 0 with a symbol x that q hasn't: x = q * k.
bool multiple_of(const Expr& condition, Var* x, Expr* q) {
  if (condition->kind != ExprKind::eq || !is_const_int(condition->args[1], 0)) return false;
  const Expr& mod = condition->args[0];
  if (mod->kind != ExprKind::floor_mod) return false;
  const auto* v = as<VarNode>(mod->args[0]);
  if (!v || uses_var(mod->args[1], Var(v))) return false;
  *x = Var(v);
  *q = mod->args[1];
  return true;
}

// Facts in which multiples are products with new symbols; false where there are none.
bool with_products(const Expr& condition, const Surroundings& scope, Facts& facts) {
  bool changed = false;
  auto replace = [&](const Var& x, const Expr& q, int64_t rest) {
    Interval quotient = bounds_of(floor_div(x, q), facts);
    quotient.divisor = 1, quotient.remainder = 0;
    Var k = make_var("k", dtypes::index, VarRole::value);
    facts.restrict(k, quotient);
    facts.assume(eq(x, q * k + rest));
    changed = true;
  };
  for (const Expr& c : scope.conditions) {
    Var x;
    Expr q;
    if (multiple_of(c, &x, &q) && !facts.equalities().count(x.get())) replace(x, q, 0);
  }
  for (const Var& v : scope.symbols) {
    Interval r = facts.range_of(v);
    if (r.divisor > 1 && !facts.equalities().count(v.get()) && is_multiplied(condition, v)) {
      replace(v, make_int(r.divisor), r.remainder);
    }
  }
  return changed;
}

// What isn't 0 wherever the condition and the facts have values.
std::vector<Expr> nonzero_divisors(const Expr& condition, const Surroundings& scope,
                                   const Facts& facts) {
  std::vector<Expr> found;
  collect_divisors(condition, facts, found);
  for (const Expr& c : scope.conditions) collect_divisors(c, facts, found);
  return found;
}

Truth refuted(const Expr& simplified, const Facts& facts, const RefuteOptions& options,
              const Outcomes& seen) {
  if (!seen.fails && is_never(simplified, false, facts, options)) return Truth::yes;
  if (!seen.holds && is_never(simplified, true, facts, options)) return Truth::no;
  return Truth::unknown;
}

}  // namespace

Outcomes find_witnesses(const Expr& condition, const Facts& facts) {
  const Surroundings scope = SurroundingsFinder(condition, facts).take();
  return Witnesses(scope, facts).of(condition);
}

Truth decide_by_cases(const Expr& condition, const Expr& simplified, const Facts& facts,
                      const Outcomes& seen) {
  Surroundings scope = SurroundingsFinder(condition, facts).take();
  RefuteOptions options;
  Facts more = facts;
  if (!with_products(simplified, scope, more)) {
    std::vector<Expr> nonzero = nonzero_divisors(condition, scope, facts);
    options.conditions = scope.conditions;
    options.nonzero = nonzero;
    return refuted(simplified, facts, options, seen);
  }
  if (more.is_contradiction()) return Truth::unknown;
  std::vector<Expr> nonzero = nonzero_divisors(condition, scope, more);
  Expr again = simplify(simplified, more);
  Truth t = prove_quickly(again, more);
  if (t != Truth::unknown) return t;
  scope = SurroundingsFinder(again, more).take();
  options.conditions = scope.conditions;
  options.nonzero = nonzero;
  return refuted(again, more, options, seen);
}

}  // namespace repose
