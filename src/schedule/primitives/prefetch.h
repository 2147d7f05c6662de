// Asks for what later iterations read of a buffer, before they do: prefetch(buffer, loop,
// iterations).
//
// before:  for k in range(K):
//              for j in range(16):
//                  C[j] = C[j] + A[k] * B[k, j]
// after:   for k in range(K):                      # prefetch(B, k, 8)
//              T.evaluate(T.prefetch(B[T.min(k + 8, K - 1), 0]))
//              for j in range(16):
//                  C[j] = C[j] + A[k] * B[k, j]
//
// One request for each line of a cache (64 bytes) that an iteration reads; where that would be
// beyond the array, for what stands at its end. Worth its instructions where iterations take new
// lines of an array that is larger than the first cache: the processor's own prefetching ends with
// each page. Not legal where an iteration reads more than 8 lines, or lines that do not follow each
// other, where its subscripts don't grow with the loop, or of what the program writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> prefetch(Scheduled& s, const Buffer& buffer, const Loop& loop, const Expr& iterations);

}  // namespace repose::schedule
