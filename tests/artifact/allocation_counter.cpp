// The C library's allocator, with a counter in front. Libraries that are loaded later find these
// definitions first: the program exports them.
#include "artifact/allocation_counter.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "support/slow_build.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> num_allocations{0};
thread_local bool refusing = false;

// Whether the allocation may go on.
[[maybe_unused]] bool note() {
  if (counting.load(std::memory_order_relaxed)) num_allocations.fetch_add(1);
  return !refusing;
}

}  // namespace

#if REPOSE_IS_INSTRUMENTED
constexpr bool interposed = false;
#else
constexpr bool interposed = true;

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  return note() ? __libc_malloc(bytes) : nullptr;
}
void* calloc(size_t count, size_t bytes) {
  return note() ? __libc_calloc(count, bytes) : nullptr;
}
void* realloc(void* memory, size_t bytes) {
  return note() ? __libc_realloc(memory, bytes) : nullptr;
}
void* memalign(size_t alignment, size_t bytes) {
  return note() ? __libc_memalign(alignment, bytes) : nullptr;
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return note() ? __libc_memalign(alignment, bytes) : nullptr;
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  void* made = note() ? __libc_memalign(alignment, bytes) : nullptr;
  if (made == nullptr) return ENOMEM;
  *memory = made;
  return 0;
}
void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  if (!note()) return MAP_FAILED;
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}

}  // extern "C"
#endif

namespace repose::test {

bool can_count_allocations() {
  return interposed;
}

AllocationCounter::AllocationCounter() {
  num_allocations.store(0);
  counting.store(true);
}
AllocationCounter::~AllocationCounter() {
  counting.store(false);
}
int64_t AllocationCounter::count() const {
  return num_allocations.load();
}

NoMemory::NoMemory() {
  refusing = true;
}
NoMemory::~NoMemory() {
  refusing = false;
}

}  // namespace repose::test
