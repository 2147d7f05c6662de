// Allocation through the hook or the C library, counted against the model's limit.
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>

namespace repose::rt {
namespace {

bool reserve(Budget& budget, int64_t bytes) {
  int64_t used = budget.used.load();
  do {
    if (bytes > INT64_MAX - used) return false;
    if (budget.limit != 0 && used + bytes > budget.limit) return false;
  } while (!budget.used.compare_exchange_weak(used, used + bytes));
  return true;
}

// Large pages for the part of the memory that whole ones fill: rows of a tile lie on pages of their
// own, of whose addresses the processor remembers few. The system may not have any.
void ask_for_large_pages(void* memory, int64_t bytes) {
  constexpr uintptr_t kLargePage = 2 << 20;
  const auto address = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t begin = (address + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = (address + static_cast<uintptr_t>(bytes)) / kLargePage * kLargePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

void* allocate(const repose_allocator& allocator, int64_t bytes) {
  if (allocator.allocate != nullptr) {
    return allocator.allocate(allocator.user, static_cast<size_t>(bytes), kAlignment);
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, static_cast<size_t>(bytes)) != 0) return nullptr;
  ask_for_large_pages(memory, bytes);
  return memory;
}

void deallocate(const repose_allocator& allocator, void* memory, int64_t bytes) {
  if (allocator.deallocate != nullptr) {
    allocator.deallocate(allocator.user, memory, static_cast<size_t>(bytes));
  } else {
    free(memory);
  }
}

Shortage fill_block(Budget& budget, Block& block, int64_t bytes) {
  if (!align_up(bytes)) return Shortage::kMemory;
  if (!reserve(budget, bytes)) return Shortage::kLimit;
  void* memory = allocate(budget.allocator, bytes);
  if (memory == nullptr) {
    budget.used.fetch_sub(bytes);
    return Shortage::kMemory;
  }
  block = {memory, bytes};
  return Shortage::kNone;
}

void free_block(Budget& budget, Block& block) {
  if (block.bytes == 0) return;
  const Block old = block;
  block = {nullptr, 0};
  deallocate(budget.allocator, old.data, old.bytes);
  budget.used.fetch_sub(old.bytes);
}

}  // namespace repose::rt
