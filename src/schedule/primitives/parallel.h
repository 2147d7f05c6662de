// Runs the iterations of a loop on all threads: parallel(loop, grain), pieces of at least `grain`
// iterations at a time.
//
// before:  for i in range(m):
//              B[i] = A[i]
// after:   for i in T.parallel(m):                 # parallel(i, 1)
//              B[i] = A[i]
//
// Not legal where an iteration reads or writes what another one writes. A loop that is parallel may
// get another grain.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> parallel(Scheduled& s, const Loop& loop, const Expr& grain);

}  // namespace repose::schedule
