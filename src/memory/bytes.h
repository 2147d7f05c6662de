// Sizes of blocks: alignment, equality, values at samples, sums over time.
#pragma once

#include "memory/alias.h"
#include "memory/sample.h"

namespace repose {

// bytes rounded up to a multiple of 64, canonical.
Expr align64(const Expr& bytes, const Facts& facts);
inline int64_t align64(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Provably equal; answers are remembered by structure.
class SameBytes {
 public:
  explicit SameBytes(const Facts& facts) : facts_(facts) {}
  bool operator()(const Expr& a, const Expr& b);

 private:
  const Facts& facts_;
  std::map<std::pair<const ExprNode*, const ExprNode*>, bool> known_;
  std::vector<Expr> kept_;  // so that addresses in `known_` stay theirs
};

// The aligned size of each block of the arena at given values of the symbols; 0 for other blocks.
// Nothing where a size cannot be evaluated.
std::optional<std::vector<int64_t>> arena_sizes(const std::vector<Block>& blocks,
                                                const SymbolValues& values);

// The largest sum of sizes that are live at one position: what no plan can go below.
int64_t lower_bound(const std::vector<Block>& blocks, const std::vector<int64_t>& sizes,
                    int num_positions);

}  // namespace repose
