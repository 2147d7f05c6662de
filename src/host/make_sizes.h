// The function that answers how much memory a call would need.
#pragma once

#include "host/interface.h"
#include "memory/plan.h"

namespace repose {

// Stores the bytes of the arena into bytes[0] and the dimensions of all results, one after another,
// into output_dims: upper bounds where data decides, -1 where there is none. Its scalar parameter
// is the number of threads; the symbols' values come by Intrinsic::sizes_symbol and are checked:
// their ranges, and what the head of `f` requires of them.
tir::PrimFunc make_sizes(const FunctionInterface& interface, const graph::Function& f,
                         const MemoryPlan& plan);

}  // namespace repose
