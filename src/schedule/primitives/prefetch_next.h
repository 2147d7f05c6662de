// Asks, bit by bit, for what the next iteration of an outer loop reads of a buffer:
// prefetch_next(buffer, outer, tiles, loop, parts).
//
// before:  for p in range(P):
//              for i in range(m):
//                  for k in range(8):
//                      for j in range(16):
//                          C[i, p, j] = C[i, p, j] + A[i, k] * B[p, k, j]
// after:   for p in range(P):                      # prefetch_next(B, p, i, k, 2)
//              for i in range(m):
//                  for k in range(8):
//                      T.evaluate(T.prefetch(B[T.min(p + 1, P - 1), k // 2 + T.min(i, 1) * 4,
//                                              k % 2 * 8]))
//                      for j in range(16):
//                          C[i, p, j] = C[i, p, j] + A[i, k] * B[p, k, j]
//
// Every iteration of `tiles`, inside of which `loop` reads the same again, asks for one of `parts`
// parts of that, a little with each iteration of `loop`; those after the first `parts` ask for the
// last part once more. So memory has a whole iteration of the outer loop to answer, and has to send
// no more at a time than it can. Not legal where an iteration of `loop` reads something else than
// one run of neighbouring elements, whose number and the extent of `loop` are multiples of `parts`,
// where subscripts do not grow with the outer loop, or of what the program writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> prefetch_next(Scheduled& s, const Buffer& buffer, const Loop& outer, const Loop& tiles,
                           const Loop& loop, const Expr& parts);

}  // namespace repose::schedule
