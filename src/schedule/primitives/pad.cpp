// Blocks that run up to whole tiles.
#include "schedule/primitives/pad.h"

#include "expr/hypothesis.h"
#include "schedule/block_fields.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::BlockNode;
using tir::ForNode;

namespace {

bool feeds_reduction(const BlockNode& block, const Var& loop) {
  for (const tir::IterVar& iter : block.iters) {
    if (iter.kind != tir::IterKind::spatial && uses_var(iter.value, loop)) return true;
  }
  return false;
}

bool is_reduction(const BlockNode& block) {
  for (const tir::IterVar& iter : block.iters) {
    if (iter.kind != tir::IterKind::spatial) return true;
  }
  return false;
}

// Whether an access may leave its buffer: then the buffer.
std::optional<Access> access_outside(const Scheduled& s, const tir::StmtNode* block) {
  const Facts facts = facts_at(s, block);
  // What takes cases to show is seldom worth them: zeros do no harm.
  const auto prove = [&](const Expr& e) { return prove_directly(e, facts); };
  for (const Access& a : accesses_in(tir::Stmt(block))) {
    for (size_t d = 0; d < a.indices.size(); ++d) {
      if (prove(le(make_int(0), a.indices[d])) != Truth::yes ||
          prove(lt(a.indices[d], a.buffer->shape[d])) != Truth::yes) {
        return a;
      }
    }
  }
  return std::nullopt;
}

// The loops between the buffer's allocation and the block.
std::vector<const ForNode*> loops_in_allocation(const Scheduled& s, const tir::StmtNode* block,
                                                const Buffer& buffer) {
  std::vector<const ForNode*> loops;
  bool inside = false;
  for (const tir::Stmt& at : path_to(s.func->body, block)) {
    const auto* allocate = tir::as<tir::AllocateNode>(at);
    inside = inside || (allocate && allocate->buffer == buffer);
    if (const auto* loop = tir::as<ForNode>(at); loop && inside) loops.push_back(loop);
  }
  return loops;
}

struct Padded {
  BlockNode::Fields fields;  // without condition, its domain as large as its loops run
  Expr inside;               // over axes: the point is one of the old domain; null: every point is
  bool inside_is_all = false;  // the block's condition follows from that
};

Result<Padded> padded(const Scheduled& s, const Block& block, const BlockNode& node) {
  const std::vector<const ForNode*> loops = loops_around(s, &node);
  Facts facts = facts_everywhere(s), within = facts_everywhere(s);
  for (const ForNode* loop : loops) assume_in_range(facts, loop->var, loop->extent);
  within = facts;
  Padded result{node.fields(), nullptr};
  for (tir::IterVar& iter : result.fields.iters) {
    const Expr in_domain = lt(iter.value, iter.min + iter.extent);
    if (prove(in_domain, facts) == Truth::yes) continue;
    if (iter.kind != tir::IterKind::spatial) {
      return illegal("the reduction of `{}` would go on beyond its end along `{}`", block.name,
                     iter.var->name);
    }
    within.assume(in_domain);
    const Expr here = lt(iter.var, iter.min + iter.extent);
    result.inside = result.inside ? logical_and(result.inside, here) : here;
    auto range = range_over(iter.value, loops, facts);
    if (!range) {
      return illegal("how far the axis `{}` of `{}` runs cannot be told", iter.var->name,
                     block.name);
    }
    iter.extent = canonical(range->min + range->extent - iter.min);
  }
  result.inside_is_all = prove(node.predicate, within) == Truth::yes;
  for (const ForNode* loop : loops) {
    if (!uses_var(node.predicate, loop->var) || !feeds_reduction(node, loop->var)) continue;
    return illegal("the condition {} of `{}` is about its reduction", to_string(node.predicate),
                   block.name);
  }
  result.fields.predicate = nullptr;
  return result;
}

}  // namespace

// What the program reads was written before: elements that only iterations beyond the domain write
// are therefore never read. What has to be shown is that they write no other element, and read none
// that does not exist.
Result<void> pad(Scheduled& s, const Block& block) {
  REPOSE_FIND_BLOCK(node, s, block);
  const Ref<const tir::StmtNode> keep(node);
  const auto* store = tir::as<tir::StoreNode>(node->body);
  if (!store) return illegal("`{}` is no single store", block.name);
  if (!node->predicate) return illegal("`{}` runs without conditions already", block.name);
  if (!is_made_in(s.func->body, store->buffer)) {
    return illegal("`{}` writes `{}`, which lives on after the program", block.name,
                   store->buffer->name);
  }
  REPOSE_TRY(wider, padded(s, block, *node));
  Scheduled next = s;
  tir::Stmt made = make_block(wider.fields);
  replace(next, node, made);
  if (auto outside = access_outside(next, made.get()); outside && wider.inside) {
    if (outside->is_store || is_reduction(*node) || !wider.inside_is_all) {
      return illegal("`{}` might touch `{}` outside of its shape", block.name,
                     outside->buffer->name);
    }
    const Expr zero = make_const(store->value->dtype, 0);
    wider.fields.body =
        tir::make<tir::StoreNode>(store->buffer, store->indices,
                                  make_if_then_else(wider.inside, store->value, zero), store->span);
    next = s;
    made = make_block(wider.fields);
    replace(next, node, made);
  }
  const auto* whole = tir::as<BlockNode>(made);
  for (const ForNode* loop : loops_in_allocation(next, whole, store->buffer)) {
    if (feeds_reduction(*whole, loop->var)) continue;
    auto independent = check_independent(next, *loop);
    if (!independent.ok()) return independent.errors();
  }
  s = std::move(next);
  note(s, "pad", {Arg(block)});
  return {};
}

}  // namespace repose::schedule
