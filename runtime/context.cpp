// The list of contexts and what hangs on each.
#include "context.h"

#include <stdlib.h>

#include <new>

namespace repose::rt {
namespace {

template <typename T>
T* allocate_array(int32_t count) {
  return static_cast<T*>(calloc(static_cast<size_t>(count) + 1, sizeof(T)));
}

void free_arguments(Arguments& arguments) {
  free(arguments.input_data);
  free(arguments.input_shape);
  free(arguments.layouts);
  free(arguments.output_data);
  free(arguments.results);
}

bool allocate_arguments(Arguments& arguments, const ContextLimits& limits) {
  arguments.input_data = allocate_array<void*>(limits.max_inputs);
  arguments.input_shape = allocate_array<const int64_t*>(limits.max_inputs);
  arguments.layouts = allocate_array<int64_t>(limits.max_layouts);
  arguments.output_data = allocate_array<void*>(limits.max_outputs);
  arguments.results = allocate_array<DLManagedTensorVersioned*>(limits.max_outputs);
  return arguments.input_data != nullptr && arguments.input_shape != nullptr &&
         arguments.layouts != nullptr && arguments.output_data != nullptr &&
         arguments.results != nullptr;
}

Context* make_context(const ContextLimits& limits) {
  void* memory = calloc(1, sizeof(Context));
  if (memory == nullptr) return nullptr;
  auto* context = new (memory) Context{};
  if (allocate_arguments(context->arguments, limits)) return context;
  free_arguments(context->arguments);
  free(context);
  return nullptr;
}

void free_retired(Budget& budget, Context& context) {
  for (int32_t i = 0; i < context.num_retired; ++i) free_block(budget, context.retired[i]);
  free(context.retired);
  context.retired = nullptr;
  context.num_retired = 0;
}

// Of an idle context.
int64_t held_bytes(const Context& context) {
  int64_t bytes = 0;
  for (int32_t i = 0; i < context.num_regions; ++i) bytes += context.regions[i].block.bytes;
  for (Workspace* w = context.workspaces.load(); w != nullptr; w = w->next) bytes += w->block.bytes;
  return bytes;
}

void free_memory(Budget& budget, Context& context) {
  free_retired(budget, context);
  for (int32_t i = 0; i < context.num_regions; ++i) free_block(budget, context.regions[i].block);
  Workspace* workspace = context.workspaces.exchange(nullptr);
  while (workspace != nullptr) {
    Workspace* next = workspace->next;
    free_block(budget, workspace->block);
    free(workspace);
    workspace = next;
  }
}

void delete_context(Budget& budget, Context* context) {
  free_memory(budget, *context);
  free(context->regions);
  free_arguments(context->arguments);
  free(context);
}

// Makes room for `count` entries; false: out of memory.
template <typename T>
bool grow_array(T*& array, int32_t count) {
  auto* larger = static_cast<T*>(realloc(array, static_cast<size_t>(count) * sizeof(T)));
  if (larger == nullptr) return false;
  array = larger;
  return true;
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

void ContextList::release(Budget& budget, Context* context) {
  free_retired(budget, *context);
  for (int32_t i = 0; i < context->num_regions; ++i) context->regions[i].asked = false;
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
  if (surplus) delete_context(budget, context);
  released_.fetch_add(1);
  if (waiters_.load() != 0) futex_wake(released_, 1);
}

int64_t ContextList::trim(Budget& budget) {
  const Hold hold(lock_);
  int64_t freed = 0;
  for (Context* context = first_; context != nullptr; context = context->next) {
    if (context->busy) continue;
    freed += held_bytes(*context);
    free_memory(budget, *context);
  }
  return freed;
}

void ContextList::destroy(Budget& budget) {
  while (first_ != nullptr) {
    Context* next = first_->next;
    delete_context(budget, first_);
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
    used += held_bytes(**at);
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

Region* find_region(Context& context, int32_t region) {
  while (context.num_regions <= region) {
    if (!grow_array(context.regions, context.num_regions + 1)) return nullptr;
    context.regions[context.num_regions] = {};
    ++context.num_regions;
  }
  return &context.regions[region];
}

bool retire_block(Context& context, Block& block) {
  if (!grow_array(context.retired, context.num_retired + 1)) return false;
  context.retired[context.num_retired++] = block;
  block = {nullptr, 0};
  return true;
}

Workspace* acquire_workspace(Context& context, int64_t bytes) {
  Workspace* too_small = nullptr;
  for (Workspace* w = context.workspaces.load(); w != nullptr; w = w->next) {
    if (w->busy.exchange(true)) continue;
    if (w->block.bytes >= bytes) {
      if (too_small != nullptr) too_small->busy.store(false);
      return w;
    }
    if (too_small == nullptr) {
      too_small = w;
    } else {
      w->busy.store(false);
    }
  }
  if (too_small != nullptr) return too_small;
  void* memory = calloc(1, sizeof(Workspace));
  if (memory == nullptr) return nullptr;
  auto* workspace = new (memory) Workspace{};
  workspace->busy.store(true);
  workspace->next = context.workspaces.load();
  while (!context.workspaces.compare_exchange_weak(workspace->next, workspace)) {
  }
  return workspace;
}

}  // namespace repose::rt
