// The thread pool: every task once, from many callers, nested, with any number of threads.
#include "pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "fixture.h"

namespace repose::rt {
namespace {

struct DeletePool {
  void operator()(Pool* pool) const { delete_pool(pool); }
};
using PoolPtr = std::unique_ptr<Pool, DeletePool>;

struct Counts {
  explicit Counts(int32_t n) : seen(static_cast<size_t>(n)) {}
  static void task(void* closure, int32_t i) {
    static_cast<Counts*>(closure)->seen[static_cast<size_t>(i)].fetch_add(1);
  }
  bool all_once() const {
    for (const auto& count : seen) {
      if (count.load() != 1) return false;
    }
    return true;
  }
  std::vector<std::atomic<int>> seen;
};

class PoolOf : public testing::TestWithParam<std::tuple<int32_t, int32_t>> {
 protected:
  PoolPtr pool_{make_pool(std::get<0>(GetParam()), std::get<1>(GetParam()))};
};

TEST_P(PoolOf, RunsEveryTaskOnce) {
  for (int32_t count : {0, 1, 2, 3, 7, 64, 1000}) {
    Counts counts(count);
    pool_parallel_for(pool_.get(), Counts::task, &counts, count);
    EXPECT_TRUE(counts.all_once()) << count;
  }
}

TEST_P(PoolOf, ManyLoopsInARow) {
  for (int i = 0; i < 2000; ++i) {
    Counts counts(5);
    pool_parallel_for(pool_.get(), Counts::task, &counts, 5);
    ASSERT_TRUE(counts.all_once()) << i;
  }
}

TEST_P(PoolOf, ManyCallers) {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        Counts counts(9);
        pool_parallel_for(pool_.get(), Counts::task, &counts, 9);
        if (!counts.all_once()) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST_P(PoolOf, NestedLoops) {
  struct Outer {
    Pool* pool;
    std::atomic<int> runs{0};
  } outer{pool_.get(), {}};
  const auto task = [](void* closure, int32_t) {
    auto& o = *static_cast<Outer*>(closure);
    Counts counts(3);
    pool_parallel_for(o.pool, Counts::task, &counts, 3);
    if (counts.all_once()) o.runs.fetch_add(1);
  };
  pool_parallel_for(pool_.get(), task, &outer, 10);
  EXPECT_EQ(outer.runs.load(), 10);
}

TEST_P(PoolOf, WorkersAppearWithTheFirstLoopAndEndWithThePool) {
  const int before = test::count_threads();
  const int32_t threads = std::get<0>(GetParam());
  EXPECT_EQ(pool_num_workers(pool_.get()), 0);
  Counts counts(10);
  pool_parallel_for(pool_.get(), Counts::task, &counts, 10);
  EXPECT_EQ(pool_num_workers(pool_.get()), threads - 1);
  EXPECT_EQ(test::count_threads(), before + threads - 1);
  pool_.reset();
  // The kernel takes a moment to drop a joined thread from the list.
  for (int i = 0; i < 1000 && test::count_threads() != before; ++i) usleep(1000);
  EXPECT_EQ(test::count_threads(), before);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PoolOf,
                         testing::Combine(testing::Values(1, 2, 3, 4, 8),
                                          testing::Values(-1, 0, 200)));

TEST(Pool, SleepingWorkersWake) {
  const PoolPtr pool(make_pool(3, -1));
  for (int i = 0; i < 20; ++i) {
    Counts counts(50);
    pool_parallel_for(pool.get(), Counts::task, &counts, 50);
    ASSERT_TRUE(counts.all_once());
    usleep(2000);
  }
}

TEST(Pool, MoreTasksThanABatch) {
  const PoolPtr pool(make_pool(2, 0));
  constexpr int32_t kTasks = (1 << 20) * 2 + 3;
  std::atomic<int64_t> sum{0};
  pool_parallel_for(
      pool.get(),
      [](void* closure, int32_t i) { static_cast<std::atomic<int64_t>*>(closure)->fetch_add(i); },
      &sum, kTasks);
  EXPECT_EQ(sum.load(), int64_t{kTasks} * (kTasks - 1) / 2);
}

// Tasks really run at the same time: each waits for the others.
TEST(Pool, RunsAtOnce) {
  const PoolPtr pool(make_pool(4, 0));
  std::atomic<int> arrived{0};
  pool_parallel_for(
      pool.get(),
      [](void* closure, int32_t) {
        auto& count = *static_cast<std::atomic<int>*>(closure);
        count.fetch_add(1);
        while (count.load() < 4) std::this_thread::yield();
      },
      &arrived, 4);
  EXPECT_EQ(arrived.load(), 4);
}

}  // namespace
}  // namespace repose::rt
