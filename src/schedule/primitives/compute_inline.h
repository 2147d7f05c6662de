// Puts the formula of a block in the place of the loads of what it writes: compute_inline(block).
//
// before:  for i in range(m):
//              T[i] = A[i] * 2                     # block T
//          for i_1 in range(m):
//              B[i_1] = T[i_1] + 1
// after:   for i_1 in range(m):                    # compute_inline(T)
//              B[i_1] = A[i_1] * 2 + 1
//
// Not legal for reductions, for results of the program, or where the block's subscripts are not its
// axes, one after another.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> compute_inline(Scheduled& s, const Block& block);

}  // namespace repose::schedule
