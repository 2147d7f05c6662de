// How much a tensor program computes.
#pragma once

#include "ir/tir.h"

namespace repose {

// Elements that `f` stores, each of a reduction once a step: about how often its innermost loops
// run. A float64 over the program's scalars and symbols; at least 0. Of branches both count; a loop
// whose extent only the program's data tell counts once; one whose extent depends on a loop around
// it, as often as where that is longest at its ends.
Expr operations_of(const tir::PrimFunc& f);

}  // namespace repose
