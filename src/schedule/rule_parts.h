// What schedule rules ask and do in several places.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

// The loops around a block, outermost first; with `within`, those inside of that loop.
std::vector<Loop> loops_of(const Scheduled& s, const Block& block, const Loop& within = {});
// What a block that is a single store writes.
Buffer target_of(const Scheduled& s, const Block& block);
// Whether each load and store of the block's goes to the next
// element, or stays, as the loop goes on.
bool moves_by_one(const Scheduled& s, const Block& block, const Loop& loop);
// One loop of several that stand in each other.
Result<Loop> fuse_all(Scheduled& s, const std::vector<Loop>& loops);

}  // namespace repose::schedule
