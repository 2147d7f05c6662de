// The memory of a tensor program's own: what its `allocate` statements ask for and neither
// registers nor the stack give.
//
// Generated code makes one function of the program and one of each of its parallel loops. What the
// first allocates lives while the program runs; what a loop's body allocates, once for each thread
// that works on the loop.
#pragma once

#include "ir/tir.h"

namespace repose {

// A buffer, and its bytes over what is known where the function begins: lets on the way are
// substituted, since memory is laid out before their statements are reached.
struct Allocation {
  Buffer buffer;
  Expr bytes;
};

struct FunctionMemory {
  std::vector<Allocation> allocations;
  // All of them are small and constant: they lie on the stack after all.
  bool on_stack = false;
};

// Bytes of a buffer whose shape is constant; -1 where it is not.
int64_t constant_bytes(const Buffer& buffer);

// A local buffer of a known size that is not too large.
bool lives_on_stack(const Buffer& buffer);

// Whether the loop's body becomes a function of its own, where it stands outside of another such.
bool is_parallel(const tir::ForNode& loop);

// What one function allocates apart from buffers that live on the stack. `in_parallel`: it is the
// body of a parallel loop, in which parallel loops run serially.
FunctionMemory memory_of_function(const tir::Stmt& body, bool in_parallel);

// The bytes of them one after another, each aligned to 64; 0 where they lie on the stack.
Expr total_bytes(const FunctionMemory& memory);

// Of a whole program (after finish_program), over its parameters; not simplified.
struct Workspace {
  Expr own_bytes;
  Expr bytes_per_thread;  // of the loop that needs most
  bool is_empty() const { return is_const_int(own_bytes, 0) && is_const_int(bytes_per_thread, 0); }
};

// Refuses (unsupported_feature) a size that is not known where the program begins: one that reads
// memory, or depends on a loop's variable.
Result<Workspace> workspace_of(const std::string& name, const tir::PrimFunc& f);

// What a call with so many threads takes.
Expr total_bytes(const Workspace& workspace, const Expr& num_threads);

}  // namespace repose
