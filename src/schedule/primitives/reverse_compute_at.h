// Moves a block's loops under a loop of what it reads: reverse_compute_at(block, at).
//
// before:  for i in range(m):
//              T[i] = A[i] * 2
//          for i_1 in range(m):
//              B[i_1] = T[i_1]                     # block B
// after:   for i in range(m):                      # reverse_compute_at(B, i)
//              T[i] = A[i] * 2
//              B[i] = T[i]
//
// An iteration handles the elements that it made, behind everything else in it: loops over the box
// of those elements are made anew; axes that no subscript of them tells keep their loops. Not legal
// where the block reads elements of other iterations, where what else it reads is not complete
// there, or where something that comes between the two depends on it.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> reverse_compute_at(Scheduled& s, const Block& block, const Loop& at);

}  // namespace repose::schedule
