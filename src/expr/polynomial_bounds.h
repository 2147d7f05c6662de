// Intervals of expressions that are canonical already.
#pragma once

#include <unordered_map>

#include "expr/facts.h"
#include "expr/polynomial.h"
#include "expr/structural_key.h"

namespace repose {

// Under facts that stay as they are while it lives: each atom is looked at once.
class Intervals {
 public:
  explicit Intervals(const Facts& facts) : facts_(facts) {}

  Interval of(const Polynomial& p);
  Interval of_atom(const Expr& atom);

 private:
  using Ranges = std::vector<std::pair<Expr, Interval>>;
  Interval of_term(const Term& t, const Ranges& others);
  Interval of_sum(const Polynomial& p, const Ranges& others);
  Interval from_limits(Polynomial p);

  const Facts& facts_;
  std::unordered_map<Expr, Interval, StructuralHash, StructuralEqual> atoms_;
};

Interval bounds_of(const Polynomial& p, const Facts& facts);
// Node by node, as it stands.
Interval bounds_of(const Expr& e, const Facts& facts);

}  // namespace repose
