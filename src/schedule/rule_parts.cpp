// What schedule rules share.
#include "schedule/rule_parts.h"

#include "schedule/primitives/fuse.h"
#include "schedule/region.h"

namespace repose::schedule {

std::vector<Loop> loops_of(const Scheduled& s, const Block& block, const Loop& within) {
  std::vector<Loop> result;
  bool inside = within.var == nullptr;
  const tir::BlockNode* node = find_block(s, block);
  REPOSE_CHECK(node, "a block that a rule made is gone");
  for (const tir::ForNode* loop : loops_around(s, node)) {
    if (inside) result.push_back({loop->var});
    inside = inside || loop->var == within.var;
  }
  return result;
}

Buffer target_of(const Scheduled& s, const Block& block) {
  const tir::BlockNode* node = find_block(s, block);
  REPOSE_CHECK(node, "a block that a rule made is gone");
  const auto* branch = tir::as<tir::IfNode>(node->body);
  const auto* store = tir::as<tir::StoreNode>(branch ? branch->then_body : node->body);
  REPOSE_CHECK(store, "a block of a rule is a store");
  return store->buffer;
}

bool moves_by_one(const Scheduled& s, const Block& block, const Loop& loop) {
  const tir::BlockNode* node = find_block(s, block);
  for (const Access& a : accesses_in(s.func->body)) {
    if (a.block != node) continue;
    const Expr at = address_of(a);
    if (!at) return false;
    const Expr step = canonical(substitute(at, {{loop.var.get(), loop.var + 1}}) - at);
    if (!is_const_int(step, 0) && !is_const_int(step, 1)) return false;
  }
  return true;
}

Result<Loop> fuse_all(Scheduled& s, const std::vector<Loop>& loops) {
  Loop all = loops[0];
  for (size_t i = 1; i < loops.size(); ++i) {
    REPOSE_TRY(next, fuse(s, all, loops[i]));
    all = next;
  }
  return all;
}

}  // namespace repose::schedule
