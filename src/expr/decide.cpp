// Witnesses, facts that matter, multiples replaced by products.
#include "expr/decide.h"

#include <algorithm>
#include <unordered_set>

#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/refute.h"
#include "expr/scalar.h"

namespace repose {

namespace {

constexpr size_t max_conditions = 24;
constexpr int max_tries = 24;

// ---- The facts that matter ----------------------------------------------------------------------

// The conditions that are linked to an expression by symbols, the nearest first, and all symbols of
// both.
struct Surroundings {
  std::vector<Expr> conditions;
  std::vector<Var> symbols;
};

class SurroundingsFinder {
 public:
  SurroundingsFinder(const Expr& e, const Facts& facts) : facts_(facts) {
    include(e);
    const auto& known = facts.conditions();
    std::vector<bool> taken(known.size(), false);
    for (bool grown = true; grown && scope_.conditions.size() < max_conditions;) {
      grown = false;
      std::vector<size_t> found;
      for (size_t i = 0; i < known.size(); ++i) {
        if (!taken[i] && touches(known[i])) found.push_back(i);
      }
      for (size_t i : found) {
        if (scope_.conditions.size() == max_conditions) break;
        taken[i] = grown = true;
        scope_.conditions.push_back(known[i]);
        include(known[i]);
      }
    }
  }

  Surroundings take() { return std::move(scope_); }

 private:
  // Symbols that are replaced by others count as these.
  void include(const Expr& e) {
    visit(e, [&](const Expr& node) {
      const auto* v = as<VarNode>(node);
      if (!v || !seen_.insert(v).second) return true;
      if (auto it = facts_.equalities().find(v); it != facts_.equalities().end()) {
        include(it->second);
      } else {
        scope_.symbols.emplace_back(v);
      }
      return true;
    });
  }

  bool touches(const Expr& e) const {
    bool found = false;
    visit(e, [&](const Expr& node) {
      const auto* v = as<VarNode>(node);
      found = found || (v && seen_.count(v));
      return !found;
    });
    return found;
  }

  const Facts& facts_;
  Surroundings scope_;
  std::unordered_set<const VarNode*> seen_;
};

// ---- Witnesses ----------------------------------------------------------------------------------

struct Outcomes {
  bool holds = false, fails = false;
};

class Witnesses {
 public:
  Witnesses(const Surroundings& scope, const Facts& facts) : scope_(scope), facts_(facts) {
    for (const Var& v : scope.symbols) {
      ranges_.push_back(intersection(facts.range_of(v), interval_of_dtype(v->dtype)));
    }
    values_.resize(ranges_.size());
  }

  Outcomes of(const Expr& condition) {
    Outcomes seen;
    if (!can_try()) return seen;
    for (int attempt = 0; attempt < max_tries && !(seen.holds && seen.fails); ++attempt) {
      for (size_t i = 0; i < values_.size(); ++i) values_[i] = pick(ranges_[i], attempt);
      if (!satisfies_facts()) continue;
      auto value = evaluate(condition, lookup());
      if (value) (value->i ? seen.holds : seen.fails) = true;
    }
    return seen;
  }

 private:
  bool can_try() const {
    return std::all_of(scope_.symbols.begin(), scope_.symbols.end(), [](const Var& v) {
      return v->dtype == dtypes::index || (v->dtype.is_data_int() && !v->dtype.is_vector());
    });
  }

  // The first values, then some further away; the same sequence each time.
  int64_t pick(const Interval& r, int attempt) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    const int64_t reach = attempt < max_tries / 2 ? 3 : 40;
    const int64_t step = attempt == 0 ? 0 : static_cast<int64_t>((random_ >> 33) % reach);
    if (r.lower == Interval::minus_infinity) {
      const int64_t end = r.upper == Interval::plus_infinity ? reach / 2 : r.upper;
      return end - step * r.divisor - floor_remainder(end - r.remainder, r.divisor);
    }
    int64_t count = reach;
    if (r.upper != Interval::plus_infinity) {
      // The difference fits: the quotient is compared before it is used.
      const uint64_t width = static_cast<uint64_t>(r.upper) - static_cast<uint64_t>(r.lower);
      const uint64_t steps = width / static_cast<uint64_t>(r.divisor);
      if (steps < static_cast<uint64_t>(reach)) count = static_cast<int64_t>(steps) + 1;
    }
    return r.lower + step % count * r.divisor;
  }

  std::function<std::optional<Scalar>(const Var&)> lookup() {
    return [this](const Var& v) -> std::optional<Scalar> {
      for (size_t i = 0; i < values_.size(); ++i) {
        if (scope_.symbols[i] == v) return Scalar::of_int(values_[i], v->dtype);
      }
      auto it = facts_.equalities().find(v.get());
      return it == facts_.equalities().end() ? std::nullopt : evaluate(it->second, lookup());
    };
  }

  bool satisfies_facts() {
    for (const Expr& c : scope_.conditions) {
      auto value = evaluate(c, lookup());
      if (!value || !value->i) return false;
    }
    return true;
  }

  const Surroundings& scope_;
  const Facts& facts_;
  std::vector<Interval> ranges_;
  std::vector<int64_t> values_;
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

Truth decide_by_cases(const Expr& condition, const Expr& simplified, const Facts& facts) {
  Surroundings scope = SurroundingsFinder(condition, facts).take();
  Outcomes seen = Witnesses(scope, facts).of(condition);
  if (seen.holds && seen.fails) return Truth::unknown;
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
