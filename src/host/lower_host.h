// Graph function + memory plan -> host program: the graph function as native code.
//
// before: a graph function after fusion (memory/liveness.h says what it may contain)
// after:  a tensor program over host intrinsics: it reads the inputs' dimensions, checks them,
//         computes sizes and offsets, takes the arena, and calls the kernels.
// requires: known shapes; calls of graph functions inlined
// ensures: every index expression that decides a size, an offset or a check is computed once,
// before
//          what depends on it runs
#pragma once

#include "host/interface.h"
#include "host/weights.h"
#include "memory/plan.h"

namespace repose {

struct HostFunction {
  FunctionInterface interface;
  tir::PrimFunc run;  // parameter: the number of threads that work on a call
  // The memory query. Parameters: buffers bytes (1,) int64 and output_dims (number of all output
  // dimensions,) int64, then the number of threads; symbols come from T.sizes_symbol. Writes -1
  // where data decides.
  tir::PrimFunc sizes;
};

struct HostOptions {
  // Fills the arena, and each block where its last use is over, with NaN patterns: what reads bytes
  // that are not its own shows in the results.
  bool debug_memory = false;
};

// Errors name what native code does not do (loops in the graph, closures, recursion, library
// calls).
Result<HostFunction> lower_to_host(const Module& module, const std::string& name,
                                   const MemoryPlan& plan, WeightTable& weights,
                                   const HostOptions& options = {});

}  // namespace repose
