// Intervals of expressions that are canonical already.
#pragma once

#include "expr/facts.h"
#include "expr/polynomial.h"

namespace repose {

Interval bounds_of(const Polynomial& p, const Facts& facts);
// Node by node, as it stands.
Interval bounds_of(const Expr& e, const Facts& facts);

}  // namespace repose
