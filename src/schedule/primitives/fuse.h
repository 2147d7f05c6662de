// Makes one loop of two: fuse(outer, inner) gives it.
//
// before:  for i in range(m):
//              for j in range(n):
//                  block: vi, vj = i, j
//                      B[vi, vj] = A[vi, vj]
// after:   for i_j in range(m * n):                # fuse(i, j)
//              block: vi_vj = i_j
//                  B[vi_vj // n, vi_vj % n] = A[vi_vj // n, vi_vj % n]
//
// The order of iterations stays. Where something else depends on the two loops, their variables go
// on as `let`s: i = i_j // n, j = i_j % n. Not legal where a statement stands between the two,
// where they are of different kinds, where the inner extent depends on the
// outer loop or divides by what may be 0, or where a reduction that may be over nothing would not
// begin (decompose_reduction comes first).
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Loop> fuse(Scheduled& s, const Loop& outer, const Loop& inner);

}  // namespace repose::schedule
