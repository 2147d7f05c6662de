// Loops as the prover sees them: variables that run over ranges, each its own.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "schedule/region.h"

namespace repose::schedule {

// The loops of a path, outermost first. One that `let`s take apart again (fuse) counts as the loops
// that it was made of; whatever else is bound on the way has a value over loops.
struct Space {
  std::vector<tir::Stmt> loops;
  VarMap values;
  bool exact = true;  // every point of the loops is an iteration

  std::vector<const tir::ForNode*> list() const;
  Expr over_loops(const Expr& e) const { return substitute(e, values); }
  bool mentioned_in(const Expr& e) const;  // is one of the loops?
};
Space space_of(std::span<const tir::Stmt> path, const Facts& facts);
// The same, in which loops that `exprs` divide (i // 8 and i % 8) are several. Brings `exprs` over
// its loops.
Space refined(const Space& space, std::vector<Expr>& exprs, const Facts& facts);
// What is known at a point of the space.
Facts facts_in(const Space& space, Facts facts);

// The values that `e` takes, over `loops`, where they have no gap: each at least once, or exactly
// once. Nothing where that is not proven.
enum class Times : uint8_t { at_least_once, once };
std::optional<tir::Range> values_of(const Expr& e, std::span<const tir::ForNode* const> loops,
                                    const Facts& facts, Times times);

}  // namespace repose::schedule
