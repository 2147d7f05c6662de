// Models and calls: queries, options, contexts, memory, errors, parallel loops, threads, forks.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "fixture.h"

// For sanitizers: some tests ask for more memory than there is.
extern "C" const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

namespace repose::test {
namespace {

// ---- Queries

TEST(Queries, Info) {
  const Model model = open_model(with_threads(3));
  repose_info info;
  ASSERT_EQ(repose_get_info(model.get(), &info), REPOSE_OK);
  EXPECT_STREQ(info.name, "fake");
  EXPECT_STREQ(info.cpu, "x86-64");
  EXPECT_STREQ(info.metadata_json, R"({"name": "fake"})");
  EXPECT_EQ(static_cast<size_t>(info.metadata_bytes), strlen(info.metadata_json));
  EXPECT_EQ(info.weights_bytes, 64);
  EXPECT_EQ(info.num_functions, kFakeFunctions);
  EXPECT_EQ(info.num_threads, 3);
}

TEST(Queries, Functions) {
  const Model model = open_model();
  EXPECT_EQ(repose_find_function(model.get(), "pair"), kPair);
  EXPECT_EQ(repose_find_function(model.get(), "none"), -1);
  EXPECT_EQ(repose_find_function(model.get(), nullptr), -1);
  repose_function function;
  ASSERT_EQ(repose_get_function(model.get(), kPair, &function), REPOSE_OK);
  EXPECT_STREQ(function.name, "pair");
  EXPECT_EQ(function.num_inputs, 1);
  EXPECT_EQ(function.num_outputs, 2);
  EXPECT_EQ(function.num_symbols, 1);
  EXPECT_EQ(repose_get_function(model.get(), 99, &function), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "there is no function 99: the model has 7");
}

TEST(Queries, Values) {
  const Model model = open_model();
  repose_value value;
  ASSERT_EQ(repose_get_output(model.get(), kCache, 0, &value), REPOSE_OK);
  EXPECT_STREQ(value.name, "y");
  EXPECT_EQ(value.dtype.code, kDLFloat);
  EXPECT_EQ(value.dtype.bits, 32);
  EXPECT_EQ(value.rank, 3);
  EXPECT_EQ(value.dims[0].size, 2);
  EXPECT_EQ(value.dims[1].size, -1);
  EXPECT_STREQ(value.dims[1].text, "n");
  EXPECT_EQ(value.strides[0], 64);
  EXPECT_EQ(value.strides[1], -1);
  EXPECT_EQ(value.aliases_input, 0);
  ASSERT_EQ(repose_get_input(model.get(), kAdd, 1, &value), REPOSE_OK);
  EXPECT_STREQ(value.name, "b");
  EXPECT_EQ(value.strides, nullptr);
  EXPECT_EQ(value.aliases_input, -1);
  EXPECT_EQ(repose_get_input(model.get(), kAdd, 2, &value), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "there is no input 2: the function has 2");
  EXPECT_EQ(repose_get_output(model.get(), kAdd, -1, &value), REPOSE_INVALID_ARGUMENT);
}

TEST(Queries, Symbols) {
  const Model model = open_model();
  repose_symbol symbol;
  ASSERT_EQ(repose_get_symbol(model.get(), kCache, 0, &symbol), REPOSE_OK);
  EXPECT_STREQ(symbol.name, "n");
  EXPECT_EQ(symbol.lower, 0);
  EXPECT_EQ(symbol.upper, 16);
  EXPECT_EQ(symbol.divisor, 2);
  EXPECT_EQ(repose_get_symbol(model.get(), kScalar, 0, &symbol), REPOSE_INVALID_ARGUMENT);
}

TEST(Queries, OlderCallersGetWhatTheyKnow) {
  const Model model = open_model();
  struct {
    uint32_t struct_size;
    int32_t num_functions;
    uint64_t behind;
  } info = {8, 0, 77};
  ASSERT_EQ(model->api->get_info(model.get(), reinterpret_cast<repose_info*>(&info)), REPOSE_OK);
  EXPECT_EQ(info.struct_size, 8u);
  EXPECT_EQ(info.num_functions, kFakeFunctions);
  EXPECT_EQ(info.behind, 77u);
}

TEST(Queries, MemoryNeeded) {
  const Model model = open_model();
  const int64_t symbols[] = {3, 100};
  int64_t bytes = 0, dims[2] = {};
  ASSERT_EQ(repose_memory_needed(model.get(), kScale, symbols, 2, &bytes, dims), REPOSE_OK);
  EXPECT_EQ(bytes, 1200);
  EXPECT_EQ(dims[0], 3);
  EXPECT_EQ(dims[1], 100);
  EXPECT_EQ(repose_memory_needed(model.get(), kScale, symbols, 2, &bytes, nullptr), REPOSE_OK);
  EXPECT_EQ(repose_memory_needed(model.get(), kProbe, symbols, 1, &bytes, dims), REPOSE_OK);
  EXPECT_EQ(bytes, -1);
}

TEST(Queries, MemoryNeededRefuses) {
  const Model model = open_model();
  int64_t bytes = 0;
  const int64_t huge[] = {INT64_MAX, INT64_MAX};
  EXPECT_EQ(repose_memory_needed(model.get(), kScale, huge, 2, &bytes, nullptr), REPOSE_OVERFLOW);
  EXPECT_EQ(error_of(model), "9223372036854775807 * 9223372036854775807 * 4 bytes do not fit");
  const int64_t large[] = {5000}, odd[] = {3}, negative[] = {-1, 5};
  EXPECT_EQ(repose_memory_needed(model.get(), kAdd, large, 1, &bytes, nullptr), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model), "symbol `n` is 5000, expected at least 0 and at most 4096");
  EXPECT_EQ(repose_memory_needed(model.get(), kCache, odd, 1, &bytes, nullptr), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model), "symbol `n` is 3, expected a multiple of 2");
  EXPECT_EQ(repose_memory_needed(model.get(), kScale, negative, 2, &bytes, nullptr),
            REPOSE_REFUSED);
  EXPECT_EQ(error_of(model), "symbol `n` is -1, expected at least 0");
  EXPECT_EQ(repose_memory_needed(model.get(), kScale, large, 1, &bytes, nullptr),
            REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "1 symbols given, expected 2");
}

// ---- Options

void expect_bad_options(const repose_options& options, const char* text) {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_open(&repose_api_v1, &options, &model), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
  EXPECT_STREQ(repose_last_error(nullptr), text);
}

TEST(Options, BadOnesAreRefused) {
  repose_options options = repose_default_options();
  options.num_threads = -1;
  expect_bad_options(options, "option num_threads is -1, expected 0 to 4096");
  options = repose_default_options();
  options.when_busy = 3;
  expect_bad_options(options, "option when_busy is 3, expected 0, 1 or 2");
  options = repose_default_options();
  options.memory_limit_bytes = -1;
  expect_bad_options(options, "option memory_limit_bytes is -1, expected at least 0");
  options = repose_default_options();
  options.operations_limit = -1;
  expect_bad_options(options, "option operations_limit is -1, expected at least 0");
  options = repose_default_options();
  options.allocator.allocate = [](void*, size_t, size_t) -> void* { return nullptr; };
  expect_bad_options(options,
                     "option allocator has one of its two functions, expected both or none");
  options = {};
  expect_bad_options(options, "options have no struct_size: start from repose_default_options()");
}

TEST(Options, LargerStructsMustBeZeroBehind) {
  struct {
    repose_options options;
    uint64_t newer;
  } larger = {repose_default_options(), 0};
  larger.options.struct_size = sizeof larger;
  repose_model* model = nullptr;
  ASSERT_EQ(repose_open(&repose_api_v1, &larger.options, &model), REPOSE_OK);
  repose_unload(model);
  larger.newer = 1;
  expect_bad_options(larger.options,
                     "options ask for something that the model's runtime does not know");
}

TEST(Options, NullIsDefault) {
  repose_model* model = nullptr;
  ASSERT_EQ(repose_open(&repose_api_v1, nullptr, &model), REPOSE_OK);
  repose_unload(model);
}

// ---- Calls

TEST(Calls, WrongCountsAndNumbers) {
  const Model model = open_model();
  Tensor<float> x({1, 1});
  const DLTensor* inputs[] = {&x.dl};
  DLManagedTensorVersioned* result = nullptr;
  EXPECT_EQ(repose_call(model.get(), -1, inputs, 1, nullptr, 1, &result), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(repose_call(model.get(), kAdd, inputs, 1, nullptr, 1, &result),
            REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "1 inputs given, expected 2");
  EXPECT_EQ(repose_call(model.get(), kScale, inputs, 1, nullptr, 2, &result),
            REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "2 outputs given, expected 1");
}

TEST(Calls, NothingInAndOut) {
  const Model model = open_model();
  EXPECT_EQ(repose_call(model.get(), kEmpty, nullptr, 0, nullptr, 0, nullptr), REPOSE_OK);
}

TEST(Calls, ResultsOutliveTheModel) {
  Model model = open_model();
  Tensor<int64_t> x({}, {1});
  Result result;
  ASSERT_EQ(call(model, kScalar, {&x.dl}, &result), REPOSE_OK);
  model.reset();
  EXPECT_EQ(values_of<int64_t>(result), std::vector<int64_t>{2});
}

TEST(Calls, FailureLeavesNoResults) {
  const Model model = open_model();
  const Probe probe([](repose_rt_frame* frame) {
    const int32_t status = produce_zeros(frame, 1000);
    if (status != 0) return status;
    const int64_t values[] = {7};
    return repose_rt_fail(frame, REPOSE_RT_REFUSED, "`node`: index {0} is out of range", values, 1);
  });
  Tensor<int64_t> x({1000});
  Result result;
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_REFUSED);
  EXPECT_EQ(result, nullptr);  // and the sanitizer finds no leak
  EXPECT_EQ(error_of(model), "`node`: index 7 is out of range");
}

TEST(Calls, FailureWithoutAText) {
  const Model model = open_model();
  const Probe probe([](repose_rt_frame*) { return int32_t{1}; });
  Tensor<int64_t> x({1});
  Result result;
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model), "function `probe` failed with status 1");
}

TEST(Calls, OutputNotProducedOrTwice) {
  const Model model = open_model();
  Tensor<int64_t> x({1});
  Result result;
  {
    const Probe probe([](repose_rt_frame*) { return int32_t{0}; });
    EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_INTERNAL);
    EXPECT_EQ(error_of(model), "output `y` was not produced");
  }
  const Probe probe([](repose_rt_frame* frame) {
    const int32_t status = produce_zeros(frame, 1);
    return status != 0 ? status : produce_zeros(frame, 1);
  });
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_INTERNAL);
}

// ---- Profiles

// Two kernels, the second of which fails where the input has no elements.
int32_t two_kernels(repose_rt_frame* frame) {
  const int64_t n = frame->input_shape[0][0];
  repose_rt_kernel_begins(frame, 4, 10.0 * static_cast<double>(n), 8, 16);
  const int32_t status = produce_zeros(frame, n);
  repose_rt_kernel_ends(frame);
  if (status != 0) return status;
  repose_rt_kernel_begins(frame, 5, 0, 1, 2);
  if (n == 0) return repose_rt_fail(frame, REPOSE_RT_REFUSED, "nothing", nullptr, 0);
  repose_rt_kernel_ends(frame);
  return 0;
}

TEST(Profiles, RecordKernelsInTheOrderInWhichTheyBegin) {
  const Model model = open_model();
  const Probe probe(two_kernels);
  Tensor<int64_t> x({3});
  Result result;
  ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK);  // not recorded
  repose_kernel_run runs[3] = {};
  repose_profile profile = {};
  profile.runs = runs;
  profile.max_runs = 3;
  ASSERT_EQ(repose_set_profile(model.get(), &profile), REPOSE_OK);
  EXPECT_EQ(profile.num_runs, 0);
  ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK);
  EXPECT_EQ(profile.num_runs, 2);
  EXPECT_EQ(runs[0].function, kProbe);
  EXPECT_EQ(runs[0].kernel, 4);
  EXPECT_EQ(runs[0].flops, 30);
  EXPECT_EQ(runs[0].read_bytes, 8);
  EXPECT_EQ(runs[0].written_bytes, 16);
  EXPECT_EQ(runs[1].kernel, 5);
  EXPECT_LT(0, runs[0].begin_ns);
  EXPECT_LE(runs[0].begin_ns, runs[0].end_ns);
  EXPECT_LE(runs[0].end_ns, runs[1].begin_ns);
  EXPECT_LE(runs[1].begin_ns, runs[1].end_ns);
  // Those without room are counted, and written nowhere.
  ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK);
  EXPECT_EQ(profile.num_runs, 4);
  EXPECT_EQ(runs[2].kernel, 4);
  ASSERT_EQ(repose_set_profile(model.get(), nullptr), REPOSE_OK);
  ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK);
  EXPECT_EQ(profile.num_runs, 4);
}

TEST(Profiles, AKernelThatFailsHasNoEnd) {
  const Model model = open_model();
  const Probe probe(two_kernels);
  repose_kernel_run runs[2] = {};
  repose_profile profile = {};
  profile.runs = runs;
  profile.max_runs = 2;
  ASSERT_EQ(repose_set_profile(model.get(), &profile), REPOSE_OK);
  Tensor<int64_t> x({0});
  Result result;
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_REFUSED);
  EXPECT_EQ(profile.num_runs, 2);
  EXPECT_NE(runs[0].end_ns, 0);
  EXPECT_EQ(runs[1].end_ns, 0);
}

TEST(Profiles, CallsAtOnceShareTheRoom) {
  const Model model = open_model();
  const Probe probe(two_kernels);
  constexpr int threads = 4, calls = 200;
  std::vector<repose_kernel_run> runs(threads * calls * 2);
  repose_profile profile = {};
  profile.runs = runs.data();
  profile.max_runs = static_cast<int64_t>(runs.size());
  ASSERT_EQ(repose_set_profile(model.get(), &profile), REPOSE_OK);
  std::vector<std::thread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&] {
      Tensor<int64_t> x({1});
      for (int i = 0; i < calls; ++i) {
        Result result;
        ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(profile.num_runs, profile.max_runs);
  int64_t first = 0;
  for (const repose_kernel_run& run : runs) {
    EXPECT_LE(run.begin_ns, run.end_ns);
    first += run.kernel == 4 ? 1 : 0;
  }
  EXPECT_EQ(first, threads * calls);
}

TEST(Profiles, WithoutRoomAreRefused) {
  const Model model = open_model();
  repose_profile profile = {};
  profile.max_runs = 1;
  EXPECT_EQ(repose_set_profile(model.get(), &profile), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model),
            "the profile has no struct_size, or no room for as many runs as it says");
  profile.max_runs = -1;
  EXPECT_EQ(repose_set_profile(model.get(), &profile), REPOSE_INVALID_ARGUMENT);
}

// ---- Arena and workspaces

int64_t first_region_bytes = 0;

TEST(Memory, RegionsAreAlignedAndStayForLaterCalls) {
  const Model model = open_model();
  const Probe probe([](repose_rt_frame* frame) {
    auto* first = static_cast<uint8_t*>(repose_rt_region(frame, 0, first_region_bytes));
    memset(first, 1, static_cast<size_t>(first_region_bytes));
    auto* other = static_cast<uint8_t*>(repose_rt_region(frame, 3, 5000));
    memset(other, 2, 5000);
    if (first[first_region_bytes - 1] != 1 || repose_rt_region(frame, 1, 0) == nullptr) return 98;
    for (uint8_t* p : {first, other}) {
      if (reinterpret_cast<uintptr_t>(p) % 64 != 0) return 99;
    }
    return produce_zeros(frame, 1);
  });
  Tensor<int64_t> x({1});
  Result result;
  const auto held_after = [&](int64_t bytes) {
    first_region_bytes = bytes;
    EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
    return usage_of(model).context_bytes;
  };
  // Rounded up to 64 bytes, and nothing more.
  EXPECT_EQ(held_after(100), 128 + 5056);
  EXPECT_EQ(held_after(100000), 100032 + 5056);
  EXPECT_EQ(held_after(100), 100032 + 5056);
}

TEST(Memory, RegionsThatDoNotExist) {
  const Model model = open_model();
  Tensor<int64_t> x({1});
  Result result;
  const auto expect_refused = [&](int32_t (*run)(repose_rt_frame*), const std::string& text) {
    const Probe probe(run);
    EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OUT_OF_MEMORY);
    EXPECT_EQ(error_of(model), text);
  };
  const auto status_of = [](const void* region) -> int32_t {
    return region == nullptr ? REPOSE_RT_OUT_OF_MEMORY : 0;
  };
  static const auto status = status_of;
  expect_refused([](repose_rt_frame* f) { return status(repose_rt_region(f, 0, -1)); },
                 "there is no region 0 of -1 bytes");
  expect_refused([](repose_rt_frame* f) { return status(repose_rt_region(f, 4, 64)); },
                 "there is no region 4 of 64 bytes");
}

// As a loop does: each time for more, and for less again.
TEST(Memory, RegionsAreAskedForAgain) {
  const Model model = open_model();
  Tensor<int64_t> x({1});
  Result result;
  const Probe probe([](repose_rt_frame* frame) -> int32_t {
    for (const int64_t bytes : {64, 5000, 5001, 70000, 64}) {
      auto* data = static_cast<uint8_t*>(repose_rt_region(frame, 2, bytes));
      if (data == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
      memset(data, 1, static_cast<size_t>(bytes));
    }
    return produce_zeros(frame, 1);
  });
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
}

// Asks for region 0, then region 1.
int64_t two_regions[2];
int32_t take_two(repose_rt_frame* frame) {
  for (int32_t i = 0; i < 2; ++i) {
    if (repose_rt_region(frame, i, two_regions[i]) == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  }
  return produce_zeros(frame, 1);
}

TEST(Memory, WhatACallKeepsFromEarlierOnesYieldsToTheLimit) {
  repose_options options = repose_default_options();
  options.memory_limit_bytes = 10000;
  const Model model = open_model(options);
  const Probe probe(take_two);
  Tensor<int64_t> x({1});
  Result result;
  const auto status_with = [&](int64_t first, int64_t second) {
    two_regions[0] = first;
    two_regions[1] = second;
    return call(model, kProbe, {&x.dl}, &result);
  };
  EXPECT_EQ(status_with(1024, 8896), REPOSE_OK) << error_of(model);
  EXPECT_EQ(status_with(8896, 1024), REPOSE_OK) << error_of(model);  // not 8896 twice
  // A size that data decides: refused at that point, and nothing is lost.
  EXPECT_EQ(status_with(8896, 1152), REPOSE_OUT_OF_MEMORY);
  EXPECT_EQ(error_of(model),
            "there is no memory for the arena of 1152 bytes: 8896 of the limit of 10000 bytes are "
            "in use");
  EXPECT_EQ(status_with(8896, 1088), REPOSE_OK) << error_of(model);
}

TEST(Memory, Trim) {
  const Model model = open_model();
  Tensor<float> x({100, 100});
  Result result;
  ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK);
  const int64_t held = usage_of(model).context_bytes;
  EXPECT_GE(held, 40000);
  int64_t freed = 0;
  EXPECT_EQ(repose_trim(model.get(), &freed), REPOSE_OK);
  EXPECT_EQ(freed, held);
  EXPECT_EQ(usage_of(model).context_bytes, 0);
  EXPECT_EQ(repose_trim(model.get(), nullptr), REPOSE_OK);
  ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK);
}

TEST(Memory, Limit) {
  repose_options options = repose_default_options();
  options.memory_limit_bytes = 50000;
  const Model model = open_model(options);
  Tensor<float> fits({100, 100}), large({200, 100});
  Result result;
  EXPECT_EQ(call(model, kScale, {&fits.dl}, &result), REPOSE_OK) << error_of(model);
  EXPECT_EQ(call(model, kScale, {&large.dl}, &result), REPOSE_OUT_OF_MEMORY);
  EXPECT_EQ(error_of(model),
            "there is no memory for the arena of 80000 bytes: 0 of the limit of 50000 bytes are in "
            "use");
  EXPECT_EQ(call(model, kScale, {&fits.dl}, &result), REPOSE_OK) << error_of(model);
}

TEST(Memory, LimitIsExact) {
  Tensor<float> x({100, 100});
  for (const int64_t limit : {40000, 39999}) {
    repose_options options = repose_default_options();
    options.memory_limit_bytes = limit;
    const Model model = open_model(options);
    Result result;
    EXPECT_EQ(call(model, kScale, {&x.dl}, &result),
              limit == 40000 ? REPOSE_OK : REPOSE_OUT_OF_MEMORY);
  }
}

std::atomic<int> inside{0};
std::atomic<bool> may_leave{false};

// Takes an arena of 40000 bytes and stays until it may leave.
int32_t stay(repose_rt_frame* frame) {
  if (repose_rt_region(frame, 0, 40000) == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  inside.fetch_add(1);
  while (!may_leave.load()) usleep(100);
  inside.fetch_sub(1);
  return produce_zeros(frame, 1);
}

// A call of kProbe that is inside stay() while this object lives.
class Staying {
 public:
  explicit Staying(const Model& model) {
    may_leave.store(false);
    const int before = inside.load();
    thread_ = std::thread([&model] {
      Tensor<int64_t> x({1});
      Result result;
      EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
    });
    while (inside.load() == before) usleep(100);
  }
  ~Staying() {
    may_leave.store(true);
    thread_.join();
  }

 private:
  std::thread thread_;
};

TEST(Memory, LimitCountsAllContextsAndFreesIdleOnes) {
  repose_options options = repose_default_options();
  options.memory_limit_bytes = 90000;
  const Model model = open_model(options);
  const Probe probe(stay);
  Tensor<float> x({100, 100}), large({200, 100});
  Result result;
  {
    const Staying other(model);
    EXPECT_EQ(usage_of(model).num_busy, 1);
    EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
    EXPECT_EQ(call(model, kScale, {&large.dl}, &result), REPOSE_OUT_OF_MEMORY);
  }
  EXPECT_EQ(usage_of(model).num_contexts, 2);
  EXPECT_EQ(call(model, kScale, {&large.dl}, &result), REPOSE_OK) << error_of(model);
}

// ---- Contexts

TEST(Contexts, FailWhenBusy) {
  repose_options options = repose_default_options();
  options.max_contexts = 1;
  options.when_busy = REPOSE_BUSY_FAIL;
  const Model model = open_model(options);
  const Probe probe(stay);
  Tensor<float> x({2, 2});
  Result result;
  {
    const Staying other(model);
    EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_BUSY);
    EXPECT_EQ(error_of(model), "every context of the model is in use");
  }
  EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK);
}

TEST(Contexts, GrowWhenBusy) {
  repose_options options = repose_default_options();
  options.max_contexts = 1;
  options.when_busy = REPOSE_BUSY_GROW;
  const Model model = open_model(options);
  const Probe probe(stay);
  Tensor<float> x({2, 2});
  Result result;
  const Staying other(model);
  EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
  EXPECT_EQ(usage_of(model).num_contexts, 1);  // the extra one is gone
}

TEST(Contexts, WaitWhenBusy) {
  repose_options options = repose_default_options();
  options.max_contexts = 1;
  const Model model = open_model(options);
  const Probe probe(stay);
  std::vector<std::thread> waiting;
  std::atomic<int> done{0};
  {
    const Staying other(model);
    for (int i = 0; i < 3; ++i) {
      waiting.emplace_back([&] {
        Tensor<float> x({2, 2});
        Result result;
        EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
        done.fetch_add(1);
      });
    }
    usleep(20000);
    EXPECT_EQ(done.load(), 0);
  }
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(done.load(), 3);
  EXPECT_EQ(usage_of(model).num_contexts, 1);
}

TEST(Contexts, EightThreadsAtOnce) {
  for (int32_t max_contexts : {1, 3, 8}) {
    repose_options options = with_threads(3);
    options.max_contexts = max_contexts;
    const Model model = open_model(options);
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) {
          Tensor<float> x({1 + i % 7, 300}, std::vector<float>((1 + i % 7) * 300, t));
          Result result;
          if (call(model, kScale, {&x.dl}, &result) != REPOSE_OK) {
            wrong.fetch_add(1);
            continue;
          }
          for (float value : values_of<float>(result)) wrong.fetch_add(value != 2.0f * t + 0.5f);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_LE(usage_of(model).num_contexts, max_contexts);
    EXPECT_EQ(usage_of(model).num_busy, 0);
  }
}

// ---- Errors

TEST(Errors, OnePerThread) {
  const Model model = open_model();
  Tensor<float> x({3});
  Result result;
  ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_REFUSED);
  std::thread([&] {
    EXPECT_EQ(error_of(model), "");
    Tensor<double> y({2, 2});
    Result other;
    EXPECT_EQ(call(model, kScale, {&y.dl}, &other), REPOSE_REFUSED);
    EXPECT_EQ(error_of(model), "input `x`: dtype is float64, expected float32");
  }).join();
  EXPECT_EQ(error_of(model), "input `x`: rank is 1, expected 2");
}

TEST(Errors, OnePerModel) {
  const Model model = open_model(), other = open_model();
  Tensor<float> x({3});
  Result result;
  ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_REFUSED);
  EXPECT_EQ(error_of(other), "");
}

TEST(Errors, LongTextsAreCut) {
  const Model model = open_model();
  static const std::string text(5000, 'x');
  const Probe probe(
      [](repose_rt_frame* frame) { return repose_rt_fail(frame, 1, text.c_str(), nullptr, 0); });
  Tensor<int64_t> x({1});
  Result result;
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model), text.substr(0, 1023));
}

// ---- Allocator

struct Hook {
  std::atomic<int64_t> bytes{0}, calls{0};
  int64_t fail_at = -1;

  static void* allocate(void* user, size_t bytes, size_t alignment) {
    auto& hook = *static_cast<Hook*>(user);
    if (hook.calls.fetch_add(1) == hook.fail_at) return nullptr;
    hook.bytes.fetch_add(static_cast<int64_t>(bytes));
    return aligned_alloc(alignment, bytes);
  }
  static void deallocate(void* user, void* memory, size_t bytes) {
    static_cast<Hook*>(user)->bytes.fetch_sub(static_cast<int64_t>(bytes));
    free(memory);
  }
  repose_options options() {
    repose_options options = repose_default_options();
    options.allocator = {this, allocate, deallocate};
    return options;
  }
};

TEST(Allocator, ServesArenasAndResults) {
  Hook hook;
  {
    const Model model = open_model(hook.options());
    Tensor<float> x({10, 10});
    Result result;
    ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK);
    EXPECT_EQ(hook.calls.load(), 2);
    EXPECT_GE(hook.bytes.load(), 800);
    ASSERT_EQ(call_into(model, kScale, {&x.dl}, &result->dl_tensor), REPOSE_OK);
    EXPECT_EQ(hook.calls.load(), 2);  // nothing more is needed
  }
  EXPECT_EQ(hook.bytes.load(), 0);
}

TEST(Allocator, FailingIsAnError) {
  for (int64_t fail_at : {0, 1}) {
    Hook hook;
    hook.fail_at = fail_at;
    {
      const Model model = open_model(hook.options());
      Tensor<float> x({10, 10});
      Result result;
      EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OUT_OF_MEMORY);
      EXPECT_EQ(error_of(model), fail_at == 0 ? "there is no memory for the arena of 400 bytes"
                                              : "output `y`: there is no memory for its 400 bytes");
      EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
    }
    EXPECT_EQ(hook.bytes.load(), 0);
  }
}

// ---- Parallel loops

TEST(Parallel, FailureOfTheSmallestBegin) {
  const Probe probe([](repose_rt_frame* frame) {
    const auto body = [](repose_rt_frame* inner, void*, int64_t begin, int64_t end) -> int32_t {
      for (int64_t i = begin; i < end; ++i) {
        if (i % 100 == 57) return repose_rt_fail(inner, 1, "iteration {0}", &i, 1);
      }
      return 0;
    };
    return repose_rt_parallel(frame, body, nullptr, 1000, 1, nullptr, 0);
  });
  for (int32_t threads : {1, 2, 3, 8}) {
    const Model model = open_model(with_threads(threads));
    for (int i = 0; i < 50; ++i) {
      Tensor<int64_t> x({1});
      Result result;
      EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_REFUSED);
      ASSERT_EQ(error_of(model), "iteration 57") << threads;
    }
  }
}

TEST(Parallel, PiecesCoverTheExtentAndRespectTheGrain) {
  const Probe probe([](repose_rt_frame* frame) {
    struct Seen {
      std::atomic<int64_t> iterations{0}, small{0};
    } seen;
    const auto body = [](repose_rt_frame*, void* closure, int64_t begin, int64_t end) -> int32_t {
      auto& s = *static_cast<Seen*>(closure);
      s.iterations.fetch_add(end - begin);
      if (end - begin < 10 && end != 95) s.small.fetch_add(1);
      return 0;
    };
    for (int64_t extent : {0, -5}) repose_rt_parallel(frame, body, &seen, extent, 1, nullptr, 0);
    repose_rt_parallel(frame, body, &seen, 95, 10, nullptr, 0);
    repose_rt_parallel(frame, body, &seen, 3, 0, nullptr, 0);
    return seen.iterations.load() == 98 && seen.small.load() <= 3 ? produce_zeros(frame, 1) : 99;
  });
  const Model model = open_model(with_threads(4));
  Tensor<int64_t> x({1});
  Result result;
  EXPECT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
}

// A pool that runs the last task first, in the caller's thread.
repose_options with_last_task_first(int32_t threads) {
  repose_options options = repose_default_options();
  options.thread_pool.num_threads = threads;
  options.thread_pool.parallel_for = [](void*, void (*task)(void*, int32_t), void* closure,
                                        int32_t count) {
    for (int32_t i = count; i-- > 0;) task(closure, i);
  };
  return options;
}

TEST(Parallel, TasksTakeNeighboursAndThenTheLastOfOthers) {
  static std::vector<int64_t> begins;
  const Probe probe([](repose_rt_frame* frame) {
    begins.clear();
    const auto body = [](repose_rt_frame*, void*, int64_t begin, int64_t) -> int32_t {
      begins.push_back(begin);
      return 0;
    };
    repose_rt_parallel(frame, body, nullptr, 6, 1, nullptr, 0);
    return produce_zeros(frame, 1);
  });
  Tensor<int64_t> x({1});
  Result result;
  const Model two = open_model(with_last_task_first(2));
  ASSERT_EQ(call(two, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(two);
  EXPECT_EQ(begins, (std::vector<int64_t>{3, 4, 5, 2, 1, 0}));
  const Model three = open_model(with_last_task_first(3));
  ASSERT_EQ(call(three, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(three);
  EXPECT_EQ(begins, (std::vector<int64_t>{4, 5, 1, 0, 3, 2}));
}

TEST(Parallel, MoreTasksThanRanges) {
  static std::vector<int64_t> runs;
  const Probe probe([](repose_rt_frame* frame) {
    runs.assign(1000, 0);
    const auto body = [](repose_rt_frame*, void*, int64_t begin, int64_t end) -> int32_t {
      for (int64_t i = begin; i < end; ++i) ++runs[static_cast<size_t>(i)];
      return 0;
    };
    repose_rt_parallel(frame, body, nullptr, 1000, 1, nullptr, 0);
    return produce_zeros(frame, 1);
  });
  const Model model = open_model(with_last_task_first(100));
  Tensor<int64_t> x({1});
  Result result;
  ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
  EXPECT_EQ(runs, std::vector<int64_t>(1000, 1));
}

// Fills 50 numbers and finds them again.
bool holds(int64_t* room, int64_t value) {
  for (int64_t i = 0; i < 50; ++i) room[i] = value;
  bool same = true;
  for (int64_t i = 0; i < 50; ++i) same = same && room[i] == value;
  return same;
}

int32_t inner_body(repose_rt_frame* frame, void* closure, int64_t begin, int64_t end) {
  if (!holds(static_cast<int64_t*>(frame->workspace) + 50, begin)) return 77;
  static_cast<std::atomic<int64_t>*>(closure)->fetch_add(end - begin);
  return 0;
}

// Its workspace is no other's meanwhile, though the loop runs a loop inside, in the same thread.
int32_t outer_body(repose_rt_frame* frame, void*, int64_t begin, int64_t end) {
  auto* room = static_cast<int64_t*>(frame->workspace);
  if (reinterpret_cast<uintptr_t>(room) % 64 != 0) return 78;
  std::atomic<int64_t> total{0};
  sched_yield();
  for (int64_t i = begin; i < end; ++i) {
    if (!holds(room, i)) return 79;
    const int32_t status = repose_rt_parallel(frame, inner_body, &total, 20, 1, room, 0);
    if (status != 0) return status;
    for (int64_t k = 0; k < 50; ++k) {
      if (room[k] != i) return 80;
    }
  }
  return total.load() == 20 * (end - begin) ? 0 : 81;
}

constexpr int64_t kOwnBytes = 64, kThreadBytes = 832;

int32_t nested(repose_rt_frame* frame) {
  const int64_t bytes = kOwnBytes + frame->num_threads * kThreadBytes;
  auto* base = static_cast<uint8_t*>(repose_rt_region(frame, 0, bytes));
  if (base == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  frame->workspace = base;
  base[0] = 5;
  const int32_t status =
      repose_rt_parallel(frame, outer_body, nullptr, 64, 1, base + kOwnBytes, kThreadBytes);
  if (status != 0) return status;
  return base[0] == 5 && frame->workspace == base ? produce_zeros(frame, 1) : 82;
}

TEST(Parallel, WorkspacesAndNestedLoops) {
  const Probe probe(nested);
  for (int32_t threads : {1, 2, 4}) {
    const Model model = open_model(with_threads(threads));
    std::vector<std::thread> callers;
    for (int t = 0; t < 4; ++t) {
      callers.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          Tensor<int64_t> x({1});
          Result result;
          ASSERT_EQ(call(model, kProbe, {&x.dl}, &result), REPOSE_OK) << error_of(model);
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    const repose_usage usage = usage_of(model);
    EXPECT_EQ(usage.context_bytes, usage.num_contexts * (kOwnBytes + threads * kThreadBytes));
  }
}

// ---- Pools

TEST(Pools, TheHostsOwn) {
  struct Host {
    std::atomic<int> loops{0};
    std::atomic<int> most{0};  // tasks of one loop
  } host;
  repose_options options = repose_default_options();
  options.thread_pool.user = &host;
  options.thread_pool.num_threads = 2;
  options.thread_pool.parallel_for = [](void* user, void (*task)(void*, int32_t), void* closure,
                                        int32_t count) {
    auto& self = *static_cast<Host*>(user);
    self.loops.fetch_add(1);
    self.most.store(std::max(self.most.load(), static_cast<int>(count)));
    std::vector<std::thread> threads;  // one each
    for (int32_t i = 0; i < count; ++i) threads.emplace_back(task, closure, i);
    for (std::thread& thread : threads) thread.join();
  };
  const Model model = open_model(options);
  Tensor<float> x({10, 100}, std::vector<float>(1000, 1.0f));
  Result result;
  ASSERT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
  EXPECT_EQ(values_of<float>(result), std::vector<float>(1000, 2.5f));
  EXPECT_EQ(host.loops.load(), 2);
  const Probe probe(nested);
  Tensor<int64_t> y({1});
  EXPECT_EQ(call(model, kProbe, {&y.dl}, &result), REPOSE_OK) << error_of(model);
  EXPECT_EQ(host.most.load(), 2);  // never more than the host runs at once
  options.thread_pool.num_threads = 0;
  expect_bad_options(options, "option thread_pool has 0 threads, expected at least 1");
}

TEST(Pools, SharedBetweenModels) {
  const Model owner = open_model(with_threads(3));
  repose_options options = repose_default_options();
  ASSERT_EQ(repose_get_thread_pool(owner.get(), &options.thread_pool), REPOSE_OK);
  EXPECT_EQ(options.thread_pool.num_threads, 3);
  const Model user = open_model(options);
  std::vector<std::thread> callers;
  for (const Model* model : {&owner, &user, &owner, &user}) {
    callers.emplace_back([model] {
      for (int i = 0; i < 50; ++i) {
        Tensor<float> x({10, 100}, std::vector<float>(1000, 1.0f));
        Result result;
        ASSERT_EQ(call(*model, kScale, {&x.dl}, &result), REPOSE_OK);
        ASSERT_EQ(values_of<float>(result), std::vector<float>(1000, 2.5f));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(usage_of(user).num_workers, 0);
  EXPECT_EQ(usage_of(owner).num_workers, 2);
}

// ---- Fork

// Runs `child` in a forked child; its exit status.
template <typename Child>
int in_child(const Child& child) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int scale_works(const Model& model) {
  Tensor<float> x({10, 100}, std::vector<float>(1000, 1.0f));
  Result result;
  if (call(model, kScale, {&x.dl}, &result) != REPOSE_OK) return 1;
  return values_of<float>(result) == std::vector<float>(1000, 2.5f) ? 0 : 2;
}

TEST(Fork, ChildHasThreadsOfItsOwn) {
  REPOSE_SKIP_UNDER_TSAN();
  Model model = open_model(with_threads(3));
  ASSERT_EQ(scale_works(model), 0);
  ASSERT_EQ(usage_of(model).num_workers, 2);
  EXPECT_EQ(in_child([&] {
              if (usage_of(model).num_workers != 0) return 3;
              if (const int failed = scale_works(model)) return failed;
              if (usage_of(model).num_workers != 2) return 4;
              model.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(in_child([&] {  // unloading without a call
              model.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(scale_works(model), 0);
  EXPECT_EQ(usage_of(model).num_workers, 2);
}

TEST(Fork, WhileAnotherThreadIsInACall) {
  REPOSE_SKIP_UNDER_TSAN();
  repose_options options = with_threads(2);
  options.max_contexts = 1;  // the child would wait forever for the other's context
  const Model model = open_model(options);
  const Probe probe(stay);
  const Staying other(model);
  EXPECT_EQ(in_child([&] {
              const repose_usage usage = usage_of(model);
              if (usage.num_busy != 0 || usage.context_bytes != 0) return 5;
              return scale_works(model);
            }),
            0);
}

TEST(Fork, WhileManyThreadsCall) {
  REPOSE_SKIP_UNDER_TSAN();
  const Model model = open_model(with_threads(2));
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      while (!stop.load()) ASSERT_EQ(scale_works(model), 0);
    });
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(in_child([&] { return scale_works(model); }), 0);
  }
  stop.store(true);
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace repose::test
