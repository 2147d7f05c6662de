// Upper bounds of expressions with symbols that only the data decides.
#pragma once

#include <functional>

#include "expr/facts.h"

namespace repose {

// An expression that is never below `e` where the facts hold, and has none of the symbols that
// `decided_late` selects: those are replaced by what the facts bound them by. With k <= m * n among
// the facts, `k * 4` is at most `m * n * 4`. Null where a symbol has no such bound, or occurs where
// the direction of its influence isn't known.
Expr upper_bound(const Expr& e, const Facts& facts,
                 const std::function<bool(const Var&)>& decided_late);

}  // namespace repose
