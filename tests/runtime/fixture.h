// Tensors and models for the tests of the runtime.
#pragma once

#include <gtest/gtest.h>

#include <dirent.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fake_model.h"
#include "repose/repose.h"

extern "C" const repose_api repose_api_v1;  // of the fake model in this program

// For tests whose forked children start threads, which ThreadSanitizer does not follow.
#if defined(__SANITIZE_THREAD__)
#define REPOSE_SKIP_UNDER_TSAN() GTEST_SKIP() << "threads of a forked child"
#else
#define REPOSE_SKIP_UNDER_TSAN() static_cast<void>(0)
#endif

namespace repose::test {

template <typename T>
constexpr DLDataType kDtype = {};
template <>
inline constexpr DLDataType kDtype<float> = {kDLFloat, 32, 1};
template <>
inline constexpr DLDataType kDtype<double> = {kDLFloat, 64, 1};
template <>
inline constexpr DLDataType kDtype<int64_t> = {kDLInt, 64, 1};
template <>
inline constexpr DLDataType kDtype<uint8_t> = {kDLBool, 8, 1};

// A compact tensor that owns its elements. `dl` may be changed to something less orderly.
template <typename T>
struct Tensor {
  explicit Tensor(std::vector<int64_t> shape) : dims(std::move(shape)) {
    size_t elements = 1;
    for (int64_t dim : dims) elements *= static_cast<size_t>(dim);
    values.resize(elements);
    dl = {values.data(),
          {kDLCPU, 0},
          static_cast<int32_t>(dims.size()),
          kDtype<T>,
          dims.data(),
          nullptr,
          0};
  }
  Tensor(std::vector<int64_t> shape, std::vector<T> elements) : Tensor(std::move(shape)) {
    values = std::move(elements);
    dl.data = values.data();
  }
  Tensor(const Tensor&) = delete;

  void set_strides(std::vector<int64_t> elements) {
    strides = std::move(elements);
    dl.strides = strides.data();
  }

  std::vector<int64_t> dims, strides;
  std::vector<T> values;
  DLTensor dl;
};

struct DeleteResult {
  void operator()(DLManagedTensorVersioned* tensor) const { tensor->deleter(tensor); }
};
using Result = std::unique_ptr<DLManagedTensorVersioned, DeleteResult>;

template <typename T>
std::vector<T> values_of(const Result& result) {
  const DLTensor& t = result->dl_tensor;
  size_t elements = 1;
  for (int32_t k = 0; k < t.ndim; ++k) elements *= static_cast<size_t>(t.shape[k]);
  const T* data = static_cast<const T*>(t.data);
  return std::vector<T>(data, data + elements);
}

struct Unload {
  void operator()(repose_model* model) const { repose_unload(model); }
};
using Model = std::unique_ptr<repose_model, Unload>;

inline Model open_model(const repose_options& options = repose_default_options()) {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_open(&repose_api_v1, &options, &model), REPOSE_OK) << repose_last_error(nullptr);
  return Model(model);
}

inline repose_options with_threads(int32_t threads) {
  repose_options options = repose_default_options();
  options.num_threads = threads;
  return options;
}

// Calls with one result that the library allocates.
inline int32_t call(const Model& model, int32_t function, std::initializer_list<const DLTensor*> in,
                    Result* result) {
  DLManagedTensorVersioned* raw = nullptr;
  const int32_t status = repose_call(model.get(), function, in.begin(),
                                     static_cast<int32_t>(in.size()), nullptr, 1, &raw);
  result->reset(raw);
  return status;
}

// Calls with one output that the caller gives.
inline int32_t call_into(const Model& model, int32_t function,
                         std::initializer_list<const DLTensor*> in, DLTensor* out) {
  return repose_call(model.get(), function, in.begin(), static_cast<int32_t>(in.size()), &out, 1,
                     nullptr);
}

inline std::string error_of(const Model& model) {
  return repose_last_error(model.get());
}

inline repose_usage usage_of(const Model& model) {
  repose_usage usage;
  EXPECT_EQ(repose_get_usage(model.get(), &usage), REPOSE_OK);
  return usage;
}

// Threads of this process.
inline int count_threads() {
  int count = 0;
  DIR* folder = opendir("/proc/self/task");
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(folder);
  return count;
}

// Sets what function kProbe does, for one scope.
class Probe {
 public:
  explicit Probe(int32_t (*probe)(repose_rt_frame*)) { fake_probe = probe; }
  ~Probe() { fake_probe = nullptr; }
};

// Produces output 0 of kProbe, `n` zeros.
inline int32_t produce_zeros(repose_rt_frame* frame, int64_t n) {
  int32_t status = 0;
  void* data = repose_rt_output(frame, 0, &n, 1, &status);
  if (data != nullptr) memset(data, 0, static_cast<size_t>(n) * 8);
  return status;
}

}  // namespace repose::test
