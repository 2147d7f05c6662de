// Counts what this program, and every library in it, asks of the C library's allocator and of mmap.
#pragma once

#include <cstdint>

namespace repose::test {

// False under sanitizers, which have an allocator of their own.
bool can_count_allocations();

// Allocations of all threads while this object lives; one object at a time.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  int64_t count() const;
};

// While this object lives, the C library's allocator gives nothing to the thread that made it.
class NoMemory {
 public:
  NoMemory();
  ~NoMemory();
};

}  // namespace repose::test
