// Tiles of products whose sums stay in vector registers.
#pragma once

#include "base/target.h"
#include "schedule/scheduled.h"

namespace repose::schedule {

struct RegisterTile {
  int lanes = 1;  // of a vector
  int panel = 1;  // columns: lanes of a few vectors
  int rows = 1;   // of a full tile
};

// A tile of panels of `vectors` vectors: accumulators, the panel's vectors of one step, and the
// broadcast element of the other factor share the registers.
RegisterTile register_tile(DType dtype, const Target& target, int vectors = 2);

// Lets the block under `tile`, whose loops there are those of the tile's rows, of its columns, and
// `steps` of the reduction, in this order, add up in registers: the reduction comes outside, rows
// are written out, columns are vectors of `lanes`. A block without a beginning (`begins`: it has
// one) goes on with what is there.
Result<void> sum_in_registers(Scheduled& s, const Loop& tile, const Block& block, int lanes,
                              size_t steps, bool begins);

}  // namespace repose::schedule
