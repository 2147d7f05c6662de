// Makes one loop of two that stand behind each other: join(first, second) gives it.
//
// before:  for i in range(m):
//              T[i] = A[i] * 2
//          for i_1 in range(m):
//              B[i_1] = T[i_1] + 1
// after:   for i in range(m):                      # join(i, i_1)
//              T[i] = A[i] * 2
//              B[i] = T[i] + 1
//
// What an iteration of the first allocates lives on for the second. Not legal where something
// stands between the two, where their extents are not equal for certain, or where an iteration of
// the second needs, or overwrites, what later iterations of the first touch.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Loop> join(Scheduled& s, const Loop& first, const Loop& second);

}  // namespace repose::schedule
