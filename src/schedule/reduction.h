// Reductions as loops see them: what a block accumulates, which loops make the steps, where it
// begins.
#pragma once

#include <optional>
#include <vector>

#include "schedule/region.h"
#include "te/te.h"

namespace repose::schedule {

// A block that is target[…] = combine(target[…], value), also as a fused multiply-add, and
// target[…] = init before its first step.
struct Accumulation {
  const tir::StoreNode* store = nullptr;
  te::Reducer reducer = te::Reducer::none;
  Expr value;
  Expr init;  // null: it begins elsewhere
};
// Nothing where the block does anything else.
std::optional<Accumulation> accumulation_of(const tir::BlockNode& block);

// The outermost loop on which a reduction axis of the block depends; null: there is none.
const tir::ForNode* outermost_reduction_loop(const Scheduled& s, const tir::BlockNode& block);

// A block as it stands in a loop. Expressions are over loops and what is bound around the outermost
// of them: axes are replaced by their values, and so are `let`s between.
struct ReductionNest {
  const tir::BlockNode* block = nullptr;
  std::vector<const tir::ForNode*> loops;  // outermost first
  std::vector<tir::IterVar> axes;
  std::vector<Expr> conditions;  // the block runs where all hold: of its own, and of `if`s between
  VarMap lets;                   // between
  VarMap lets_around;

  bool feeds(const Var& loop, tir::IterKind kind) const;
};
// Not for blocks whose way to the loop leads through a `while` or another block.
Result<ReductionNest> reduction_nest(const Scheduled& s, const tir::BlockNode& block,
                                     const tir::ForNode& loop);

// Which elements begin in a nest that contains all steps of the reduction, whether or not there are
// any steps.
struct Beginning {
  std::vector<const tir::ForNode*> loops;  // over elements
  std::vector<Expr> conditions;            // over these loops: what is an element
};
// Not where a loop feeds both kinds of axes or none, or where a condition may leave the first step
// out.
Result<Beginning> beginning_of(const Scheduled& s, const ReductionNest& nest);

// `body` in the loops over elements, each of the kind that it has.
tir::Stmt in_loops(const Beginning& beginning, const ReductionNest& nest, tir::Stmt body);
// A block over the elements, with axes for what spatial axes of the nest's block are.
tir::BlockNode::Fields block_over(const Beginning& beginning, const ReductionNest& nest);

// That nothing in the loop changes what the initial values are made of.
Result<void> check_init(const Scheduled& s, const tir::ForNode& loop, const tir::BlockNode& block);
// What accesses the memory of a buffer, under any name.
std::vector<Access> accesses_to(const Scheduled& s, const tir::Stmt& root, const Buffer& buffer);

// For messages: "`C`", or "a statement" for null.
std::string quoted(const tir::BlockNode* block);

// The conjuncts of a condition, and back; null: none.
std::vector<Expr> conjuncts_of(const Expr& condition);
Expr conjunction_of(const std::vector<Expr>& conjuncts);
bool has_load(const Expr& e);
bool loads(const Expr& e, const Buffer& buffer);
bool same_indices(const std::vector<Expr>& a, const std::vector<Expr>& b);

}  // namespace repose::schedule
