// Which elements of a buffer statements touch, and whether the iterations of a loop are independent
// of each other.
#pragma once

#include <optional>
#include <span>

#include "schedule/scheduled.h"

namespace repose::schedule {

// One load or store of a program. Inside a block, subscripts are over loops: the block's axes are
// replaced by their values, and so are variables of `let` that are bound within the statement that
// was searched.
struct Access {
  Buffer buffer;
  std::vector<Expr> indices;
  bool is_store = false;
  const tir::BlockNode* block = nullptr;   // null: outside of blocks
  std::vector<const tir::ForNode*> loops;  // around it within what was searched, outermost first
  Expr condition;  // of blocks and `if`s around it, over loops: it happens only there; null: none
  VarMap lets;     // what else extents of the loops may mention, over loops
};

// Of `root` and everything inside, in order.
std::vector<Access> accesses_in(const tir::Stmt& root);
std::vector<Access> accesses_of(const std::vector<Access>& all, const Buffer& buffer);

// An index expression as it is shortest: with what is known, or without (where a name is known to
// be a long expression).
Expr simplest(const Expr& e, const Facts& facts);

// The element's number in the memory of a compact buffer; null: it has strides.
Expr address_of(const Access& a);

// Whether two neighbouring subscripts are quotient and remainder of one expression, so that over
// both dimensions as one (of this inner extent) it stands alone again.
bool are_cut(const Expr& high, const Expr& low, const Expr& inner_extent);

// e = step * v + rest, where a sum says so with a number as step (0: `v` isn't in it). Gives rest;
// null: no such sum.
Expr rest_of_sum(const Expr& e, const Var& v, int64_t* step);

// The smallest range that contains the values of `e` as `loops` (innermost last) run, in terms of
// everything else. Nothing where `e` is not affine in one of them, with a coefficient of known
// sign.
std::optional<tir::Range> range_over(const Expr& e, std::span<const tir::ForNode* const> loops,
                                     const Facts& facts);
// The box of all accesses: per dimension, from the least minimum to the largest end, where they can
// be compared.
std::optional<std::vector<tir::Range>> box_of(std::span<const Access> accesses, const Facts& facts);

// That no iteration of the loop reads or writes what another one writes, but in buffers that live
// within an iteration. The error says which block writes what twice.
Result<void> check_independent(const Scheduled& s, const tir::ForNode& loop);

// Whether two accesses of one buffer have no element in common, where `b` is of another iteration:
// of that in which variables are as `later` says. False: it isn't proven.
bool are_apart(const Access& a, const Access& b, const VarMap& later, const Facts& facts);

// The body below `let`s that stand directly in the loop: where whatever they bind is known.
tir::Stmt inner_body(const tir::ForNode& loop);
// The loop with `body` in the place of inner_body.
tir::Stmt with_inner_body(const tir::ForNode& loop, tir::Stmt body);

// `body` with another statement at its end, where the buffers that it allocates are still there.
tir::Stmt appended(const tir::Stmt& body, tir::Stmt last);

// Whether steps of the block's reduction differ by iterations of a loop around it.
bool moves_reduction(const tir::ForNode& loop, const tir::BlockNode& block);

// Buffers that are allocated or declared inside.
bool is_made_in(const tir::Stmt& root, const Buffer& buffer);

}  // namespace repose::schedule
