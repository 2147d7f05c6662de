// Asks, bit by bit, for what the next iteration of an outer loop reads of a buffer:
// prefetch_next(buffer, outer, loop, part, parts).
//
// before:  for p in range(P):
//              for i in range(m):
//                  for k in range(8):
//                      for j in range(16):
//                          C[i, p, j] = C[i, p, j] + A[i, k] * B[p, k, j]
// after:   for p in range(P):                      # prefetch_next(B, p, k, i, 2)
//              for i in range(m):
//                  for k in range(8):
//                      T.evaluate(T.prefetch(B[T.min(p + 1, P - 1), k // 2 + T.min(i, 1) * 4,
//                                              k % 2 * 8]))
//                      for j in range(16):
//                          C[i, p, j] = C[i, p, j] + A[i, k] * B[p, k, j]
//
// `part` is the number of a part of what the loop reads: the loop asks for that one of `parts`, a
// little in each iteration, and for the last part where the number is beyond it. So where a number
// that grows from 0 stands between the two loops, memory has a whole iteration of the outer one to
// answer, and has to send no more at a time than it can. Not legal where `part` may be negative,
// where an iteration of `loop` reads something else than one run of neighbouring elements, whose
// number and the extent of `loop` are multiples of `parts`, where subscripts do not grow with the
// outer loop, or of what the program writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> prefetch_next(Scheduled& s, const Buffer& buffer, const Loop& outer, const Loop& loop,
                           const Expr& part, const Expr& parts);

}  // namespace repose::schedule
