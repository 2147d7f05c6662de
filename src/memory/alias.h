// Which storages share bytes: views, results written over operands that die, parts of
// concatenations that are made in place, results of an `if`, what a loop carries, results of the
// function.
#pragma once

#include <map>
#include <set>
#include <string>

#include "memory/liveness.h"

namespace repose {

// A run of bytes that one or more storages lie in. Its size and every `begin` in it are known where
// the first of them is written.
struct Block {
  Storage::Kind kind = Storage::Kind::computed;  // never view
  int result = -1;  // the result of the function whose buffer it is, or -1
  Expr bytes;       // canonical; null for inputs and constants
  Expr room;        // what is reserved: an upper bound of `bytes`; null: `bytes`
  LiveSet live;
  std::vector<int> members;  // storages; none: a program's own memory

  // A block that another one took the members of never lives.
  bool in_arena() const { return kind == Storage::Kind::computed && result < 0 && !live.empty(); }
  int first() const { return live.empty() ? 0 : live.front().first; }
};

struct Aliasing {
  std::vector<Block> blocks;
  std::vector<int> block_of;      // per storage
  std::vector<Expr> begin_bytes;  // per storage: where it begins in its block
  // Per result of the function (tuples flattened): true if it must be copied from where it lives.
  std::vector<bool> copied_results;
  // Concatenations with parts that are where they belong: the others (positions among the call's
  // arguments), which are all that the call has left to do.
  std::unordered_map<const graph::CallNode*, std::vector<size_t>> parts_to_copy;
  // Homes (LoopRange) without a bound that grow in place: the concatenation, of which each is the
  // first part, by home.
  std::unordered_map<int, int> appended;
  // Per program: its parameters that some call gives overlapping memory, though one is written.
  std::map<std::string, std::set<size_t>> overlapping_params;
};

struct AliasOptions {
  bool in_place = true;                    // false: only what costs nothing else (views, results)
  std::vector<bool> donated_results = {};  // PlanOptions::donated_results
  // Of homes (LoopRange) whose size changes: how much they take at most, known
  // where the loop begins.
  std::unordered_map<int, Expr> home_bytes = {};
};

// Requires: `live` is that of `f`. Programs without attributes of find_sharing share nothing.
Aliasing find_aliases(const graph::Function& f, const Module& module, const Liveness& live,
                      const Facts& facts, const AliasOptions& options = {});

}  // namespace repose
