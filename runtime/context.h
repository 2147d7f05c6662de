// Contexts: what one call needs of its own (arena, argument arrays), kept for later calls. A model
// has a list of them, bounded as its options say.
#pragma once

#include <stdint.h>

#include "memory.h"
#include "packed_call.h"
#include "sync.h"

namespace repose::rt {

// The argument arrays of a call, with room for the model's largest function.
struct Arguments {
  void** input_data;
  const int64_t** input_shape;
  int64_t* layouts;                    // dimensions and strides where strides are expressions
  void** output_data;                  // null until produced
  DLManagedTensorVersioned** results;  // that the library allocated, or null
};

// A region of the arena. Its memory stays for later calls.
struct Region {
  Block block;
  bool asked;  // for by the call in progress
};

// One allocation with all its arrays.
struct Context {
  Context* next;
  bool busy;        // under the list's lock
  Region* regions;  // max_regions
  Arguments arguments;
  repose_packed_value* held;  // max_held: values that packed functions gave
  PackedState packed;
};

struct ContextLimits {
  int32_t max_contexts;
  repose_when_busy when_busy;
  int32_t max_inputs, max_outputs, max_layouts, max_regions, max_held;  // of any function
};

class ContextList {
 public:
  explicit ContextList(const ContextLimits& limits) : limits_(limits) {}

  // A context for one call: the first free one, so that few are used and stay warm. On failure
  // null, and *status is REPOSE_BUSY or REPOSE_OUT_OF_MEMORY.
  Context* acquire(int32_t* status);
  void release(Budget& budget, Context* context);

  // Frees regions of a busy context that its call has not asked for yet; how much it was.
  int64_t free_unused(Budget& budget, Context& context) const;

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

}  // namespace repose::rt
