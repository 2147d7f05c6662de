// The thread pool: workers that sleep after a short spin, one parallel loop at a time. A caller
// that finds the pool busy computes alone, so that any number of threads may use it at once.
#pragma once

#include <stdint.h>

namespace repose::rt {

struct Pool;

// A pool of num_threads threads, the calling one included; workers start with the first loop that
// needs them. spin_microseconds as in repose_options. Null: out of memory.
Pool* make_pool(int32_t num_threads, int32_t spin_microseconds);

// Joins the workers. No loop may be running. In a forked child, frees memory only.
void delete_pool(Pool* pool);

// repose_thread_pool.parallel_for; `pool` is a Pool*.
void pool_parallel_for(void* pool, void (*task)(void* closure, int32_t i), void* closure,
                       int32_t count);

int32_t pool_num_threads(const Pool* pool);

// Workers that are running: 0 before the first loop that needs them.
int32_t pool_num_workers(const Pool* pool);

}  // namespace repose::rt
