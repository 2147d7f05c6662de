// A loaded model as the runtime sees it, and a call in progress.
#pragma once

#include <pthread.h>

#include "abi.h"
#include "context.h"
#include "memory.h"
#include "pool.h"
#include "repose/repose.h"
#include "sync.h"
#include "text.h"

// The table of the C interface; exported as `repose_api_v1` (api.cpp).
extern "C" const repose_api repose_rt_api;

namespace repose::rt {

// One thread's text of its last failure. Kept for the model's life: threads that end leave theirs
// to the next with the same pthread_t.
struct ThreadError {
  ThreadError* next;
  pthread_t thread;
  char text[kErrorBytes];
};

struct Model : repose_model {
  Model(const repose_options& options, const ContextLimits& limits)
      : repose_model{},
        budget{options.allocator, options.memory_limit_bytes, 0},
        contexts(limits),
        operations_limit(options.operations_limit),
        print(options.print),
        print_user(options.print_user),
        owner(getpid()) {}

  const repose_rt_model* code = nullptr;
  repose_thread_pool threads{};  // the own pool's, or the host's
  Pool* pool = nullptr;          // the own pool, or null
  Budget budget;
  ContextList contexts;
  const int64_t operations_limit;                     // of a call; 0: none
  std::atomic<repose_profile*> profile{nullptr};      // what calls are recorded in
  void (*const print)(void* user, const char* text);  // null: standard output
  void* const print_user;
  PackedFunction* packed_functions = nullptr;  // in the order of their names in `code`
  Owner owner;
  Lock errors_lock;
  ThreadError* errors = nullptr;
};

inline Model* as_model(repose_model* model) {
  return static_cast<Model*>(model);
}

// The calling thread's buffer for an error text, kErrorBytes long; null: out of memory.
char* error_buffer(Model& model);

// Records the text of a failure for the calling thread and returns the status.
int32_t record_error(Model& model, int32_t status, const char* text);

// Makes a model of the code that is linked with this runtime. As repose_api.create.
int32_t create_model(const repose_options* options, Model** model, Text& error);
void destroy_model(Model* model);

// Notices a fork. Every function that touches a model's state calls it first.
void enter(Model& model);

// As repose_api.call. With `function` known to be in range.
int32_t call_function(Model& model, const repose_rt_function& function,
                      const DLTensor* const* inputs, DLTensor* const* outputs,
                      DLManagedTensorVersioned** results);

// As repose_api.memory_needed. With `function` and the number of symbols known to be right.
int32_t compute_sizes(Model& model, const repose_rt_function& function, const int64_t* symbols,
                      int64_t* arena_bytes, int64_t* output_dims);

}  // namespace repose::rt
