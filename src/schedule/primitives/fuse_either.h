// Makes one loop of two parallel ones, whose order a condition decides when the program runs:
// fuse_either(outer, inner, condition) gives it.
//
// before:  for i in T.parallel(m):
//              for j in T.parallel(4):
//                  block: vi, vj = i, j
//                      B[vi, vj] = A[vi, vj]
// after:   for i_j in T.parallel(m * 4):           # fuse_either(i, j, m < 8)
//              i = T.Select(m < 8, i_j // 4, i_j % m)
//              j = T.Select(m < 8, i_j % 4, i_j // m)
//              block: vi, vj = i, j
//                  B[vi, vj] = A[vi, vj]
//
// Where it holds the order is that of fuse, else the outer loop moves first: threads, which take
// ranges of neighbouring iterations, then share what the inner loop reads instead. Not legal where
// fuse is not, of other loops than parallel ones, where the condition depends on the loops, or an
// extent divides by what may be 0.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Loop> fuse_either(Scheduled& s, const Loop& outer, const Loop& inner, const Expr& condition);

}  // namespace repose::schedule
