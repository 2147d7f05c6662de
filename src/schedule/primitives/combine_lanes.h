// Combines a vector of partial results in one step, pairwise: combine_lanes(block).
//
// before:  for i in range(m):
//              for k in range(8):
//                  C[i] = C[i] + C_parts[i, k]     # block C, with init C[i] = 0
// after:   for i in range(m):                      # combine_lanes(C)
//              C[i] = 0 + T.vector_reduce_add(C_parts[i, 0:8])
//
// Reassociates: the order of combining them follows from their number. The initial value comes
// last. Not legal where the block reduces more than the elements along a buffer's last dimension,
// or less.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> combine_lanes(Scheduled& s, const Block& block);

}  // namespace repose::schedule
