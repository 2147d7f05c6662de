// Copies what a block reads of a buffer under a loop into a buffer of its own, where an iteration
// begins: cache_read(block, buffer, at, scope) gives the block that copies.
//
// before:  for j in range(n):
//              for i in range(m):
//                  for k in range(8):
//                      C[i, j] = C[i, j] + A[i, k] * B[k, j]
// after:   for j in range(n):                      # cache_read(C, B, j, local)
//              allocate B_local[8]
//              for k in range(8):
//                  B_local[k] = B[k, j]            # block B_in
//              for i in range(m):
//                  for k in range(8):
//                      C[i, j] = C[i, j] + A[i, k] * B_local[k]
//
// The buffer has the extents of the box that is read, but those of 1; elements of the box outside
// of B's shape become 0. Not legal where the box cannot be told, or where B is written under the
// loop.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Block> cache_read(Scheduled& s, const Block& block, const Buffer& buffer, const Loop& at,
                         Scope scope);

}  // namespace repose::schedule
