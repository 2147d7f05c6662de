// Whether a condition can't hold: a search over the cases of linear constraints (constraints.h).
//
// In every case ranges are propagated, clauses with one possible branch are decided, and the Omega
// test (linear.h) looks for a contradiction. Products of symbols are variables of their own; what
// is known about them are products of constraints with factors that have a lower or upper bound
// (reformulation and linearization: H. Sherali, W. Adams, "A hierarchy of relaxations", SIAM J.
// Discrete Math. 1990). Where that isn't enough, a factor is split by its values.
#pragma once

#include <span>

#include "expr/facts.h"

namespace repose {

struct RefuteOptions {
  // Conditions that hold, of those in the facts; ranges are always used.
  std::span<const Expr> conditions;
  // Expressions that aren't 0 wherever the condition has a value (its divisors).
  std::span<const Expr> nonzero;
  int cases = 3000;          // looked at
  int rows = 8000;           // made by the Omega test or for it
  int linear_rows = 150000;  // the same, where nothing is multiplied: there it ends with an answer
};

// True: no assignment that the facts allow makes `condition` equal to `value`. False: unknown.
bool is_never(const Expr& condition, bool value, const Facts& facts, const RefuteOptions& options);

}  // namespace repose
