// Expressions as keys of hash maps.
#pragma once

#include "expr/expr.h"

namespace repose {

// Expressions by what they say.
struct StructuralHash {
  size_t operator()(const Expr& e) const { return e->hash(); }
};
struct StructuralEqual {
  bool operator()(const Expr& a, const Expr& b) const { return structural_equal(a, b); }
};

}  // namespace repose
