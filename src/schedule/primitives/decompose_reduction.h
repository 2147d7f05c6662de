// Takes the beginning of a reduction out of it: decompose_reduction(block, at) gives the block that
// sets the initial values, in loops of its own before `at`.
//
// before:  for i in range(m):
//              for k in range(n):
//                  C[i] = C[i] + A[i, k]           # block C, with init C[i] = 0
// after:   for i in range(m):                      # decompose_reduction(C, k)
//              C[i] = 0                            # block C_init
//              for k in range(n):
//                  C[i] = C[i] + A[i, k]
//
// The loops are those at and in `at` that tell elements, each of the kind that it is. A reduction
// over nothing gives the initial values. Not legal where a loop of the reduction stands around
// `at`, where an element would begin twice, or where something in `at` needs what was there before.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Block> decompose_reduction(Scheduled& s, const Block& block, const Loop& at);

}  // namespace repose::schedule
