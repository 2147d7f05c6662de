// Rows that follow from those of a case, but not linearly.
#pragma once

#include <vector>

#include "expr/case.h"

namespace repose {

// Adds what rounding and division make of pairs of rows: 2 * q <= y and y < 2 * h give q < h;
// n * t <= y and y < n * h give t < h where n > 0. Only then can it be multiplied. True: something
// new.
bool derive(Constraints& constraints, Case& c);

// Products of rows with monomials that have a limit, in which a monomial of the case occurs. With
// `may_add`, others may come in with them.
std::vector<LinearConstraint> products(Constraints& constraints, Case& c, bool may_add);

}  // namespace repose
