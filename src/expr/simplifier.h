// The rewriter behind canonical(), simplify(), bounds() and prove(). canonical.cpp has its body,
// division.cpp what concerns // and %.
#pragma once

#include <unordered_map>

#include "expr/facts.h"
#include "expr/polynomial.h"
#include "expr/polynomial_bounds.h"

namespace repose {

class Simplifier {
 public:
  explicit Simplifier(const Facts& facts) : facts_(facts), intervals_(facts) {}

  Expr run(const Expr& e);
  // Of a scalar index expression.
  Polynomial polynomial(const Expr& e);
  // The condition `difference` <= 0, == 0 or != 0, in the form that it is kept in.
  Expr at_most_zero(Polynomial difference);
  Expr equals_zero(Polynomial difference);
  Expr differs_from_zero(Polynomial difference);

 private:
  Polynomial expand(const Expr& e);
  Polynomial expand_node(const Expr& e);
  Expr simplify_node(const Expr& e);
  Expr with_simple_args(const Expr& e);

  Polynomial floor_div_of(const Polynomial& p, const Polynomial& q);
  Polynomial floor_div_const(const Polynomial& p, int64_t c);
  std::optional<std::pair<Polynomial, Polynomial>> without_remainders(const Polynomial& p,
                                                                      int64_t c);
  Polynomial floor_div_symbolic(Polynomial p, Polynomial q);
  Polynomial floor_mod_of(const Polynomial& p, const Polynomial& q);
  Polynomial floor_mod_const(const Polynomial& p, int64_t c);
  Polynomial floor_mod_symbolic(Polynomial p, Polynomial q);
  bool lies_below(const Polynomial& p, const Polynomial& q);
  Polynomial truncating(ExprKind kind, const Polynomial& p, const Polynomial& q);
  Polynomial extremum(ExprKind kind, std::vector<Polynomial> choices);
  Polynomial choice(ExprKind kind, const Expr& condition, const Polynomial& a, const Polynomial& b);
  Polynomial index_cast(const Expr& e);
  bool join_nested_quotients(Polynomial& p, const Term& low, const Term& high, const Factors& rest);
  bool join_rounding_up(Polynomial& p);
  bool join_halves(Polynomial& p);
  bool recombine_once(Polynomial& p);
  void recombine(Polynomial& p);
  Expr expression(Polynomial p);
  Polynomial quotient_atom(ExprKind kind, const Polynomial& p, const Polynomial& q);

  Polynomial without_known_factors(Polynomial d);
  Expr compare_index(const Expr& e);
  Expr logic(const Expr& e);
  Expr negation(const Expr& e);
  bool is_known(const Expr& condition, bool* value);

  bool is_at_most_zero(const Polynomial& p, int depth = 3);

  const Facts& facts_;
  Intervals intervals_;
  std::unordered_map<const ExprNode*, std::pair<Expr, Polynomial>> polynomials_;
  std::unordered_map<const ExprNode*, std::pair<Expr, Expr>> expressions_;
};

// The opposite of a simplified condition.
Expr negated_condition(const Expr& condition);

}  // namespace repose
