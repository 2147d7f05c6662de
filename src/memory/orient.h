// Orientations: who lies above whom. An acyclic orientation of the conflicts between items gives
// offsets for all sizes: offset(i) = max over the items j directly below of offset(j) + size(j).
#pragma once

#include "memory/pack.h"

namespace repose {

struct Orientation {
  std::vector<int> order;               // items, those below first
  std::vector<std::vector<int>> below;  // per item: those directly below it
  std::vector<int> tops;                // items that no item lies above
  bool operator==(const Orientation&) const = default;
};

// The orientation that a packing induces: of two items that live at the same time, the one with the
// smaller offset is below. Pairs that follow from others are left out.
Orientation orient(const PackProblem& problem, const std::vector<int64_t>& offsets);

// The packing that an orientation gives for sizes.
ArenaPacking evaluate(const Orientation& orientation, const std::vector<int64_t>& sizes);

// Up to `most` orientations, of which the best at each sample is close to the lower bound there.
// `sizes`: per sample and item. `attempts`: packings that are tried per sample,
// more of them at samples where the first ones fail.
std::vector<Orientation> choose_orientations(const PackProblem& problem,
                                             const std::vector<std::vector<int64_t>>& sizes,
                                             const std::vector<int64_t>& lower_bounds, size_t most,
                                             int attempts);

}  // namespace repose
