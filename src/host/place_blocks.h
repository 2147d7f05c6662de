// The memory plan at run time: sizes of blocks, the placement whose peak is the smallest, offsets.
#pragma once

#include "host/statements.h"
#include "memory/plan.h"

namespace repose {

struct PlacedBlocks {
  Expr bytes;      // an index: the peak of the placement that was chosen
  Buffer offsets;  // per position in the region's blocks, int64; null where all are 0
  Expr offset(int position) const;
};

// Emits statements that compute them. Each size is evaluated once, with overflow checks, as is the
// sum of all; what is made of them cannot overflow then.
PlacedBlocks place_blocks(Statements& out, const Region& region, int number);

}  // namespace repose
