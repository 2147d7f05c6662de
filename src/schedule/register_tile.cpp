// Tiles of products whose sums stay in vector registers.
#include "schedule/register_tile.h"

#include <algorithm>

#include "schedule/primitives.h"
#include "schedule/rule_parts.h"

namespace repose::schedule {

namespace {

int rows_of_tile(int vectors, const Target& target) {
  const int rows = std::max(1, (target.vector_registers - vectors - 1) / vectors);
  // Eight sums hide how long an addition takes; more would only be more code.
  if (vectors == 1) return std::min(rows, 8);
  return rows - (rows > 1 ? rows % 2 : 0);
}

}  // namespace

RegisterTile register_tile(DType dtype, const Target& target, int vectors) {
  RegisterTile t;
  t.lanes = std::max(1, target.lanes(dtype));
  t.panel = vectors * t.lanes;
  t.rows = rows_of_tile(vectors, target);
  return t;
}

Result<void> sum_in_registers(Scheduled& s, const Loop& tile, const Block& block, int lanes,
                              size_t steps, bool begins) {
  std::vector<Loop> loops = loops_of(s, block, tile);
  REPOSE_TRY(save, cache_write(s, block, tile, Scope::local));
  std::rotate(loops.begin(), loops.end() - static_cast<int64_t>(steps), loops.end());
  REPOSE_RUN(reorder(s, loops));
  Block begin;
  if (begins) {
    REPOSE_TRY(init, decompose_reduction(s, block, loops[0]));
    begin = init;
  } else {
    begin = {blocks_in(find_loop(s, tile)->body)[0]->name};
  }
  if (target_of(s, block)->dtype.is_float()) REPOSE_RUN(contract_multiply_add(s, block));
  for (const Block& b : {begin, block, save}) {
    std::vector<Loop> own = loops_of(s, b, tile);
    if (b.name == block.name) own.erase(own.begin(), own.begin() + static_cast<int64_t>(steps));
    REPOSE_TRY(columns, split(s, own.back(), make_int(lanes), Tail::proven));
    own.back() = columns[0];
    for (const Loop& loop : own) REPOSE_RUN(unroll(s, loop));
    REPOSE_RUN(vectorize(s, columns[1]));
  }
  return {};
}

}  // namespace repose::schedule
