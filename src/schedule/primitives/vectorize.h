// Runs the iterations of a loop in the lanes of vectors: vectorize(loop).
//
// before:  for i in range(8):
//              B[i] = A[i]
// after:   for i in T.vectorized(8):               # vectorize(i)
//              B[i] = A[i]
//
// Not legal where the extent is no constant, where another loop or a reduction's beginning stands
// inside, or where an iteration reads or writes what another one writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> vectorize(Scheduled& s, const Loop& loop);

}  // namespace repose::schedule
