// Computes what a block writes under a loop in a buffer of its own, and copies it out at the end of
// an iteration: cache_write(block, at, scope) gives the block that copies.
//
// before:  for i in range(m):
//              for k in range(n):
//                  C[i] = C[i] + A[i, k]           # block C
// after:   for i in range(m):                      # cache_write(C, i, local)
//              allocate C_local[1]
//              for k in range(n):
//                  C_local[0] = C_local[0] + A[i, k]
//              C[i] = C_local[0]                   # block C_out
//
// A block that goes on with what is there (decompose_reduction has taken its beginning away) reads
// it into the buffer first, by a block C_in; its reduction may go on outside of the loop then.
//
// What else reads those elements in the iteration reads the buffer. Scope local: registers or the
// stack, constant extents; workspace: memory of the kernel. The block's elements outside of C's
// shape are not copied. Not legal where a reduction that begins in the block goes on outside of the
// loop, where the block leaves elements of the box unwritten, or where
// others read elements in there that it has not written before.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Block> cache_write(Scheduled& s, const Block& block, const Loop& at, Scope scope);

}  // namespace repose::schedule
