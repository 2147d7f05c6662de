// The memory plan of a graph function: one arena, offsets and peak as expressions over symbols.
//
// A placement is an acyclic orientation of the interference graph: every pair of blocks that live
// at the same time has an edge, and offset(i) = max over the blocks j below of offset(j) +
// align64(bytes(j)). So no assignment of the symbols can make two live blocks overlap. Orientations
// come from packing at sample values of the symbols (any packing induces one); up to four are kept,
// and each call takes the one whose peak is the smallest for its shapes.
//
// Memory of a program's own (ir/workspace.h) is a block that lives while the program runs. Its size
// depends on the number of threads, which is a symbol like those of shapes: known at entry.
#pragma once

#include "ir/workspace.h"
#include "memory/alias.h"
#include "memory/orient.h"
#include "memory/sample.h"

namespace repose {

// A region holds the blocks whose sizes become known at one point: region 0 at entry, others where
// data binds a symbol. A block whose size the data decides, but has an upper bound that is known at
// entry, has that much room in region 0. A region whose sizes become known in a loop is asked for
// in each iteration. What a loop carries without a bound has a region of its own, or two, one
// behind the other, which are used in turn.
struct Region {
  int position = 0;                     // after which every size in it is known (0: entry)
  int home = -1;                        // the storage (LoopRange) that it is for, or -1
  std::vector<int> blocks;              // of the plan's aliasing
  std::vector<Expr> sizes;              // of each: aligned to 64 bytes, canonical
  std::vector<Orientation> placements;  // over positions in `blocks`; one at least
  std::vector<Expr> peaks;              // of each placement
  Expr bytes;                           // the smallest of `peaks`
};

struct MemoryPlan {
  Liveness live;
  Aliasing aliases;
  std::vector<Region> regions;
  std::vector<int> region_of;    // per block; -1: not in the arena (an input, constant or result)
  std::vector<int> position_in;  // per block: in its region's `blocks`
  Var num_threads;               // how many work on a call
  // Names of sizes that are known at entry, in order; the last ones are limits of sizes that the
  // data decides, which nothing but the plan knows.
  std::vector<std::pair<Var, Expr>> names;
  std::vector<std::pair<Var, Expr>> limit_names;
  std::unordered_map<const graph::CallNode*, int> workspaces;  // blocks of programs' own memory
  // Per result (tuples flattened) and dimension: the most that it can be, over what is known at
  // entry; null where nothing shows that.
  std::vector<Dims> result_limits;
  // Symbols that the data decides, and on which sizes depend that have no upper bound.
  std::vector<Var> undecided;
};

using Workspaces = std::map<std::string, Workspace>;  // by program

struct PlanOptions {
  bool reuse = true;  // false: every storage has bytes of its own
  // Results whose buffers may be the memory of an input (by position; shorter: none): they are
  // copied there at the end, when nothing reads inputs any more.
  std::vector<bool> donated_results = {};
  const Workspaces* workspaces = nullptr;  // null: no program has memory of its own
};

// Requires: `f` as liveness.h says, with known shapes. `facts`: ranges of the function's symbols.
MemoryPlan plan_memory(const graph::Function& f, const Module& module, const Facts& facts,
                       const PlanOptions& options = {});

// What a plan gives for values of all symbols that its sizes mention.
struct PlanAt {
  std::vector<int64_t> offsets;  // per block: in its region; -1 outside of the arena
  std::vector<int64_t> sizes;    // per block: aligned; 0 outside of the arena
  std::vector<size_t> chosen;    // per region: the placement
  int64_t arena_bytes = 0;       // of all regions
  int64_t lower_bound = 0;       // the largest sum of sizes that live at the same time
};
// Nothing where a size cannot be evaluated.
std::optional<PlanAt> plan_at(const MemoryPlan& plan, const SymbolValues& values);

}  // namespace repose
