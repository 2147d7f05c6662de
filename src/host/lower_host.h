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

#include <unordered_map>

#include "host/interface.h"
#include "host/weights.h"
#include "memory/plan.h"

namespace repose {

// What a profile says of a kernel's call.
struct CallProfile {
  std::vector<std::string> nodes;  // of the model: places
  // What it has to do (ir/operations.h), over the caller's symbols: float64.
  Expr flops, read_bytes, written_bytes;
};
using CallProfiles = std::unordered_map<const graph::VariableNode*, CallProfile>;  // by result

// A place in a host function whose time is taken.
struct ProfiledCall {
  std::string kernel;
  std::vector<std::string> nodes;
};

struct HostFunction {
  FunctionInterface interface;
  tir::PrimFunc run;  // parameter: the number of threads that work on a call
  // The memory query. Parameters: buffers bytes (1,) int64 and output_dims (number of all output
  // dimensions,) int64, then the number of threads; symbols come from T.sizes_symbol. Writes -1
  // where data decides.
  tir::PrimFunc sizes;
  std::vector<ProfiledCall> profiled;  // what T.kernel_begins numbers
  int num_held = 0;                    // places for what packed functions give
};

struct HostOptions {
  // Fills the arena, and each block where its last use is over, with NaN patterns: what reads bytes
  // that are not its own shows in the results.
  bool debug_memory = false;
  // Not null: the runtime is told when each kernel begins and ends, and how much it has to do.
  const CallProfiles* profiles = nullptr;
};

// `packed_functions`: the names of those that the model calls, by number; grows. Errors name what
// native code does not do (closures, recursion).
Result<HostFunction> lower_to_host(const Module& module, const std::string& name,
                                   const MemoryPlan& plan, WeightTable& weights,
                                   std::vector<std::string>& packed_functions,
                                   const HostOptions& options = {});

}  // namespace repose
