// What calls of compiled models take: what the memory query says, through the allocator hook,
// within the limit, and nothing at all once the arena is large enough.
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <random>

#include "artifact/allocation_counter.h"
#include "artifact/compiled_model.h"

namespace repose::test {
namespace {

// A layer of a transformer with its weights as inputs: its contractions pack their operands, its
// softmax keeps rows of any length, its sort orders one: all in memory of their own.
const char* const transformer = R"(
@R.function
def main(x: R.Tensor(("batch", "seq", 64), "float32"), mask: R.Tensor(("batch", 1, 1, "seq"), "float32"), wq: R.Tensor((64, 64), "float32"), wk: R.Tensor((64, 64), "float32"), wv: R.Tensor((64, 64), "float32"), w1: R.Tensor((64, 256), "float32"), w2: R.Tensor((256, 64), "float32"), g: R.Tensor((64,), "float32"), b: R.Tensor((64,), "float32")):
    batch, seq = T.int64(), T.int64()
    with R.dataflow():
        q = R.permute_dims(R.reshape(R.matmul(x, wq), R.shape([batch, seq, 4, 16])), axes=[0, 2, 1, 3])
        k = R.permute_dims(R.reshape(R.matmul(x, wk), R.shape([batch, seq, 4, 16])), axes=[0, 2, 3, 1])
        v = R.permute_dims(R.reshape(R.matmul(x, wv), R.shape([batch, seq, 4, 16])), axes=[0, 2, 1, 3])
        s = R.nn.softmax(R.add(R.matmul(q, k), mask), axis=-1)
        o = R.reshape(R.permute_dims(R.matmul(s, v), axes=[0, 2, 1, 3]), R.shape([batch, seq, 64]))
        n = R.nn.layer_norm(R.add(o, x), g, b, axes=[-1], epsilon=1e-5)
        y = R.add(R.matmul(R.nn.gelu(R.matmul(n, w1)), w2), n)
        t, z = R.topk(R.sum(y, axis=[2]), R.prim_value(seq))
        R.output(y, z)
    return (y, z)
)";

// The data decides k, which has no upper bound: its memory is a region of its own.
const char* const unbounded = R"(
@R.function
def main(x: R.Tensor(("n", 16), "float32"), count: R.Tensor((1,), "int64")):
    n, k = T.int64(), T.int64()
    a = R.nn.softmax(x)
    s = R.match_cast(R.tensor_to_shape(count), R.Shape([k]))
    y = R.nn.softmax(R.broadcast_to(R.sum(a, axis=[0]), R.shape([k, 16])), axis=0)
    z = R.sum(R.cumsum(y, axis=0), axis=[0])
    return z
)";

// The data decides how many rows there are, and there are n at most.
const char* const bounded = R"(
@R.function
def main(x: R.Tensor(("n", 16), "float32"), keep: R.Tensor(("n",), "int64")):
    i = R.squeeze(R.nonzero(keep), axis=[0])
    y = R.cumsum(R.nn.softmax(R.take(x, i, axis=0)), axis=0)
    z = R.sum(y, axis=[0])
    return (z, i)
)";

// An allocator that counts, checks what it is told, and may fail.
class Hook {
 public:
  int64_t calls = 0, live_bytes = 0, most_bytes = 0, num_live = 0;
  int64_t fail_at = -1;

  repose_options options(int32_t num_threads) {
    repose_options options = repose_default_options();
    options.num_threads = num_threads;
    options.allocator = {this, allocate, deallocate};
    return options;
  }

 private:
  static void* allocate(void* user, size_t bytes, size_t alignment) {
    auto& hook = *static_cast<Hook*>(user);
    const std::lock_guard lock(hook.mutex_);
    if (hook.calls++ == hook.fail_at) return nullptr;
    EXPECT_GT(bytes, 0U);
    EXPECT_EQ(alignment % 64, 0U);
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    hook.sizes_[memory] = static_cast<int64_t>(bytes);
    hook.live_bytes += static_cast<int64_t>(bytes);
    hook.most_bytes = std::max(hook.most_bytes, hook.live_bytes);
    ++hook.num_live;
    return memory;
  }
  static void deallocate(void* user, void* memory, size_t bytes) {
    auto& hook = *static_cast<Hook*>(user);
    const std::lock_guard lock(hook.mutex_);
    const auto it = hook.sizes_.find(memory);
    ASSERT_NE(it, hook.sizes_.end());
    EXPECT_EQ(it->second, static_cast<int64_t>(bytes));
    hook.live_bytes -= it->second;
    --hook.num_live;
    hook.sizes_.erase(it);
    std::free(memory);
  }

  std::mutex mutex_;
  std::map<void*, int64_t> sizes_;
};

const Compiled& transformer_model() {
  static const Compiled model(transformer);
  return model;
}

Call::Symbols shape(int64_t batch, int64_t seq) {
  return {{"batch", batch}, {"seq", seq}};
}

std::vector<Call::Symbols> random_shapes(int count) {
  std::mt19937 random(7);
  std::vector<Call::Symbols> shapes;
  for (int i = 0; i < count; ++i) {
    const auto batch = static_cast<int64_t>(1 + random() % 4);
    shapes.push_back(shape(batch, static_cast<int64_t>(1 + random() % 96)));
  }
  return shapes;
}

TEST(Memory, ACallTakesWhatTheQuerySays) {
  for (const int32_t threads : {1, 2, 3}) {
    for (const Call::Symbols& symbols : random_shapes(20)) {
      Hook hook;
      {
        const Opened model = transformer_model().open(hook.options(threads));
        Call call(model.get(), symbols);
        ASSERT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
        EXPECT_EQ(hook.most_bytes, call.memory_needed());
        EXPECT_EQ(hook.calls, 1);
      }
      EXPECT_EQ(hook.num_live, 0);
    }
  }
}

TEST(Memory, ThreadsNeedWorkspacesOfTheirOwn) {
  const Opened one = transformer_model().open_with_threads(1);
  const Opened two = transformer_model().open_with_threads(2);
  const Opened many = transformer_model().open_with_threads(64);
  const int64_t with_one = Call(one.get(), shape(1, 96)).memory_needed();
  const int64_t with_many = Call(many.get(), shape(1, 96)).memory_needed();
  EXPECT_LE(with_one, Call(two.get(), shape(1, 96)).memory_needed());
  EXPECT_GE(with_many, with_one + 32 * 96 * 4);
}

TEST(Memory, TheNumberOfThreadsDoesNotChangeBits) {
  std::vector<std::vector<std::byte>> results;
  for (const int32_t threads : {1, 2, 3, 7}) {
    const Opened model = transformer_model().open_with_threads(threads);
    Call call(model.get(), shape(3, 77));
    ASSERT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
    results.push_back(call.output_bytes());
    EXPECT_EQ(results.back(), results.front());
  }
}

TEST(Memory, EveryFailingAllocationIsAnErrorAndNothingLeaks) {
  int64_t failures = 0;
  for (const int32_t threads : {1, 2}) {
    for (int64_t fail_at = 0;; ++fail_at) {
      Hook hook;
      hook.fail_at = fail_at;
      bool failed = false;
      {
        const Opened model = transformer_model().open(hook.options(threads));
        Call call(model.get(), shape(2, 50));
        const int32_t status = call.into_new_results();
        failed = hook.calls > fail_at;
        hook.fail_at = -1;
        EXPECT_EQ(status, failed ? REPOSE_OUT_OF_MEMORY : REPOSE_OK);
        if (failed) {
          const std::string text = repose_last_error(model.get());
          EXPECT_NE(text.find("there is no memory for"), std::string::npos) << text;
        }
        ASSERT_EQ(call.into_new_results(), REPOSE_OK) << repose_last_error(model.get());
        EXPECT_EQ(hook.live_bytes, call.memory_needed());
      }
      EXPECT_EQ(hook.num_live, 0);
      if (!failed) break;
      ++failures;
    }
  }
  EXPECT_EQ(failures, 2 * 3);  // the arena and two results
}

TEST(Memory, WithoutTheCLibrarysMemory) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer has an allocator of its own";
  const Opened model = transformer_model().open_with_threads(1);
  Call call(model.get(), shape(2, 50));
  int32_t status = REPOSE_OK;
  {
    const NoMemory none;
    status = call.into_new_results();
  }
  EXPECT_EQ(status, REPOSE_OUT_OF_MEMORY);
  EXPECT_EQ(call.into_new_results(), REPOSE_OK) << repose_last_error(model.get());
}

TEST(Memory, TheLimitIsExact) {
  for (const int32_t threads : {1, 2}) {
    Hook hook;
    repose_options options = hook.options(threads);
    const Opened free = transformer_model().open_with_threads(threads);
    const int64_t needed = Call(free.get(), shape(2, 50)).memory_needed();
    options.memory_limit_bytes = needed;
    {
      const Opened model = transformer_model().open(options);
      Call call(model.get(), shape(2, 50));
      EXPECT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
    }
    options.memory_limit_bytes = needed - 1;
    const Opened model = transformer_model().open(options);
    Call call(model.get(), shape(2, 50));
    const int64_t before = hook.calls;
    EXPECT_EQ(call.into_given_outputs(), REPOSE_OUT_OF_MEMORY);
    EXPECT_EQ(hook.calls, before);  // it fails before it starts
    EXPECT_EQ(std::string(repose_last_error(model.get())),
              "there is no memory for the arena of " + std::to_string(needed) +
                  " bytes: 0 of the limit of " + std::to_string(needed - 1) + " bytes are in use");
    call.set_symbols(shape(1, 10));
    EXPECT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
  }
}

TEST(Memory, ASizeThatTheDataDecides) {
  const Compiled compiled(unbounded);
  Hook hook;
  repose_options options = hook.options(2);
  options.memory_limit_bytes = 100000;
  {
    const Opened model = compiled.open(options);
    Call call(model.get(), {{"n", 20}});
    EXPECT_EQ(call.memory_needed(), -1);
    EXPECT_NE(std::string(repose_last_error(model.get())).find("the data decides `k`"),
              std::string::npos)
        << repose_last_error(model.get());
    EXPECT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
    for (int i = 0; i < 3; ++i) {
      call.integers(1)[0] = 100000;
      EXPECT_EQ(call.into_given_outputs(), REPOSE_OUT_OF_MEMORY);
      EXPECT_NE(std::string(repose_last_error(model.get())).find("of the limit of 100000 bytes"),
                std::string::npos)
          << repose_last_error(model.get());
      call.integers(1)[0] = 100;
      EXPECT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
      EXPECT_LE(hook.most_bytes, 100000);
    }
  }
  EXPECT_EQ(hook.num_live, 0);
}

TEST(Memory, AnUpperBoundOfASizeThatTheDataDecides) {
  const Compiled compiled(bounded);
  Hook hook;
  const Opened model = compiled.open(hook.options(1));
  Call call(model.get(), {{"n", 50}});
  EXPECT_GE(call.memory_needed(), 50 * 16 * 4);
  std::vector<int64_t> dims(2);
  const int64_t n = 50;
  int64_t bytes = 0;
  ASSERT_EQ(repose_memory_needed(model.get(), 0, &n, 1, &bytes, dims.data()), REPOSE_OK);
  EXPECT_EQ(dims, (std::vector<int64_t>{16, 50}));  // 50 rows at most
  ASSERT_EQ(call.into_new_results(), REPOSE_OK) << repose_last_error(model.get());
  EXPECT_EQ(hook.live_bytes, call.memory_needed());
  for (int64_t i = 0; i < 50; i += 2) call.integers(1)[i] = 0;
  ASSERT_EQ(call.into_new_results(), REPOSE_OK) << repose_last_error(model.get());
  EXPECT_EQ(hook.live_bytes, call.memory_needed());
}

// A limit of a size may be below 0: then what says so fails, not the memory for it.
TEST(Memory, ALimitBelowZero) {
  const Compiled compiled(R"(
@R.function
def main(x: R.Tensor(("n", 8), "float32"), count: R.Tensor((1,), "int64")):
    n, k = T.int64(), T.int64()
    s = R.match_cast(R.tensor_to_shape(count), R.Shape([k]))
    c = R.check(R.prim_value(0 <= k and k <= n - 5), message="too many rows")
    y = R.broadcast_to(R.sum(x, axis=[0]), R.shape([k, 8]))
    z = R.sum(R.cumsum(R.cumsum(y, axis=0), axis=0), axis=[0])
    return z
)");
  const Opened model = compiled.open();
  Call call(model.get(), {{"n", 9}});
  EXPECT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
  for (const int64_t n : {0, 2}) {
    call.set_symbols({{"n", n}});
    EXPECT_EQ(call.into_given_outputs(), REPOSE_REFUSED);
    EXPECT_NE(std::string(repose_last_error(model.get())).find("too many rows"), std::string::npos);
  }
}

TEST(Memory, NoAllocationsOnceTheArenaIsLargeEnough) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer has an allocator of its own";
  const std::vector<Call::Symbols> shapes = random_shapes(200);
  for (const int32_t threads : {1, 2}) {
    const Opened model = transformer_model().open_with_threads(threads);
    Call call(model.get(), shape(4, 96));
    int64_t first = 0;
    {
      const AllocationCounter counter;
      ASSERT_EQ(call.into_given_outputs(), REPOSE_OK) << repose_last_error(model.get());
      first = counter.count();
    }
    EXPECT_GT(first, 0);  // the counter sees the model's allocations
    int64_t failed = 0;
    const AllocationCounter counter;
    for (const Call::Symbols& symbols : shapes) {
      call.set_symbols(symbols);
      failed += call.into_given_outputs() != REPOSE_OK;
    }
    EXPECT_EQ(counter.count(), 0);
    EXPECT_EQ(failed, 0) << repose_last_error(model.get());
  }
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(Memory, ResidentMemoryDoesNotGrowAfterTheLargestShape) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer keeps freed memory";
  const Opened model = transformer_model().open_with_threads(2);
  Call call(model.get(), shape(4, 96));
  for (int i = 0; i < 3; ++i) ASSERT_EQ(call.into_new_results(), REPOSE_OK);
  const std::vector<Call::Symbols> shapes = random_shapes(300);
  const int64_t before = resident_bytes();
  int64_t most = before;
  for (const Call::Symbols& symbols : shapes) {
    call.set_symbols(symbols);
    ASSERT_EQ(call.into_new_results(), REPOSE_OK) << repose_last_error(model.get());
    most = std::max(most, resident_bytes());
  }
  // Results come from the C library here, which may keep one of them.
  EXPECT_LE(most - before, 256 << 10);
}

}  // namespace
}  // namespace repose::test
