// The list of contexts and what hangs on each.
#include "context.h"

#include <stdlib.h>

#include <new>

namespace repose::rt {
namespace {

// Hands out arrays one after another; from null, it only counts their bytes.
class Carver {
 public:
  explicit Carver(uint8_t* memory) : memory_(memory) {}
  int64_t bytes() const { return bytes_; }

  template <typename T>
  T* take(int32_t count) {
    static_assert(alignof(T) <= 8);
    uint8_t* at = memory_ != nullptr ? memory_ + bytes_ : nullptr;
    bytes_ += (int64_t{count} * static_cast<int64_t>(sizeof(T)) + 7) / 8 * 8;
    return reinterpret_cast<T*>(at);
  }

 private:
  uint8_t* memory_;
  int64_t bytes_ = 0;
};

// The context and its arrays in `carver`'s memory; the bytes of all of it.
int64_t lay_out(Carver carver, const ContextLimits& limits, Context& context) {
  carver.take<Context>(1);
  context.regions = carver.take<Region>(limits.max_regions);
  context.held = carver.take<repose_packed_value>(limits.max_held);
  Arguments& arguments = context.arguments;
  arguments.input_data = carver.take<void*>(limits.max_inputs);
  arguments.input_shape = carver.take<const int64_t*>(limits.max_inputs);
  arguments.layouts = carver.take<int64_t>(limits.max_layouts);
  arguments.output_data = carver.take<void*>(limits.max_outputs);
  arguments.results = carver.take<DLManagedTensorVersioned*>(limits.max_outputs);
  return carver.bytes();
}

Context* make_context(const ContextLimits& limits) {
  Context measured{};
  void* memory = calloc(1, static_cast<size_t>(lay_out(Carver(nullptr), limits, measured)));
  if (memory == nullptr) return nullptr;
  auto* context = new (memory) Context{};
  lay_out(Carver(static_cast<uint8_t*>(memory)), limits, *context);
  return context;
}

// Of an idle context.
int64_t held_bytes(const Context& context, const ContextLimits& limits) {
  int64_t bytes = 0;
  for (int32_t i = 0; i < limits.max_regions; ++i) bytes += context.regions[i].block.bytes;
  return bytes;
}

void delete_context(Budget& budget, Context* context, const ContextLimits& limits) {
  for (int32_t i = 0; i < limits.max_regions; ++i) free_block(budget, context->regions[i].block);
  delete_packed(context->packed);
  free(context);
}

}  // namespace

Context* ContextList::try_acquire(int32_t* status) {
  for (Context* context = first_; context != nullptr; context = context->next) {
    if (context->busy) continue;
    context->busy = true;
    return context;
  }
  if (count_ >= limits_.max_contexts && limits_.when_busy != REPOSE_BUSY_GROW) {
    *status = REPOSE_BUSY;
    return nullptr;
  }
  Context* context = make_context(limits_);
  if (context == nullptr) {
    *status = REPOSE_OUT_OF_MEMORY;
    return nullptr;
  }
  context->busy = true;
  Context** end = &first_;
  while (*end != nullptr) end = &(*end)->next;
  *end = context;
  ++count_;
  return context;
}

Context* ContextList::acquire(int32_t* status) {
  while (true) {
    uint32_t seen = 0;
    {
      const Hold hold(lock_);
      Context* context = try_acquire(status);
      if (context != nullptr || *status != REPOSE_BUSY) return context;
      if (limits_.when_busy != REPOSE_BUSY_WAIT) return nullptr;
      seen = released_.load();
      waiters_.fetch_add(1);
    }
    futex_wait(released_, seen);
    waiters_.fetch_sub(1);
  }
}

int64_t ContextList::free_unused(Budget& budget, Context& context) const {
  int64_t freed = 0;
  for (int32_t i = 0; i < limits_.max_regions; ++i) {
    Region& region = context.regions[i];
    if (region.asked) continue;
    freed += region.block.bytes;
    free_block(budget, region.block);
  }
  return freed;
}

void ContextList::release(Budget& budget, Context* context) {
  for (int32_t i = 0; i < limits_.max_regions; ++i) context->regions[i].asked = false;
  bool surplus = false;
  {
    const Hold hold(lock_);
    context->busy = false;
    surplus = count_ > limits_.max_contexts;
    if (surplus) {
      Context** at = &first_;
      while (*at != context) at = &(*at)->next;
      *at = context->next;
      --count_;
    }
  }
  if (surplus) delete_context(budget, context, limits_);
  released_.fetch_add(1);
  if (waiters_.load() != 0) futex_wake(released_, 1);
}

int64_t ContextList::trim(Budget& budget) {
  const Hold hold(lock_);
  int64_t freed = 0;
  for (Context* context = first_; context != nullptr; context = context->next) {
    if (context->busy) continue;
    freed += free_unused(budget, *context);
  }
  return freed;
}

void ContextList::destroy(Budget& budget) {
  while (first_ != nullptr) {
    Context* next = first_->next;
    delete_context(budget, first_, limits_);
    first_ = next;
  }
  count_ = 0;
}

void ContextList::forget_calls(Budget& budget) {
  // Whoever held the lock may have been in the middle of a change, and a call in the middle of
  // growing its context: what they worked on is left alone for good.
  if (lock_.is_held()) first_ = nullptr;
  lock_.reset();
  waiters_.store(0);
  int64_t used = 0;
  count_ = 0;
  for (Context** at = &first_; *at != nullptr;) {
    if ((*at)->busy) {
      *at = (*at)->next;
      continue;
    }
    used += held_bytes(**at, limits_);
    ++count_;
    at = &(*at)->next;
  }
  budget.used.store(used);
}

void ContextList::count(int32_t* all, int32_t* busy) {
  const Hold hold(lock_);
  *all = count_;
  *busy = 0;
  for (Context* context = first_; context != nullptr; context = context->next) {
    *busy += context->busy ? 1 : 0;
  }
}

}  // namespace repose::rt
