// ArenaPacking at one assignment of the symbols: offsets for items of known sizes and live sets, so
// that items that live at the same time lie apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/live_set.h"

namespace repose {

// Items by the positions at which they live.
struct PackProblem {
  std::vector<LiveSet> live;                // per item
  std::vector<LiveEvent> events;            // of `live`
  std::vector<std::vector<int>> conflicts;  // per item: those that live at the same time
  size_t num_conflicts = 0;                 // over all items
};
PackProblem make_pack_problem(std::vector<LiveSet> live);

struct ArenaPacking {
  std::vector<int64_t> offsets;  // per item
  int64_t peak = 0;
};

// Good packings, the best first, none twice with the same peak unless it is the best: greedy by
// size, area, length and time, then greedy in orders in which what ends at the peak has moved to an
// earlier turn, drawn with a fixed seed; `attempts` packings in all. It stops early at
// `lower_bound`.
std::vector<ArenaPacking> pack(const PackProblem& problem, const std::vector<int64_t>& sizes,
                               int64_t lower_bound, int attempts);

}  // namespace repose
