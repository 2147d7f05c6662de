// Puts loops that stand in each other, with nothing between them, into another order:
// reorder([loops, outermost first]).
//
// before:  for i in range(m):
//              for j in range(n):
//                  B[i, j] = A[i, j]
// after:   for j in range(n):                      # reorder([j, i])
//              for i in range(m):
//                  B[i, j] = A[i, j]
//
// Loops that are not named stay where they are. Not legal where an extent depends on a loop that
// would come to stand inside, where the loops of one reduction would change their order, or where
// several blocks below depend on each other's iterations.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> reorder(Scheduled& s, const std::vector<Loop>& order);

}  // namespace repose::schedule
