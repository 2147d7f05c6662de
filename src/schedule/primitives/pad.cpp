// Blocks that run up to whole tiles.
#include "schedule/primitives/pad.h"

#include <algorithm>
#include <unordered_set>

#include "expr/hypothesis.h"
#include "schedule/block_fields.h"
#include "schedule/dependence.h"
#include "schedule/reduction.h"

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

// Subscripts that have no other values where the block runs beyond its domain than inside of it.
class Unmoved {
 public:
  // `wider`: axes that run on beyond their ends. `inside_is_all`: that a point is inside of them is
  // all that the block asks for.
  Unmoved(const Scheduled& s, const BlockNode& node, const std::vector<tir::IterVar>& wider,
          bool inside_is_all)
      : has_inside_(inside_is_all) {
    const std::vector<tir::Stmt> path = path_to(s.func->body, &node);
    for (const tir::Stmt& at : path) {
      const auto* let = tir::as<tir::LetNode>(at);
      if (let) lets_[let->var.get()] = substitute(let->value, lets_);
    }
    VarMap zeros;
    for (const tir::IterVar& iter : wider) {
      for (const Var& v : free_vars(substitute(iter.value, lets_))) {
        if (v->role == VarRole::loop) zeros.emplace(v.get(), make_int(0));
      }
    }
    // What else there is to the point is also to one inside, at the beginnings of these loops.
    const Facts& facts = facts_everywhere(s);
    for (const tir::IterVar& iter : wider) {
      const Expr first = substitute(substitute(iter.value, lets_), zeros);
      has_inside_ = has_inside_ && prove_directly(le(iter.min, first), facts) == Truth::yes &&
                    prove_directly(lt(first, iter.min + iter.extent), facts) == Truth::yes;
    }
    for (const auto& [v, zero] : zeros) moving_.insert(v);
    for (const tir::Stmt& at : path) {
      const auto* loop = tir::as<ForNode>(at);
      const auto* branch = tir::as<tir::IfNode>(at);
      if (loop && moves(loop->extent)) has_inside_ = false;
      if (branch && moves(branch->condition)) has_inside_ = false;
    }
    visit(tir::as<tir::StoreNode>(node.body)->value, [&](const Expr& e) {
      has_inside_ = has_inside_ && e->kind != ExprKind::if_then_else;
      return has_inside_;
    });
  }

  bool contains(const Expr& index) const { return has_inside_ && !moves(index); }

 private:
  bool moves(const Expr& e) const {
    const std::vector<Var> used = free_vars(substitute(e, lets_));
    return std::any_of(used.begin(), used.end(),
                       [&](const Var& v) { return moving_.contains(v.get()); });
  }

  VarMap lets_;
  std::unordered_set<const VarNode*> moving_;  // loops
  bool has_inside_;
};

// Whether an access may leave its buffer: then it, a store before others.
std::optional<Access> access_outside(const Scheduled& s, const tir::BlockNode* block,
                                     const Unmoved& unmoved) {
  const Facts facts = facts_at(s, block);
  // Where zeros would do, what takes cases to show is seldom worth them.
  const auto ask = is_reduction(*block) ? prove : prove_directly;
  const auto prove = [&](const Expr& e) { return ask(e, facts); };
  std::optional<Access> found;
  for (const Access& a : accesses_in(tir::Stmt(block))) {
    for (size_t d = 0; d < a.indices.size(); ++d) {
      if (unmoved.contains(a.indices[d])) continue;
      if (prove(le(make_int(0), a.indices[d])) == Truth::yes &&
          prove(lt(a.indices[d], a.buffer->shape[d])) == Truth::yes) {
        continue;
      }
      if (!found || a.is_store) found = a;
    }
  }
  return found;
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

bool asks_for(const BlockNode& block, const Expr& condition) {
  const std::vector<Expr> all = conjuncts_of(block.predicate);
  const Expr simple = canonical(condition);
  return std::any_of(all.begin(), all.end(),
                     [&](const Expr& e) { return structural_equal(canonical(e), simple); });
}

struct Padded {
  BlockNode::Fields fields;  // without condition, its domain as large as its loops run
  Expr inside;               // over axes: the point is one of the old domain; null: every point is
  bool inside_is_all = false;       // the block's condition follows from that
  std::vector<tir::IterVar> wider;  // axes as they were that run on now
};

Result<Padded> padded(const Scheduled& s, const Block& block, const BlockNode& node) {
  const std::vector<const ForNode*> loops = loops_around(s, &node);
  const Facts facts = loops.empty() ? facts_everywhere(s) : facts_inside(s, *loops.back());
  Facts within = facts;
  Padded result{node.fields(), nullptr, false, {}};
  for (tir::IterVar& iter : result.fields.iters) {
    const Expr in_domain = lt(iter.value, iter.min + iter.extent);
    // What the block asks for itself isn't known.
    if (!asks_for(node, in_domain) && prove(in_domain, facts) == Truth::yes) continue;
    if (iter.kind != tir::IterKind::spatial) {
      return illegal("the reduction of `{}` would go on beyond its end along `{}`", block.name,
                     iter.var->name);
    }
    within.assume(in_domain);
    result.wider.push_back(iter);
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

// That what other blocks wrote is not overwritten beyond the domain, where something reads it.
Result<void> check_unseen(const Scheduled& s, const BlockNode& block, const Buffer& buffer) {
  const tir::AllocateNode* allocation = nullptr;
  for (const tir::Stmt& at : path_to(s.func->body, &block)) {
    const auto* allocate = tir::as<tir::AllocateNode>(at);
    if (allocate && allocate->buffer == buffer) allocation = allocate;
  }
  if (!allocation) return illegal("`{}` is no allocated buffer", buffer->name);
  const Memory memory(s.func);
  const Access* own = nullptr;
  bool has_other_writers = false;
  const std::vector<Access> all = accesses_in(allocation->body);
  for (const Access& a : all) {
    if (!a.is_store || !memory.same(a.buffer, buffer)) continue;
    if (a.block == &block) own = &a;
    has_other_writers = has_other_writers || a.block != &block;
  }
  if (!has_other_writers) return {};
  // A point beyond the domain, in loops of its own.
  Facts facts = facts_at(s, allocation);
  VarMap names;
  for (const ForNode* loop : own->loops) {
    const Var v = make_var(loop->var->name, dtypes::index, VarRole::loop);
    names.emplace(loop->var.get(), v);
    const Expr extent = substitute(substitute(loop->extent, own->lets), names);
    assume_in_range(facts, v, extent);
  }
  const auto there = [&](const Expr& e) { return substitute(substitute(e, own->lets), names); };
  facts.assume(make_not(there(block.predicate)));
  for (const Access& a : all) {
    if (a.is_store || a.block == &block || !memory.same(a.buffer, buffer)) continue;
    Facts both = facts;
    for (const ForNode* loop : a.loops) {
      assume_in_range(both, loop->var, substitute(loop->extent, a.lets));
    }
    if (a.condition) assume_lasting(both, substitute(a.condition, a.lets));
    bool is_apart = false;
    for (size_t d = 0; a.buffer == buffer && d < a.indices.size(); ++d) {
      is_apart = is_apart || prove(ne(a.indices[d], there(own->indices[d])), both) == Truth::yes;
    }
    if (is_apart) continue;
    return illegal("{}, of which other blocks wrote what `{}` would overwrite", to_string(a),
                   block.name);
  }
  return {};
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
  const Unmoved unmoved(s, *node, wider.wider, wider.inside_is_all);
  Scheduled next = s;
  tir::Stmt made = make_block(wider.fields);
  replace(next, node, made);
  if (auto outside = access_outside(next, tir::as<BlockNode>(made), unmoved)) {
    if (outside->is_store || is_reduction(*node) || !wider.inside || !wider.inside_is_all) {
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
  REPOSE_RUN(check_unseen(s, *node, store->buffer));
  s = std::move(next);
  note(s, "pad", {Arg(block)});
  return {};
}

}  // namespace repose::schedule
