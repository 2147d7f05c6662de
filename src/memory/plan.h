// The memory plan of a graph function: one arena, offsets and peak as expressions over symbols.
//
// A plan is an acyclic orientation of the interference graph: every pair of storages that are live
// at the same time has an edge, and offset(i) = max over predecessors j of offset(j) +
// align64(bytes(j)). So no assignment of the symbols can make two live storages overlap. The
// orientation comes from packing at sample values of the symbols (any packing induces one).
#pragma once

#include <vector>

#include "memory/liveness.h"

namespace repose {

struct PlannedStorage {
  int region = -1;  // of the arena; -1: not in the arena (an input, a constant, a result)
  int result = -1;  // the result of the function that it is, or -1
  Expr offset;      // bytes from the region's start; 64-byte aligned
};

// A region holds the storages whose sizes become known at one point: region 0 at entry, others
// where data binds a symbol.
struct Region {
  int position = 0;  // the binding after which every size in it is known (0: entry)
  Expr bytes;        // canonical peak
};

struct MemoryPlan {
  Liveness live;
  std::vector<PlannedStorage> storages;  // parallel to live.storages
  std::vector<Region> regions;
  // Per result of the function (tuples flattened): true if it must be copied from where it lives.
  std::vector<bool> copied_results;
};

struct PlanOptions {
  bool reuse = true;  // false: every storage has bytes of its own
  // Results whose buffers may be the memory of an input (by position; shorter: none): they are
  // copied there at the end, when nothing reads inputs any more.
  std::vector<bool> donated_results = {};
};

// Requires: `f` as liveness.h says, with known shapes. `facts`: ranges of the function's symbols.
MemoryPlan plan_memory(const graph::Function& f, const Facts& facts,
                       const PlanOptions& options = {});

// bytes rounded up to a multiple of 64, as an expression.
Expr align64(const Expr& bytes, const Facts& facts);

}  // namespace repose
