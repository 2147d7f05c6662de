// Models as shared libraries: loading, unloading, several at once, from memory, and what the files
// that are loaded depend on.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "fixture.h"
#include "runtime_blob.h"

// Paths of the libraries that tests/runtime/CMakeLists.txt builds.
#ifndef REPOSE_FAKE_MODEL
#error "built without the libraries of the tests"
#endif

namespace repose::test {
namespace {

Model load(const char* path, const repose_options& options = repose_default_options()) {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load(path, &options, &model), REPOSE_OK) << repose_last_error(nullptr);
  return Model(model);
}

float scale_one(const Model& model, float value) {
  Tensor<float> x({1, 200}, std::vector<float>(200, value));
  Result result;
  EXPECT_EQ(call(model, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model);
  return result == nullptr ? -1.0f : values_of<float>(result)[199];
}

TEST(Load, FromAPath) {
  const Model model = load(REPOSE_FAKE_MODEL, with_threads(2));
  EXPECT_EQ(scale_one(model, 3.0f), 6.5f);
  EXPECT_EQ(usage_of(model).num_workers, 1);
  // A library's own table, although this program exports one of the same name.
  EXPECT_NE(dlsym(RTLD_DEFAULT, "repose_api_v1"), nullptr);
  EXPECT_NE(model->api, &repose_api_v1);
}

TEST(Load, TwiceAndTwoModels) {
  const Model a = load(REPOSE_FAKE_MODEL, with_threads(2));
  const Model b = load(REPOSE_FAKE_MODEL, with_threads(3));
  const Model other = load(REPOSE_OTHER_MODEL, with_threads(2));
  EXPECT_NE(a.get(), b.get());
  std::vector<std::thread> threads;
  for (const Model* model : {&a, &b, &other}) {
    threads.emplace_back([&, model] {
      const float expected = model == &other ? 6.0f + 100.0f : 6.5f;
      for (int i = 0; i < 100; ++i) ASSERT_EQ(scale_one(*model, 3.0f), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(usage_of(a).num_workers, 1);
  EXPECT_EQ(usage_of(b).num_workers, 2);
}

TEST(Load, SharedPoolAcrossLibraries) {
  const Model owner = load(REPOSE_FAKE_MODEL, with_threads(2));
  repose_options options = repose_default_options();
  ASSERT_EQ(repose_get_thread_pool(owner.get(), &options.thread_pool), REPOSE_OK);
  const Model user = load(REPOSE_OTHER_MODEL, options);
  EXPECT_EQ(scale_one(user, 1.0f), 102.0f);
  EXPECT_EQ(usage_of(owner).num_workers, 1);
}

TEST(Load, FromMemory) {
  std::ifstream file(REPOSE_FAKE_MODEL, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  repose_model *first = nullptr, *second = nullptr;
  ASSERT_EQ(repose_load_memory(bytes.data(), bytes.size(), nullptr, &first), REPOSE_OK)
      << repose_last_error(nullptr);
  ASSERT_EQ(repose_load_memory(bytes.data(), bytes.size(), nullptr, &second), REPOSE_OK)
      << repose_last_error(nullptr);
  bytes.clear();
  EXPECT_NE(first->library, second->library);
  EXPECT_EQ(scale_one(Model(first), 3.0f), 6.5f);
  EXPECT_EQ(scale_one(Model(second), 3.0f), 6.5f);
  EXPECT_EQ(repose_load_memory("nonsense", 8, nullptr, &first), REPOSE_CANNOT_LOAD);
  EXPECT_EQ(first, nullptr);
}

TEST(Load, Failures) {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load("/no/such/model.so", nullptr, &model), REPOSE_CANNOT_LOAD);
  EXPECT_EQ(model, nullptr);
  EXPECT_NE(strstr(repose_last_error(nullptr), "/no/such/model.so"), nullptr);
  // Not searched for in the system's folders.
  EXPECT_EQ(repose_load("libc.so.6", nullptr, &model), REPOSE_CANNOT_LOAD);
  EXPECT_NE(strstr(repose_last_error(nullptr), "./libc.so.6"), nullptr);
  EXPECT_EQ(repose_load("", nullptr, &model), REPOSE_CANNOT_LOAD);
  const std::string huge(10000, 'x');
  EXPECT_EQ(repose_load(huge.c_str(), nullptr, &model), REPOSE_CANNOT_LOAD);
}

TEST(Load, NotAModel) {
  Dl_info info;
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&getpid), &info), 0);
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load(info.dli_fname, nullptr, &model), REPOSE_CANNOT_LOAD);
}

// Mapping what a cut file lacks would end the process.
TEST(Load, CutOff) {
  std::ifstream file(REPOSE_FAKE_MODEL, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  const std::string path = testing::TempDir() + "repose_cut_off.so";
  for (const size_t length : {size_t{64}, size_t{100}, size_t{4096}, bytes.size() / 2,
                              bytes.size() * 9 / 10, bytes.size() - 1}) {
    SCOPED_TRACE(length);
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<int64_t>(length));
    repose_model* model = nullptr;
    EXPECT_EQ(repose_load(path.c_str(), nullptr, &model), REPOSE_CANNOT_LOAD);
    EXPECT_NE(strstr(repose_last_error(nullptr), "cut off"), nullptr) << repose_last_error(nullptr);
    EXPECT_EQ(repose_load_memory(bytes.data(), length, nullptr, &model), REPOSE_CANNOT_LOAD);
    EXPECT_EQ(model, nullptr);
  }
  // Without its table of sections, which nobody loads, a file is cut off where a segment ends.
  std::vector<char> bare = bytes;
  std::fill_n(bare.begin() + 40, 8, 0);  // e_shoff
  std::fill_n(bare.begin() + 60, 2, 0);  // e_shnum
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load_memory(bare.data(), bare.size() / 2, nullptr, &model), REPOSE_CANNOT_LOAD);
  EXPECT_NE(strstr(repose_last_error(nullptr), "cut off"), nullptr) << repose_last_error(nullptr);
  ASSERT_EQ(repose_load_memory(bare.data(), bare.size(), nullptr, &model), REPOSE_OK);
  repose_unload(model);
  unlink(path.c_str());
}

TEST(Load, MissingCpuFeatureIsNamed) {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load(REPOSE_STRANGE_MODEL, nullptr, &model), REPOSE_UNSUPPORTED_CPU);
  EXPECT_STREQ(repose_last_error(nullptr),
               "the model `strange` was compiled for x86-64, and this processor or system lacks "
               "`warp-drive`");
}

TEST(Load, AHundredTimesLeavesNothing) {
  load(REPOSE_FAKE_MODEL);  // the first may make the process's own threads
  const int threads = count_threads();
  for (int i = 0; i < 100; ++i) {
    const Model model = load(REPOSE_FAKE_MODEL, with_threads(3));
    ASSERT_EQ(scale_one(model, 3.0f), 6.5f);
  }
  for (int i = 0; i < 1000 && count_threads() != threads; ++i) usleep(1000);
  EXPECT_EQ(count_threads(), threads);
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), {});
  EXPECT_EQ(text.find("fake_model"), std::string::npos);
}

TEST(Load, ResultsOutliveTheLibrary) {
  Model model = load(REPOSE_FAKE_MODEL);
  Tensor<int64_t> x({}, {1});
  Result result;
  ASSERT_EQ(call(model, kScalar, {&x.dl}, &result), REPOSE_OK);
  model.reset();
  EXPECT_EQ(values_of<int64_t>(result), std::vector<int64_t>{2});
  result.reset();
}

TEST(Load, InAForkedChild) {
  REPOSE_SKIP_UNDER_TSAN();
  const Model model = load(REPOSE_FAKE_MODEL, with_threads(2));
  EXPECT_EQ(scale_one(model, 3.0f), 6.5f);
  const pid_t pid = fork();
  if (pid == 0) _exit(scale_one(model, 3.0f) == 6.5f ? 0 : 1);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

// The calling convention of TVM FFI in a process without libtvm_ffi: outputs that the caller gives
// work; anything else is a status without a text.
TEST(Load, TvmFfiWithoutItsLibrary) {
  struct Any {
    int32_t type_index;
    uint32_t padding;
    void* pointer;
  };
  using Call = int(void*, const void*, int32_t, void*);
  void* library = dlopen(REPOSE_FAKE_MODEL, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  auto* call_scalar = reinterpret_cast<Call*>(dlsym(library, "__tvm_ffi_scalar"));
  ASSERT_NE(call_scalar, nullptr);
  Tensor<int64_t> x({}, {41}), y({});
  const Any args[] = {{7, 0, &x.dl}, {7, 0, &y.dl}};
  Any result = {0, 0, nullptr};
  EXPECT_EQ(call_scalar(nullptr, args, 2, &result), 0);
  EXPECT_EQ(y.values[0], 42);
  EXPECT_EQ(call_scalar(nullptr, args, 1, &result), -1);
  EXPECT_EQ(call_scalar(nullptr, args, 0, &result), -1);
  dlclose(library);
}

TEST(Load, TvmFfiThreadsEndWithTheLibrary) {
  struct Any {
    int32_t type_index;
    uint32_t padding;
    void* pointer;
  };
  using Call = int(void*, const void*, int32_t, void*);
  setenv("REPOSE_NUM_THREADS", "3", 1);
  const int threads = count_threads();
  for (int i = 0; i < 10; ++i) {
    void* library = dlopen(REPOSE_STUB_LINKED_MODEL, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    auto* call_scale = reinterpret_cast<Call*>(dlsym(library, "__tvm_ffi_scale"));
    ASSERT_NE(call_scale, nullptr);
    Tensor<float> x({10, 100}), y({10, 100});
    const Any args[] = {{7, 0, &x.dl}, {7, 0, &y.dl}};
    Any result = {0, 0, nullptr};
    EXPECT_EQ(call_scale(nullptr, args, 2, &result), 0);
    EXPECT_EQ(y.values[999], 0.5f);
    EXPECT_EQ(count_threads(), threads + 2);
    dlclose(library);
    for (int wait = 0; wait < 1000 && count_threads() != threads; ++wait) usleep(1000);
    EXPECT_EQ(count_threads(), threads);
  }
  unsetenv("REPOSE_NUM_THREADS");
}

TEST(Load, TheCompilerHasTheRuntimeInside) {
  const RuntimeBlob* blob = find_runtime_blob(REPOSE_RUNTIME_TARGET);
  ASSERT_NE(blob, nullptr);
  const auto contents = [](const char* path) {
    std::ifstream file(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  EXPECT_EQ(std::string(blob->object.begin(), blob->object.end()), contents(REPOSE_RUNTIME_OBJECT));
  EXPECT_EQ(std::string(blob->libc_stub.begin(), blob->libc_stub.end()),
            contents(REPOSE_RUNTIME_STUB));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(blob->object.data()) % 64, 0u);
  EXPECT_EQ(find_runtime_blob("pdp11-linux"), nullptr);
}

// Imports nothing but versions of libc.so.6 that glibc 2.34 has: linked by the linker alone,
// against the stub, as artifacts are.
TEST(Load, DependsOnLibcAlone) {
  FILE* pipe = popen(REPOSE_READELF " -d -V -W " REPOSE_STUB_LINKED_MODEL, "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char line[512];
  int needed = 0;
  while (fgets(line, sizeof line, pipe) != nullptr) {
    text = line;
    if (text.find("NEEDED") != std::string::npos) {
      ++needed;
      EXPECT_NE(text.find("[libc.so.6]"), std::string::npos) << text;
    }
    const size_t version = text.find("Name: GLIBC_2.");
    if (version == std::string::npos) continue;
    EXPECT_LE(atoi(text.c_str() + version + 14), 34) << text;
  }
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_EQ(needed, 1);
  const Model model = load(REPOSE_STUB_LINKED_MODEL, with_threads(2));
  EXPECT_EQ(scale_one(model, 3.0f), 6.5f);
}

TEST(Load, AModelWithoutHooksHasNoProfile) {
  const Model model = load(REPOSE_OTHER_MODEL, with_threads(1));
  repose_profile profile = {};
  EXPECT_EQ(repose_set_profile(model.get(), &profile), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model), "the model was compiled without profiling");
  EXPECT_EQ(repose_set_profile(model.get(), nullptr), REPOSE_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace repose::test
