// The prover: canonical differences, intervals, combinations with what is known, cases.
#include <algorithm>
#include <limits>

#include "expr/decide.h"
#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/simplifier.h"
#include "expr/steps.h"

namespace repose {

namespace {

constexpr int max_relaxations = 4;  // in one chain
constexpr int search_budget = 48;   // polynomials looked at for one comparison
constexpr int case_budget = 20;     // the same within a case
constexpr int max_cases = 2;        // nested
constexpr int max_unfolded = 3;     // definitions within definitions
constexpr size_t max_unfolded_nodes = 400;
constexpr uint64_t question_steps = 16'000;

Truth negated(Truth t) {
  return t == Truth::unknown ? t : (t == Truth::yes ? Truth::no : Truth::yes);
}

Truth truth(bool value) {
  return value ? Truth::yes : Truth::no;
}

// Looks for a chain of upper bounds that ends at or below zero.
class Search {
 public:
  Search(const Facts& facts, int budget) : facts_(facts), intervals_(facts), full_budget_(budget) {}

  bool at_most_zero(const Polynomial& p) {
    budget_ = full_budget_;
    return run(p, max_relaxations);
  }

 private:
  bool run(const Polynomial& p, int depth) {
    if (p.failed || --budget_ < 0 || !spend_steps()) return false;
    if (intervals_.of(p).upper <= 0) return true;
    if (depth == 0) return false;
    return by_hypotheses(p, depth) || by_atoms(p, depth) || by_quotients(p, depth);
  }

  // ---- Replacing an atom by a bound on it ----

  bool by_atoms(const Polynomial& p, int depth) {
    for (const Term& t : p.terms) {
      for (size_t i = 0; i < t.factors.size(); ++i) {
        if (t.factors[i]->args.empty() || t.factors[i]->dtype != dtypes::index) continue;
        Factors rest = t.factors;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        if (by_atom(p, t, t.factors[i], rest, depth)) return true;
      }
    }
    return false;
  }

  // p with coefficient * rest * atom replaced by coefficient * rest * bound.
  static Polynomial replaced(const Polynomial& p, const Term& t, const Factors& rest,
                             const Polynomial& bound) {
    Polynomial q = p;
    q.add_term(-t.coefficient, t.factors);
    return q + monomial(t.coefficient, rest) * bound;
  }

  bool by_atom(const Polynomial& p, const Term& t, const Expr& atom, const Factors& rest,
               int depth) {
    switch (atom->kind) {
      case ExprKind::min:
      case ExprKind::max: {
        if (!is_nonnegative(rest)) return false;
        // One side bounds the atom from the side that counts, or both sides must do.
        bool one_suffices = (atom->kind == ExprKind::min) == (t.coefficient > 0);
        bool a = run(replaced(p, t, rest, polynomial_of(atom->args[0])), depth - 1);
        if (a == one_suffices) return a;
        return run(replaced(p, t, rest, polynomial_of(atom->args[1])), depth - 1);
      }
      case ExprKind::select:
      case ExprKind::if_then_else:
        return run(replaced(p, t, rest, polynomial_of(atom->args[1])), depth - 1) &&
               run(replaced(p, t, rest, polynomial_of(atom->args[2])), depth - 1);
      case ExprKind::floor_div:
        return by_floor_div(p, t, atom, rest, depth);
      case ExprKind::floor_mod:
        return by_floor_mod(p, t, atom, rest, depth);
      default:
        return false;
    }
  }

  // c * (x // c) lies between x - c + 1 and x.
  bool by_floor_div(const Polynomial& p, const Term& t, const Expr& atom, const Factors& rest,
                    int depth) {
    Polynomial x = polynomial_of(atom->args[0]), q = polynomial_of(atom->args[1]);
    if (!is_nonnegative(rest)) return false;
    if (t.coefficient < 0) x = x - q + Polynomial(1);
    if (q.is_constant()) {
      int64_t c = q.constant;
      if (c <= 0) return false;
      Polynomial scaled = p;
      scaled.add_term(-t.coefficient, t.factors);
      if (t.coefficient % c == 0) {
        return run(scaled + monomial(t.coefficient / c, rest) * x, depth - 1);
      }
      // c * p is an upper bound's multiple; p <= 0 where c * p <= c - 1.
      scaled.scale(c);
      if (scaled.failed) return t.coefficient > 0 && by_dividend(p, t, rest, x, c, depth);
      scaled = scaled + monomial(t.coefficient, rest) * x;
      scaled.add_constant(-(c - 1));
      return run(scaled, depth - 1);
    }
    if (intervals_.of(q).lower <= 0) return false;
    if (q.terms.size() == 1 && q.constant == 0 && t.coefficient % q.terms[0].coefficient == 0) {
      if (auto less = divide_factors(rest, q.terms[0].factors)) {
        Polynomial r = p;
        r.add_term(-t.coefficient, t.factors);
        r = r + monomial(t.coefficient / q.terms[0].coefficient, *less) * x;
        if (run(r, depth - 1)) return true;
      }
    }
    // x // q <= x where 0 <= x and 1 <= q
    if (t.coefficient < 0 || intervals_.of(x).lower < 0) return false;
    return run(replaced(p, t, rest, x), depth - 1);
  }

  // (y + k) // c <= y where 0 <= y and 0 <= k < c: what is left where numbers are too large.
  bool by_dividend(const Polynomial& p, const Term& t, const Factors& rest, Polynomial x, int64_t c,
                   int depth) {
    x.add_constant(-std::clamp<int64_t>(x.constant, 0, c - 1));
    if (x.failed || intervals_.of(x).lower < 0) return false;
    return run(replaced(p, t, rest, x), depth - 1);
  }

  // x % q lies below q, and not above an x that isn't negative.
  bool by_floor_mod(const Polynomial& p, const Term& t, const Expr& atom, const Factors& rest,
                    int depth) {
    if (t.coefficient < 0 || !is_nonnegative(rest)) return false;
    Polynomial x = polynomial_of(atom->args[0]), q = polynomial_of(atom->args[1]);
    if (intervals_.of(q).lower <= 0) return false;
    if (!q.is_constant() && run(replaced(p, t, rest, q - Polynomial(1)), depth - 1)) return true;
    if (intervals_.of(x).lower < 0) return false;
    return run(replaced(p, t, rest, x), depth - 1);
  }

  // k * (x // q) - k * (y // q) where x <= y and q > 0
  bool by_quotients(const Polynomial& p, int depth) {
    for (const Term& s : p.terms) {
      if (s.coefficient <= 0 || s.factors.size() != 1) continue;
      const Expr& f = s.factors[0];
      if (f->kind != ExprKind::floor_div || is_constant(f->args[1])) continue;
      for (const Term& t : p.terms) {
        if (t.coefficient >= 0 || t.factors.size() != 1) continue;
        const Expr& g = t.factors[0];
        if (g->kind != ExprKind::floor_div || !structural_equal(f->args[1], g->args[1])) continue;
        if (intervals_.of(polynomial_of(g->args[1])).lower <= 0) continue;
        if (!run(polynomial_of(f->args[0]) - polynomial_of(g->args[0]), depth - 1)) continue;
        int64_t k = std::min(s.coefficient, -t.coefficient);
        Polynomial r = p;
        r.add_term(-k, s.factors);
        r.add_term(k, t.factors);
        if (run(r, depth - 1)) return true;
      }
    }
    return false;
  }

  // ---- Adding multiples of what is known not to be above zero ----

  bool by_hypotheses(const Polynomial& p, int depth) {
    if (depth < 2) return false;
    for (const KnownConditions::Entry& known : facts_.known().entries()) {
      if (!known || !known->hypothesis) continue;
      const Hypothesis& h = *known->hypothesis;
      if (h.kind == Hypothesis::Kind::not_zero) continue;
      for (const Term& s : p.terms) {
        for (const Term& t : h.difference.terms) {
          bool same_sign = (s.coefficient > 0) == (t.coefficient > 0);
          if (!same_sign && h.kind != Hypothesis::Kind::zero) continue;
          if (eliminates(p, s, h, t, depth)) return true;
        }
      }
    }
    return false;
  }

  // The combination m * p - k * rest * h in which the terms s and t cancel.
  bool eliminates(const Polynomial& p, const Term& s, const Hypothesis& h, const Term& t,
                  int depth) {
    auto rest = divide_factors(s.factors, t.factors);
    if (!rest) return false;
    if (h.kind != Hypothesis::Kind::zero && !is_nonnegative(*rest)) return false;
    int64_t g = std::gcd(s.coefficient, t.coefficient);
    int64_t m = std::abs(t.coefficient) / g, k = s.coefficient / g;
    if (t.coefficient < 0) k = -k;
    Polynomial q = p;
    q.scale(m);
    q = q - monomial(k, *rest) * h.difference;
    return run(q, depth - 2);
  }

  bool is_nonnegative(const Factors& factors) {
    if (factors.empty()) return true;
    Polynomial p;
    p.terms.push_back({1, factors});
    return intervals_.of(p).lower >= 0;
  }

  const Facts& facts_;
  Intervals intervals_;
  const int full_budget_;
  int budget_ = 0;
};

class Prover {
 public:
  explicit Prover(int cases) : cases_(cases) {}

  Truth prove(const Expr& e, const Facts& facts) {
    if (facts.is_contradiction()) return Truth::yes;
    return decide(Simplifier(facts).run(e), facts);
  }

  // Whether a simplified comparison is never true: half of what it takes to decide it.
  bool refutes(const Expr& c, const Facts& facts) {
    const bool is_index = is_compare(c->kind) && c->args[0]->dtype == dtypes::index;
    if (!is_index || c->kind == ExprKind::ne) return decide(c, facts) == Truth::no;
    const Polynomial d = polynomial_of(c->args[0]) - polynomial_of(c->args[1]);
    if (d.failed) return false;
    const Polynomial above = Polynomial(1) - d;
    if (c->kind == ExprKind::eq) return is_nonzero(d, above, facts);
    return c->kind == ExprKind::le && search_in(facts).at_most_zero(above);
  }

  // Of a simplified condition.
  Truth decide(const Expr& c, const Facts& facts) {
    switch (c->kind) {
      case ExprKind::int_imm:
        return truth(!is_const_int(c, 0));
      case ExprKind::logical_not:
        return negated(decide(c->args[0], facts));
      case ExprKind::logical_and:
        return both(c, facts);
      case ExprKind::logical_or:
        return either(c, facts);
      case ExprKind::select:
      case ExprKind::if_then_else:
        return chosen(c, facts);
      default:
        break;
    }
    if (!is_compare(c->kind)) return Truth::unknown;
    DType dtype = c->args[0]->dtype;
    if (dtype == dtypes::index) {
      Truth t = compare_index(c, facts);
      return t == Truth::unknown ? by_cases(c, facts) : t;
    }
    return dtype.is_data_int() && !dtype.is_vector() ? compare_data(c, facts) : Truth::unknown;
  }

 private:
  Truth compare_index(const Expr& c, const Facts& facts) {
    Polynomial d = polynomial_of(c->args[0]) - polynomial_of(c->args[1]);
    if (d.failed) return Truth::unknown;
    Polynomial above = Polynomial(1) - d;  // at most 0 where d > 0
    Search search = search_in(facts);
    switch (c->kind) {
      case ExprKind::le:
        if (search.at_most_zero(d)) return Truth::yes;
        return search.at_most_zero(above) ? Truth::no : Truth::unknown;
      case ExprKind::eq:
        return is_zero(d, above, facts);
      case ExprKind::ne:
        return negated(is_zero(d, above, facts));
      default:
        return Truth::unknown;
    }
  }

  Search search_in(const Facts& facts) const {
    return Search(facts, cases_ < max_cases ? case_budget : search_budget);
  }

  // Whether `d` is 0, by what is known of it as it stands.
  static Truth is_known_zero(const Polynomial& d, const Facts& facts) {
    if (!bounds_of(d, facts).contains(0)) return Truth::no;
    for (const KnownConditions::Entry& known : facts.known().entries()) {
      if (!known || !known->hypothesis) continue;
      const Hypothesis& h = *known->hypothesis;
      if (h.kind == Hypothesis::Kind::at_most_zero) continue;
      bool same = h.difference == d || repose::negated(h.difference) == d;
      if (same) return truth(h.kind == Hypothesis::Kind::zero);
    }
    return Truth::unknown;
  }

  static bool is_apart_from_zero(const Polynomial& d, const Polynomial& above, Search& search) {
    Polynomial below = d;
    below.add_constant(1);
    return search.at_most_zero(above) || search.at_most_zero(below);
  }

  Truth is_zero(const Polynomial& d, const Polynomial& above, const Facts& facts) {
    const Truth known = is_known_zero(d, facts);
    if (known != Truth::unknown) return known;
    Search search = search_in(facts);
    if (is_apart_from_zero(d, above, search)) return Truth::no;
    if (search.at_most_zero(d) && search.at_most_zero(repose::negated(d))) return Truth::yes;
    return is_product_nonzero(d, facts) ? Truth::no : Truth::unknown;
  }

  bool is_nonzero(const Polynomial& d, const Polynomial& above, const Facts& facts) {
    const Truth known = is_known_zero(d, facts);
    if (known != Truth::unknown) return known == Truth::no;
    Search search = search_in(facts);
    return is_apart_from_zero(d, above, search) || is_product_nonzero(d, facts);
  }

  // A product of numbers that aren't 0.
  bool is_product_nonzero(const Polynomial& d, const Facts& facts) {
    if (d.constant != 0 || d.terms.size() != 1) return false;
    const Factors& factors = d.terms[0].factors;
    return factors.size() > 1 && std::all_of(factors.begin(), factors.end(), [&](const Expr& f) {
             const Polynomial p = Polynomial::atom(f);
             return is_nonzero(p, Polynomial(1) - p, facts);
           });
  }

  static Truth compare_data(const Expr& c, const Facts& facts) {
    Interval a = bounds_of(c->args[0], facts), b = bounds_of(c->args[1], facts);
    Interval d = a - b;
    bool equal = structural_equal(c->args[0], c->args[1]);
    bool always_less = d.upper < 0, always_more = d.lower > 0;
    bool never_more = d.upper <= 0 || equal, never_less = d.lower >= 0 || equal;
    auto answer = [](bool yes, bool no) {
      return yes ? Truth::yes : (no ? Truth::no : Truth::unknown);
    };
    switch (c->kind) {
      case ExprKind::eq:
        return answer(never_more && never_less, !d.contains(0));
      case ExprKind::ne:
        return answer(!d.contains(0) && !equal, never_more && never_less);
      case ExprKind::lt:
        return answer(always_less, never_less);
      case ExprKind::le:
        return answer(never_more, always_more);
      case ExprKind::gt:
        return answer(always_more, never_more);
      default:
        return answer(never_less, always_less);
    }
  }

  // ---- Connectives ----

  Truth both(const Expr& c, const Facts& facts) {
    Truth a = decide(c->args[0], facts);
    if (a == Truth::no) return a;
    Truth b = decide(c->args[1], facts);
    if (a == Truth::yes || b == Truth::no) return b;
    // Each may be possible alone, not together.
    return under(c->args[0], c->args[1], facts) == Truth::no ? Truth::no : Truth::unknown;
  }

  Truth either(const Expr& c, const Facts& facts) {
    Truth a = decide(c->args[0], facts);
    if (a == Truth::yes) return a;
    Truth b = decide(c->args[1], facts);
    if (a == Truth::no || b == Truth::yes) return b;
    Expr first_fails = negated_condition(c->args[0]);
    if (under(first_fails, c->args[1], facts) == Truth::yes) return Truth::yes;
    Expr second_fails = negated_condition(c->args[1]);
    return under(second_fails, c->args[0], facts) == Truth::yes ? Truth::yes : Truth::unknown;
  }

  Truth chosen(const Expr& c, const Facts& facts) {
    Truth condition = decide(c->args[0], facts);
    if (condition != Truth::unknown) return decide(c->args[condition == Truth::yes ? 1 : 2], facts);
    Truth a = under(c->args[0], c->args[1], facts);
    return a != Truth::unknown && a == under(negated_condition(c->args[0]), c->args[2], facts)
               ? a
               : Truth::unknown;
  }

  // `c` where `hypothesis` holds. A contradiction makes it unknown here: nothing is learned.
  Truth under(const Expr& hypothesis, const Expr& c, const Facts& facts) {
    if (cases_ <= 0) return Truth::unknown;
    Facts more = facts;
    more.assume(hypothesis);
    return Prover(cases_ - 1).prove(c, more);
  }

  // ---- Cases ----

  // The condition of a choice inside, or what decides a minimum or maximum.
  static Expr splitting_condition(const Expr& c) {
    Expr found;
    visit(c, [&](const Expr& e) {
      if (found) return false;
      if (e->kind == ExprKind::select || e->kind == ExprKind::if_then_else) {
        if (e->args[0]->dtype == dtypes::boolean) found = e->args[0];
      } else if ((e->kind == ExprKind::min || e->kind == ExprKind::max) &&
                 e->dtype == dtypes::index) {
        found = le(e->args[0], e->args[1]);
      }
      return !found;
    });
    return found;
  }

  Truth by_cases(const Expr& c, const Facts& facts) {
    if (cases_ <= 0) return Truth::unknown;
    Expr condition = splitting_condition(c);
    if (!condition) return Truth::unknown;
    Facts holds = facts, fails = facts;
    holds.assume(condition);
    fails.assume(make_not(condition));
    Prover inner(cases_ - 1);
    if (holds.is_contradiction()) return inner.prove(c, fails);
    Truth a = inner.prove(c, holds);
    if (a == Truth::unknown || fails.is_contradiction()) return a;
    return inner.prove(c, fails) == a ? a : Truth::unknown;
  }

  int cases_;
};

}  // namespace

Truth prove_quickly(const Expr& condition, const Facts& facts) {
  return Prover(max_cases).prove(condition, facts);
}

Truth prove(const Expr& condition, const Facts& all) {
  if (all.is_contradiction()) return Truth::yes;
  const StepBudget budget(question_steps);
  Facts facts = all.about(condition);
  Expr simple = simplify(condition, facts);
  if (simple->kind == ExprKind::int_imm) return truth(!is_const_int(simple, 0));
  const Outcomes seen = find_witnesses(condition, facts);
  if (seen.holds && seen.fails) return Truth::unknown;
  for (int level = 0;; ++level) {
    const Truth t = Prover(max_cases).decide(simple, facts);
    if (t != Truth::unknown) return t;
    if (level == max_unfolded || !facts.unfold(simple)) break;
    simple = simplify(simple, facts);
    if (tree_size(simple, max_unfolded_nodes) == max_unfolded_nodes) break;
  }
  return decide_by_cases(condition, simple, facts, seen);
}

Truth prove_directly(const Expr& condition, const Facts& facts) {
  return Prover(0).prove(condition, facts);
}

bool is_refuted_directly(const Expr& comparison, const Facts& facts) {
  if (facts.is_contradiction()) return false;
  return Prover(0).refutes(Simplifier(facts).run(comparison), facts);
}

Truth prove_nonzero(const Expr& a, const Facts& facts) {
  return prove(ne(a, make_int(0, a->dtype)), facts);
}

Truth prove_divisible(const Expr& a, int64_t divisor, const Facts& facts) {
  REPOSE_CHECK(divisor > 0, "a divisor is positive");
  return prove(eq(floor_mod(a, make_int(divisor, a->dtype)), make_int(0, a->dtype)), facts);
}

}  // namespace repose
