// Moves a block's loops under a loop of what reads it: compute_at(block, at).
//
// before:  for i in range(m):
//              T[i] = A[i] * 2                     # block T
//          for i_1 in range(m):
//              B[i_1] = T[i_1]
// after:   for i_1 in range(m):                    # compute_at(T, i_1)
//              T[i_1] = A[i_1] * 2
//              B[i_1] = T[i_1]
//
// An iteration computes what it reads: loops over the box of those elements are made anew. Not
// legal where something outside of the loop reads what the block writes, where the box cannot be
// told, or where what the block reads is not complete there.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> compute_at(Scheduled& s, const Block& block, const Loop& at);

}  // namespace repose::schedule
