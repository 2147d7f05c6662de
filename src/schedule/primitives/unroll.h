// Writes out the iterations of a loop: unroll(loop).
//
// before:  for i in range(2):
//              B[i] = A[i]
// after:   for i in T.unroll(2):                   # unroll(i)
//              B[i] = A[i]
//
// Not legal where the extent is no constant, or larger than 64.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> unroll(Scheduled& s, const Loop& loop);

}  // namespace repose::schedule
