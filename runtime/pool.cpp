// The thread pool.
//
// A loop is published in one 64-bit word: its number of tasks in the upper half, the number handed
// out in the lower. Taking a task is one fetch_add on it; a result below the number of tasks is a
// task of the loop that is published at that moment, which cannot end, nor its fields change,
// before the task is counted as done. Everything that sleeps does so on a futex word: workers on
// `signal`, which counts loops, the caller on `done`, which counts finished tasks.
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <new>

#include "sync.h"
#include "threads.h"

namespace repose::rt {
namespace {

constexpr int64_t kDefaultSpinNs = 50'000;
constexpr int32_t kBatch = 1 << 20;  // tasks of one published loop

struct Worker {
  Pool* pool;
  pthread_t thread;
  int64_t spin_ns;  // how long to spin next time: halves where it was in vain, else doubles
};

uint32_t num_tasks(uint64_t word) {
  return static_cast<uint32_t>(word >> 32);
}
uint32_t next_task(uint64_t word) {
  return static_cast<uint32_t>(word);
}
bool has_task(uint64_t word) {
  return next_task(word) < num_tasks(word);
}

}  // namespace

struct Pool {
  Pool(int32_t threads, int64_t spin, Worker* room)
      : num_threads(threads), spin_ns(spin), owner(getpid()), workers(room) {}

  const int32_t num_threads;
  const int64_t spin_ns;
  Owner owner;
  Worker* workers;                      // num_threads - 1
  std::atomic<int32_t> num_workers{0};  // of them, started
  bool tried_to_start = false;          // under `busy`

  alignas(64) std::atomic<uint64_t> word{0};
  std::atomic<uint32_t> signal{0};
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stop{false};
  alignas(64) std::atomic<uint32_t> done{0};
  std::atomic<uint32_t> caller_sleeps{0};
  alignas(64) std::atomic<bool> busy{false};  // a loop is running
  void (*task)(void* closure, int32_t i) = nullptr;
  void* closure = nullptr;
  int32_t base = 0;  // of the published batch
};

namespace {

// Takes and runs tasks until there are none.
void run_tasks(Pool& pool) {
  while (has_task(pool.word.load(std::memory_order_relaxed))) {
    const uint64_t word = pool.word.fetch_add(1, std::memory_order_acq_rel);
    if (!has_task(word)) return;
    pool.task(pool.closure, pool.base + static_cast<int32_t>(next_task(word)));
    if (pool.done.fetch_add(1) + 1 == num_tasks(word) && pool.caller_sleeps.load() != 0) {
      futex_wake_all(pool.done);
    }
  }
}

// Spins until ready() or for at most `ns`; whether it became ready.
template <typename Ready>
bool spin_until(int64_t ns, const Ready& ready) {
  if (ready()) return true;
  if (ns <= 0) return false;
  const int64_t begin = now_ns();
  do {
    for (int i = 0; i < 32; ++i) {
      cpu_relax();
      if (ready()) return true;
    }
  } while (now_ns() - begin < ns);
  return false;
}

void wait_for_tasks(Pool& pool, Worker& worker) {
  const auto ready = [&] { return has_task(pool.word.load()) || pool.stop.load(); };
  if (spin_until(worker.spin_ns, ready)) {
    worker.spin_ns = worker.spin_ns * 2 < pool.spin_ns ? worker.spin_ns * 2 : pool.spin_ns;
    return;
  }
  worker.spin_ns = worker.spin_ns > pool.spin_ns / 8 ? worker.spin_ns / 2 : worker.spin_ns;
  const uint32_t seen = pool.signal.load();
  pool.sleepers.fetch_add(1);
  if (!ready()) futex_wait(pool.signal, seen);
  pool.sleepers.fetch_sub(1);
}

void* run_worker(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  Pool& pool = *worker.pool;
  while (!pool.stop.load()) {
    run_tasks(pool);
    wait_for_tasks(pool, worker);
  }
  return nullptr;
}

// Starts the workers, as many as the system allows; under `busy`. They handle no signals: those
// are the host's.
void start_workers(Pool& pool) {
  pool.tried_to_start = true;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int32_t started = 0;
  for (; started < pool.num_threads - 1; ++started) {
    Worker& worker = pool.workers[started];
    worker.pool = &pool;
    worker.spin_ns = pool.spin_ns;
    if (pthread_create(&worker.thread, nullptr, run_worker, &worker) != 0) break;
    pthread_setname_np(worker.thread, "repose");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pool.num_workers.store(started);
}

// In a forked child: no workers exist, and no loop runs.
void forget_workers(Pool& pool) {
  pool.num_workers.store(0);
  pool.tried_to_start = false;
  pool.word.store(0);
  pool.sleepers.store(0);
  pool.caller_sleeps.store(0);
  pool.busy.store(false);
}

void wait_until_done(Pool& pool, uint32_t count) {
  const auto ready = [&] { return pool.done.load() == count; };
  if (spin_until(pool.spin_ns, ready)) return;
  pool.caller_sleeps.store(1);
  for (uint32_t seen = pool.done.load(); seen != count; seen = pool.done.load()) {
    futex_wait(pool.done, seen);
  }
  pool.caller_sleeps.store(0);
}

// One published batch: tasks base … base + count - 1.
void run_batch(Pool& pool, int32_t base, int32_t count) {
  pool.base = base;
  pool.done.store(0);
  pool.word.store(static_cast<uint64_t>(count) << 32);
  pool.signal.fetch_add(1);
  if (pool.sleepers.load() != 0) futex_wake(pool.signal, count - 1);
  run_tasks(pool);
  wait_until_done(pool, static_cast<uint32_t>(count));
}

}  // namespace

Pool* make_pool(int32_t num_threads, int32_t spin_microseconds) {
  int64_t spin_ns = static_cast<int64_t>(spin_microseconds) * 1000;
  if (spin_microseconds == 0) spin_ns = num_threads <= affinity_cpus() ? kDefaultSpinNs : 0;
  if (spin_microseconds < 0) spin_ns = 0;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignof(Pool), sizeof(Pool)) != 0) return nullptr;
  auto* room = static_cast<Worker*>(calloc(static_cast<size_t>(num_threads), sizeof(Worker)));
  if (room == nullptr) {
    free(memory);
    return nullptr;
  }
  return new (memory) Pool(num_threads, spin_ns, room);
}

void delete_pool(Pool* pool) {
  if (pool->owner.is_current()) {
    pool->stop.store(true);
    pool->signal.fetch_add(1);
    futex_wake_all(pool->signal);
    for (int32_t i = 0; i < pool->num_workers.load(); ++i) {
      pthread_join(pool->workers[i].thread, nullptr);
    }
  }
  free(pool->workers);
  free(pool);
}

void pool_parallel_for(void* opaque, void (*task)(void* closure, int32_t i), void* closure,
                       int32_t count) {
  Pool& pool = *static_cast<Pool*>(opaque);
  pool.owner.enter([&] { forget_workers(pool); });
  if (count <= 1 || pool.num_threads <= 1 || pool.busy.exchange(true, std::memory_order_acquire)) {
    for (int32_t i = 0; i < count; ++i) task(closure, i);
    return;
  }
  if (!pool.tried_to_start) start_workers(pool);
  pool.task = task;
  pool.closure = closure;
  for (int32_t base = 0; base < count; base += kBatch) {
    run_batch(pool, base, count - base < kBatch ? count - base : kBatch);
    if (count - base <= kBatch) break;
  }
  pool.busy.store(false, std::memory_order_release);
}

int32_t pool_num_threads(const Pool* pool) {
  return pool->num_threads;
}

int32_t pool_num_workers(const Pool* pool) {
  return pool->owner.is_current() ? pool->num_workers.load() : 0;
}

}  // namespace repose::rt
