// Memory of one model: its allocator, and the account of what its contexts hold.
#pragma once

#include <stdint.h>

#include <atomic>

#include "repose/repose.h"

namespace repose::rt {

constexpr int64_t kAlignment = 64;  // of arenas and results

// Rounds up to a multiple of kAlignment; false if that does not fit.
inline bool align_up(int64_t& bytes) {
  if (bytes > INT64_MAX - (kAlignment - 1)) return false;
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return true;
}

// The hook's memory, or the C library's if there is none. bytes > 0; null: there is none.
void* allocate(const repose_allocator& allocator, int64_t bytes);
void deallocate(const repose_allocator& allocator, void* memory, int64_t bytes);

// Memory that contexts hold, with an upper bound for all of it together.
struct Budget {
  repose_allocator allocator;
  int64_t limit;  // 0: none
  std::atomic<int64_t> used;
};

// A piece of a context's memory; bytes 0: none.
struct Block {
  void* data;
  int64_t bytes;
};

// Why a block could not be had.
enum class Shortage { kNone, kLimit, kMemory };

// Gives `block`, which is empty, `bytes` rounded up to kAlignment, and nothing more: what a call
// takes is what the memory query said. On a shortage the block stays empty.
Shortage fill_block(Budget& budget, Block& block, int64_t bytes);

void free_block(Budget& budget, Block& block);

}  // namespace repose::rt
