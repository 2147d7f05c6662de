// Computes a factor of a product beforehand, in the order in which the block needs it:
// reindex(block, buffer) gives the block that computes the factor in which `buffer` is loaded.
//
// before:  for i, j, k:
//              C[i, j] = C[i, j] + A[i, k] * B[j * 2 + k]
// after:   allocate B_reindex[n, p]                # reindex(C, B)
//          for j, k:
//              B_reindex[j, k] = B[j * 2 + k]      # block B_reindex
//          for i, j, k:
//              C[i, j] = C[i, j] + A[i, k] * B_reindex[j, k]
//
// The buffer has a dimension for each axis of the block that the factor uses, in the order of the
// axes. Where the factor is an integer converted to more bits, the buffer keeps the integer, and
// the conversion stays. Not legal where the block is no sum of products, where loops stand around
// its nest that are not its own, where it has conditions or may not run at every point of its axes,
// or where the factor reads what the block writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Block> reindex(Scheduled& s, const Block& block, const Buffer& buffer);

}  // namespace repose::schedule
