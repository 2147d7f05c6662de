// Bounds by monotonicity, term by term.
#include "expr/upper_bound.h"

#include <algorithm>
#include <optional>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"

namespace repose {

namespace {

constexpr int max_depth = 6;  // bounds of bounds

class Bounder {
 public:
  Bounder(const Facts& facts, const std::function<bool(const Var&)>& late)
      : facts_(facts), late_(late) {}

  // A bound of p on one side: above, or below.
  std::optional<Polynomial> bound(const Polynomial& p, bool above, int depth) {
    if (p.failed || depth > max_depth) return std::nullopt;
    Polynomial sum(p.constant);
    for (const Term& t : p.terms) {
      auto term = bound_of_term(t, (t.coefficient > 0) == above, depth);
      if (!term) return std::nullopt;
      sum.add(*term, t.coefficient);
    }
    return sum.failed ? std::nullopt : std::optional(sum);
  }

 private:
  bool is_late(const Expr& e) const {
    std::vector<Var> vars = free_vars(e);
    return std::any_of(vars.begin(), vars.end(), late_);
  }

  // A product grows with each factor where none of them can be negative, and the bounds neither.
  std::optional<Polynomial> bound_of_term(const Term& t, bool above, int depth) {
    Polynomial product(1);
    const bool any_late =
        std::any_of(t.factors.begin(), t.factors.end(), [&](const Expr& f) { return is_late(f); });
    for (const Expr& f : t.factors) {
      if (!is_late(f)) {
        if (any_late && bounds_of(f, facts_).lower < 0) return std::nullopt;
        product = product * Polynomial::atom(f);
        continue;
      }
      if (t.factors.size() > 1 && bounds_of(f, facts_).lower < 0) return std::nullopt;
      auto one = bound_of_atom(f, above, depth);
      if (!one) return std::nullopt;
      if (t.factors.size() > 1 && bounds_of(*one, facts_).lower < 0) return std::nullopt;
      product = product * *one;
    }
    return product.failed ? std::nullopt : std::optional(product);
  }

  std::optional<Polynomial> bound_of_atom(const Expr& f, bool above, int depth) {
    std::optional<Polynomial> by_parts;
    switch (f->kind) {
      case ExprKind::var:
        by_parts = bound_of_var(Var(as<VarNode>(f)), above, depth);
        break;
      case ExprKind::min:
      case ExprKind::max:
        by_parts = bound_of_extremum(f, above, depth);
        break;
      case ExprKind::floor_div: {
        int64_t c;
        if (!as_const_int(f->args[1], &c) || c <= 0) break;
        auto x = bound(polynomial_of(f->args[0]), above, depth + 1);
        if (x) by_parts = polynomial_of(floor_div(to_expr(*x), f->args[1]));
        break;
      }
      default:
        break;
    }
    return sharper(by_parts, limit(bounds_of(f, facts_), above), above);
  }

  static std::optional<Polynomial> limit(const Interval& range, bool above) {
    int64_t end = above ? range.upper : range.lower;
    if (end == Interval::plus_infinity || end == Interval::minus_infinity) return std::nullopt;
    return Polynomial(end);
  }

  // Both bounds hold.
  static std::optional<Polynomial> sharper(const std::optional<Polynomial>& a,
                                           const std::optional<Polynomial>& b, bool above) {
    if (!a || !b) return a ? a : b;
    Expr x = to_expr(*a), y = to_expr(*b);
    return polynomial_of(above ? min(x, y) : max(x, y));
  }

  // Above min(a, b): a bound of either; above max(a, b): the larger of both.
  std::optional<Polynomial> bound_of_extremum(const Expr& f, bool above, int depth) {
    auto a = bound(polynomial_of(f->args[0]), above, depth + 1);
    auto b = bound(polynomial_of(f->args[1]), above, depth + 1);
    if ((f->kind == ExprKind::min) == above) return sharper(a, b, above);
    return a && b ? sharper(a, b, !above) : std::nullopt;
  }

  // k * v + rest <= 0 bounds v above (k > 0) or below.
  std::optional<Polynomial> bound_of_var(const Var& v, bool above, int depth) {
    std::optional<Polynomial> best;
    for (const Hypothesis& h : facts_.hypotheses()) {
      if (h.kind == Hypothesis::Kind::not_zero) continue;
      int64_t k = coefficient_of(h.difference, {v});
      if (k == 0 || h.difference.failed || has_extreme_number(h.difference)) continue;
      Polynomial rest = h.difference;
      rest.add_term(-k, {v});
      if (h.kind == Hypothesis::Kind::zero && (k > 0) != above) {
        rest.scale(-1);
        k = -k;
      }
      if ((k > 0) != above || uses(rest, v)) continue;
      // v <= -rest // k, or v >= rest / -k rounded up
      if (above) rest.scale(-1);
      auto limit = bound(rest, above, depth + 1);
      if (!limit) continue;
      const int64_t size = above ? k : -k;
      if (size != 1) {
        Expr x = to_expr(*limit), c = make_int(size);
        limit = polynomial_of(above ? floor_div(x, c) : ceil_div(x, c));
      }
      best = sharper(best, limit, above);
    }
    return best;
  }

  static bool uses(const Polynomial& p, const Var& v) {
    return std::any_of(p.terms.begin(), p.terms.end(), [&](const Term& t) {
      return std::any_of(t.factors.begin(), t.factors.end(),
                         [&](const Expr& f) { return uses_var(f, v); });
    });
  }

  const Facts& facts_;
  const std::function<bool(const Var&)>& late_;
};

}  // namespace

Expr upper_bound(const Expr& e, const Facts& facts,
                 const std::function<bool(const Var&)>& decided_late) {
  if (e->dtype != dtypes::index) return nullptr;
  auto bound = Bounder(facts, decided_late).bound(polynomial_of(simplify(e, facts)), true, 0);
  return bound ? simplify(to_expr(*bound), facts) : nullptr;
}

}  // namespace repose
