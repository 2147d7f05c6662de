// One program instead of several that are equal once they are put in general terms: what passes
// that share programs have in common.
#pragma once

#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

#include "ir/module.h"

namespace repose {

// How the calls of a program pass its arguments.
struct ProgramCalls {
  size_t num_args = 0;            // scalars included; parameters behind them are results
  std::vector<bool> is_constant;  // of each: whether every call passes a constant
};

// A program in general terms: what it computed of some scalars is passed instead.
struct GeneralProgram {
  tir::PrimFunc func;
  std::vector<Expr> sizes;          // passed behind the old arguments, over the old scalars
  std::unordered_set<size_t> gone;  // old scalars that are not needed any more, by their position
};

// Nothing for programs that shall not be merged.
using Generalize =
    std::function<std::optional<GeneralProgram>(const tir::PrimFunc&, const ProgramCalls&)>;

// Gives the first of equal programs to the calls of all of them. Only private programs without
// symbols of their own that `call_tir` alone calls are merged, and only those whose calls pass
// constants in the same places. A program that equals no other one stays as it was.
Module merge_programs(const Module& module, const Generalize& generalize);

}  // namespace repose
