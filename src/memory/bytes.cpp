// Sizes of blocks.
#include "memory/bytes.h"

namespace repose {

Expr align64(const Expr& bytes, const Facts& facts) {
  if (prove_divisible(bytes, 64, facts) == Truth::yes) return bytes;
  return simplify(floor_div(bytes + 63, make_int(64)) * 64, facts);
}

bool SameBytes::operator()(const Expr& a, const Expr& b) {
  if (structural_equal(a, b)) return true;
  auto [it, is_new] = known_.emplace(std::make_pair(a.get(), b.get()), false);
  if (is_new) {
    kept_.push_back(a);
    kept_.push_back(b);
    it->second = prove_equal(a, b, facts_) == Truth::yes;
  }
  return it->second;
}

std::optional<std::vector<int64_t>> arena_sizes(const std::vector<Block>& blocks,
                                                const SymbolValues& values) {
  std::vector<int64_t> sizes;
  std::unordered_map<const ExprNode*, int64_t> known;
  for (const Block& b : blocks) {
    if (!b.in_arena()) {
      sizes.push_back(0);
      continue;
    }
    const Expr& room = b.room ? b.room : b.bytes;
    auto it = known.find(room.get());
    if (it == known.end()) {
      const std::optional<int64_t> bytes = evaluate_bytes(room, values);
      if (!bytes) return std::nullopt;
      it = known.emplace(room.get(), align64(*bytes)).first;
    }
    sizes.push_back(it->second);
  }
  return sizes;
}

int64_t lower_bound(const std::vector<Block>& blocks, const std::vector<int64_t>& sizes,
                    int num_positions) {
  LiveBytes live(0, num_positions);
  for (size_t i = 0; i < blocks.size(); ++i) live.add(blocks[i].live, sizes[i]);
  return live.most();
}

}  // namespace repose
