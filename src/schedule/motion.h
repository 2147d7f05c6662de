// Moving a block out of its loops, into new ones under another loop.
#pragma once

#include <optional>
#include <vector>

#include "schedule/dependence.h"

namespace repose::schedule {

// A block with the loops that run for it alone, and the loop that it moves to.
struct Nest {
  const tir::BlockNode* block = nullptr;
  const tir::StoreNode* store = nullptr;
  Expr condition;                // of `if`s around it; null: none
  std::vector<tir::Stmt> path;   // from the outermost of its loops to the block
  std::vector<tir::Stmt> to_at;  // beside it: from the outermost statement to the loop, and `let`s
  std::vector<tir::Stmt> between;  // what runs from the one to the other, with all of to_at
  Facts facts;                     // where both are
};
enum class Side : uint8_t { before, behind };
// `side`: where the block stands, seen from the loop. The program has to outlive the nest.
Result<Nest> nest_of(const Scheduled& s, const Block& block, const Loop& at, Side side);

// An axis of the block, and how the loops of the nest run through it.
struct NestAxis {
  enum class Kind : uint8_t {
    free,     // over `domain`, by loops of its own
    fixed,    // not at all
    follows,  // like the axis `leader`, to which `value` is added
  };
  tir::IterVar iter;
  Kind kind = Kind::free;
  Expr value;  // fixed: over what is bound around the nest
  size_t leader = 0;
  tir::Range domain;
  size_t position = 0;  // of the outermost loop
};
struct NestAxes {
  std::vector<NestAxis> axes;  // those of the block, in its order
  Expr predicate;              // what is left of the block's and of the nest's; null: none
};
Result<NestAxes> axes_of(const Nest& nest);

// The ranges in which axes of the block keep subscripts of `buffer` in a box.
struct Told {
  std::vector<std::optional<tir::Range>> ranges;  // per axis
  std::vector<size_t> unclear;                    // dimensions that tell none, though they vary
};
Told told_by(const std::vector<Expr>& subscripts, const Buffer& buffer,
             const std::vector<tir::Range>& box, const NestAxes& axes, const Facts& facts);

// The block in new loops: through the ranges that are told, one per axis, else through the domain.
struct Rebuilt {
  tir::Stmt nest;
  VarMap values;  // of the axes
  Facts facts;    // what holds where the block runs
};
Rebuilt rebuild(Scheduled& s, const Nest& nest, const NestAxes& axes,
                const std::vector<std::optional<tir::Range>>& told, const Facts& facts);

// That `moved` may stand in the loop: none around it runs in the lanes of vectors, and where one on
// the way is parallel, its iterations write different elements. `facts`: in the loop.
Result<void> check_place(const Scheduled& s, const Nest& nest, const tir::Stmt& moved,
                         const Facts& facts);

// `root` without `target`, and without what is empty then.
tir::Stmt without(const tir::Stmt& root, const tir::StmtNode* target);

}  // namespace repose::schedule
