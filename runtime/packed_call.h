// Calls of packed functions: arguments as they are pushed, and values that are held.
#pragma once

#include <stdint.h>

#include "repose/repose.h"
#include "text.h"

namespace repose::rt {

// Memory that is given in pieces which don't move, and taken back all at once.
class Pile {
 public:
  void* take(int64_t bytes);  // aligned to 8; null: there is no memory
  void clear();               // keeps the memory
  void free_all();

 private:
  struct Chunk {
    Chunk* next;
    int64_t bytes, used;
  };
  Chunk* first_ = nullptr;
  Chunk* current_ = nullptr;
};

// A list that grows. Zero-initialised, it is empty.
template <typename T>
struct List {
  T* items;
  int32_t count, room;
};

// Of one context. What is held lives until the call of the model ends; memory stays for later
// calls.
struct PackedState {
  List<repose_packed_value> arguments, results;
  List<int64_t> dims;  // of the next tensor or shape
  List<bool> shapes;   // of results: is a shape expected?
  Pile pile;           // what arguments point at
  bool is_over;        // they are no more needed
};

// Ends held values and forgets what was pushed.
void end_packed(PackedState& state, repose_packed_value* held, int32_t num_held);
void delete_packed(PackedState& state);

// As R.print writes it.
void write_value(Text& out, const repose_packed_value& value);

// ---- What a model calls, found when it is loaded -------------------------------------

struct PackedFunction {
  repose_packed_function function;
  void* user;
  bool is_ffi;  // `user` is a reference to a function object of TVM FFI
};

// A list for the model's names, of malloc; null where it calls none. False with the text: some are
// missing, or there is no memory.
bool find_packed_functions(const char* const* names, int32_t count, const repose_options& options,
                           PackedFunction** found, int32_t* status, Text& error);
void release_packed_functions(PackedFunction* functions, int32_t count);

// Global functions of TVM FFI (tvm_ffi.cpp). Null where the process has none of that name.
void* find_ffi_function(const char* name);
void release_ffi_object(void* object);
int32_t call_ffi_function(void* function, repose_packed_call* call);

}  // namespace repose::rt
