// Contexts: what one call needs of its own (arena, workspaces, argument arrays), kept for later
// calls. A model has a list of them, bounded as its options say.
#pragma once

#include <stdint.h>

#include "memory.h"
#include "sync.h"

namespace repose::rt {

// Memory for one thread during one kernel.
struct Workspace {
  Workspace* next;
  std::atomic<bool> busy;
  Block block;
};

// The argument arrays of a call, with room for the model's largest function.
struct Arguments {
  void** input_data;
  const int64_t** input_shape;
  int64_t* layouts;                    // dimensions and strides where strides are expressions
  void** output_data;                  // null until produced
  DLManagedTensorVersioned** results;  // that the library allocated, or null
};

// A region of the arena.
struct Region {
  Block block;
  bool asked;  // for by the call in progress: its memory stays until the call ends
};

struct Context {
  Context* next;
  bool busy;  // under the list's lock
  Region* regions;
  int32_t num_regions;
  Block* retired;  // earlier memory of regions that grew within the call
  int32_t num_retired;
  std::atomic<Workspace*> workspaces;
  Arguments arguments;
};

struct ContextLimits {
  int32_t max_contexts;
  repose_when_busy when_busy;
  int32_t max_inputs, max_outputs, max_layouts;  // of any function; entries of Arguments
};

class ContextList {
 public:
  explicit ContextList(const ContextLimits& limits) : limits_(limits) {}

  // A context for one call: the first free one, so that few are used and stay warm. On failure
  // null, and *status is REPOSE_BUSY or REPOSE_OUT_OF_MEMORY.
  Context* acquire(int32_t* status);
  void release(Budget& budget, Context* context);

  // Frees the memory of contexts that no call uses; how much it was.
  int64_t trim(Budget& budget);
  void destroy(Budget& budget);

  // In a forked child: calls that were in progress, and their contexts, no longer count.
  void forget_calls(Budget& budget);

  void count(int32_t* all, int32_t* busy);

 private:
  Context* try_acquire(int32_t* status);

  const ContextLimits limits_;
  Lock lock_;
  Context* first_ = nullptr;
  int32_t count_ = 0;
  std::atomic<uint32_t> released_{0};
  std::atomic<uint32_t> waiters_{0};
};

// Region `region` (>= 0), made where it does not exist; null: out of memory.
Region* find_region(Context& context, int32_t region);

// Moves a block out of use until the call ends; false: out of memory.
bool retire_block(Context& context, Block& block);

// A workspace that nothing uses, now marked busy; null: out of memory.
Workspace* acquire_workspace(Context& context, int64_t bytes);

}  // namespace repose::rt
