// Waiting and locking on 32-bit words by futex: works without libstdc++ and, as plain memory, can
// be set anew in a forked child.
#pragma once

#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace repose::rt {

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);

// Sleeps while `word` is `seen`; may return early.
inline void futex_wait(std::atomic<uint32_t>& word, uint32_t seen) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

inline void futex_wake(std::atomic<uint32_t>& word, int32_t threads) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

inline void futex_wake_all(std::atomic<uint32_t>& word) {
  futex_wake(word, INT_MAX);
}

inline int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

// Tells the processor that this is a waiting loop.
inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// A mutual exclusion lock: 0 free, 1 held, 2 held and perhaps waited for.
class Lock {
 public:
  constexpr Lock() = default;

  void lock() {
    uint32_t seen = 0;
    if (word_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) return;
    while (word_.exchange(2, std::memory_order_acquire) != 0) futex_wait(word_, 2);
  }

  void unlock() {
    if (word_.exchange(0, std::memory_order_release) == 2) futex_wake(word_, 1);
  }

  bool is_held() const { return word_.load(std::memory_order_acquire) != 0; }

  // In a forked child: frees it whoever held it in the parent.
  void reset() { word_.store(0, std::memory_order_release); }

 private:
  std::atomic<uint32_t> word_{0};
};

class Hold {
 public:
  explicit Hold(Lock& lock) : lock_(lock) { lock_.lock(); }
  ~Hold() { lock_.unlock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Lock& lock_;
};

// Which process a structure's state belongs to. enter() runs `reset` once, in the first thread that
// comes after a fork; other threads of the child wait for it.
class Owner {
 public:
  explicit Owner(int32_t pid) : pid_(pid) {}

  bool is_current() const { return pid_.load(std::memory_order_acquire) == getpid(); }

  template <typename Reset>
  void enter(const Reset& reset) {
    const int32_t pid = getpid();
    int32_t seen = pid_.load(std::memory_order_acquire);
    if (seen == pid) return;
    if (seen != -pid && pid_.compare_exchange_strong(seen, -pid, std::memory_order_acq_rel)) {
      reset();
      pid_.store(pid, std::memory_order_release);
      return;
    }
    while (pid_.load(std::memory_order_acquire) != pid) cpu_relax();
  }

 private:
  std::atomic<int32_t> pid_;  // -pid: being set anew by a thread of that process
};

}  // namespace repose::rt
