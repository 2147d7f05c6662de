// A compiled model that the command line runs: loading, calling with host arrays.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "command.h"
#include "driver/compile.h"
#include "ir/array.h"
#include "repose/repose.h"

namespace repose::cli {

// What calls may take; 0: as the machine allows, without a limit.
struct RunLimits {
  int threads = 0;
  int64_t operations = 0;
  bool allows_missing_functions = false;  // of packed ones
};

DType dtype_of(DLDataType type);

class LoadedModel;

// A call that can be made again and again: the tensors of its inputs are made once.
class PreparedCall {
 public:
  // Of `model`, which has to outlive it. Inputs with declared strides are laid out so. `strides`
  // (in elements; one list per input, empty: as the model says) has those that are expressions.
  static Result<PreparedCall> make(const LoadedModel& model, int function,
                                   std::vector<Array> inputs,
                                   std::vector<std::vector<int64_t>> strides = {});
  Result<std::vector<Array>> run();
  // The seconds that a call takes. Its results are kept until the next one has returned, as by a
  // program that hands them on: then the C library has their memory at hand, instead of giving it
  // back to the system and asking for it again, page by page.
  Result<double> time();

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<std::byte[], Free>;
  struct Delete {
    void operator()(DLManagedTensorVersioned* tensor) const { tensor->deleter(tensor); }
  };

  PreparedCall() = default;
  Result<void> call();
  static Memory spread_memory(const ArrayNode& array, const std::vector<int64_t>& strides);
  static Result<Memory> spread(const ArrayNode& array, const std::vector<int64_t>& strides,
                               const char* name);
  friend bool fits_memory(const ArrayNode& array, const std::vector<int64_t>& strides);

  repose_model* model_ = nullptr;
  int function_ = 0;
  std::vector<Array> inputs_;
  std::vector<std::vector<int64_t>> strides_;
  std::vector<Memory> memory_;
  std::vector<DLTensor> tensors_;
  std::vector<const DLTensor*> pointers_;
  std::vector<DLManagedTensorVersioned*> results_;
  std::vector<std::unique_ptr<DLManagedTensorVersioned, Delete>> kept_;  // of the last timed call
};

class LoadedModel {
 public:
  static Result<std::unique_ptr<LoadedModel>> load(const std::string& path,
                                                   const RunLimits& limits);
  // By way of a temporary file that is gone afterwards.
  static Result<std::unique_ptr<LoadedModel>> load(CompiledModel& compiled,
                                                   const RunLimits& limits);
  // Compiles it first.
  static Result<std::unique_ptr<LoadedModel>> load(const ModelOptions& options,
                                                   const RunLimits& limits);
  ~LoadedModel();

  repose_model* handle() const { return model_; }
  // The function's index; an empty name is the only function, or `main`.
  Result<int> function(const std::string& name) const;
  // One call, as PreparedCall makes it.
  Result<std::vector<Array>> call(int function, const std::vector<Array>& inputs,
                                  const std::vector<std::vector<int64_t>>& strides = {}) const;

 private:
  repose_model* model_ = nullptr;
};

// Whether there is memory for the array under the given strides (none: compact).
bool fits_memory(const ArrayNode& array, const std::vector<int64_t>& strides);

}  // namespace repose::cli
