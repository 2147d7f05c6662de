// A formula in the place of the loads of what it computes.
#include "schedule/primitives/compute_inline.h"

#include <algorithm>

#include "passes/tensor/stages.h"
#include "schedule/block_fields.h"
#include "schedule/motion.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// That the block gives each element of an intermediate buffer by one formula over its subscripts.
Result<void> check_formula(const Scheduled& s, const tir::BlockNode& block) {
  const tir::StoreNode* store = only_store(block);
  if (!store || store->predicate) return illegal("`{}` is no single store", block.name);
  const Buffer& target = store->buffer;
  if (block.init) return illegal("`{}` is a reduction", block.name);
  if (!is_made_in(s.func->body, target)) {
    return illegal("`{}` writes `{}`, which lives on after the program", block.name, target->name);
  }
  bool are_axes = store->indices.size() == block.iters.size();
  for (size_t d = 0; are_axes && d < block.iters.size(); ++d) {
    are_axes =
        block.iters[d].kind == tir::IterKind::spatial && store->indices[d] == block.iters[d].var;
  }
  if (!are_axes) {
    return illegal("the subscripts of `{}` in `{}` are not its axes, one after another",
                   target->name, block.name);
  }
  for (size_t d = 0; d < block.iters.size(); ++d) {
    const tir::IterVar& iter = block.iters[d];
    if (!is_const_int(iter.min, 0) ||
        prove_equal(iter.extent, target->shape[d], facts_everywhere(s)) != Truth::yes) {
      return illegal("the axis `{}` of `{}` runs over [{}, {}), the dimension of `{}` is {}",
                     iter.var->name, block.name, repose::to_string(iter.min),
                     repose::to_string(iter.min + iter.extent), target->name,
                     repose::to_string(target->shape[d]));
    }
  }
  return check_transparent(Stmt(&block));
}

// That its condition, if it has one, only keeps it inside of the buffer.
Result<void> check_condition(const Scheduled& s, const tir::BlockNode& block) {
  if (!block.predicate) return {};
  Facts facts = facts_everywhere(s);
  for (const ForNode* loop : loops_around(s, &block)) {
    assume_in_range(facts, loop->var, loop->extent);
  }
  for (const tir::IterVar& iter : block.iters) {
    assume_in_range(facts, iter.var, iter.extent);
    facts.assume(eq(iter.var, iter.value));
  }
  if (prove(block.predicate, facts) == Truth::yes) return {};
  return illegal("`{}` runs only where {}", block.name, repose::to_string(block.predicate));
}

// That nothing changes what the formula reads before its last use, and that nothing else writes
// what it computes.
Result<void> check_uses(const Scheduled& s, const tir::BlockNode& block) {
  const Buffer& target = only_store(block)->buffer;
  const Memory memory(s.func);
  const std::vector<Access> all = accesses_in(s.func->body);
  size_t begin = all.size(), end = 0;
  std::vector<const ForNode*> around;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].block == &block) {
      begin = std::min(begin, i);
      around = all[i].loops;
      if (!all[i].is_store && memory.same(all[i].buffer, target)) {
        return illegal("`{}` reads `{}` itself", block.name, target->name);
      }
    } else if (memory.same(all[i].buffer, target)) {
      if (all[i].is_store) return illegal("{}, as `{}` does", to_string(all[i]), block.name);
      if (all[i].buffer != target) {
        return illegal("`{}` is a view of `{}`", all[i].buffer->name, target->name);
      }
      for (const Expr& index : all[i].indices) {
        if (index->dtype.is_vector()) return illegal("{} as a vector", to_string(all[i]));
      }
      end = std::max(end, i + 1);
    }
  }
  // An element may be used iterations after it was computed.
  const auto shares_loop = [&](const Access& a) {
    return !around.empty() && std::find(a.loops.begin(), a.loops.end(), around[0]) != a.loops.end();
  };
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_store || !(shares_loop(all[i]) || (i >= begin && i < end))) continue;
    for (const Access& read : all) {
      if (read.block != &block || read.is_store || !memory.same(read.buffer, all[i].buffer))
        continue;
      return illegal("{}, which `{}` reads, before the last use of `{}`", to_string(all[i]),
                     block.name, target->name);
    }
  }
  return {};
}

class Inlining : public tir::StmtRewriter {
 public:
  explicit Inlining(const tir::BlockNode& block) : store_(*only_store(block)) {
    for (const tir::IterVar& iter : block.iters) axes_.push_back(iter.var);
  }

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* allocate = tir::as<tir::AllocateNode>(s);
    if (allocate && allocate->buffer == store_.buffer) return rewrite(allocate->body);
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    tir::BlockNode::Fields fields = block->fields();
    fields.init = rewrite(fields.init);
    fields.body = rewrite(fields.body);
    if (fields.predicate) fields.predicate = rewrite_expr(fields.predicate);
    const bool same = fields.init == block->init && fields.body == block->body &&
                      fields.predicate == block->predicate;
    return same ? s : make_block(std::move(fields));
  }
  Expr rewrite_expr(const Expr& e) override {
    return inline_loads(e, store_.buffer, axes_, store_.value);
  }

 private:
  const tir::StoreNode& store_;
  std::vector<Var> axes_;
};

}  // namespace

Result<void> compute_inline(Scheduled& s, const Block& block) {
  REPOSE_FIND_BLOCK(node, s, block);
  const Ref<const tir::StmtNode> keep(node);
  for (const auto check : {check_formula, check_condition, check_uses}) {
    if (auto result = check(s, *node); !result.ok()) return result.errors();
  }
  const Stmt rest = without(s.func->body, node);
  s.func = tir::with_body(s.func, Inlining(*node).rewrite(rest));
  note(s, "compute_inline", {Arg(block)});
  return {};
}

}  // namespace repose::schedule
