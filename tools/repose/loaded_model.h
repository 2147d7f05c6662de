// A compiled model that the command line runs: loading, calling with host arrays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "command.h"
#include "driver/compile.h"
#include "ir/array.h"
#include "repose/repose.h"

namespace repose::cli {

class LoadedModel {
 public:
  static Result<std::unique_ptr<LoadedModel>> load(const std::string& path, int threads);
  // By way of a temporary file that is gone afterwards.
  static Result<std::unique_ptr<LoadedModel>> load(CompiledModel& compiled, int threads);
  // Compiles it first.
  static Result<std::unique_ptr<LoadedModel>> load(const ModelOptions& options, int threads);
  ~LoadedModel();

  repose_model* handle() const { return model_; }
  // The function's index; an empty name is the only function, or `main`.
  Result<int> function(const std::string& name) const;
  // Inputs with declared strides are laid out so. `strides` (in elements; one list per input,
  // empty: as the model says) has those that are expressions.
  Result<std::vector<Array>> call(int function, const std::vector<Array>& inputs,
                                  const std::vector<std::vector<int64_t>>& strides = {}) const;

 private:
  repose_model* model_ = nullptr;
};

// Whether there is memory for the array under the given strides (none: compact).
bool fits_memory(const ArrayNode& array, const std::vector<int64_t>& strides);

}  // namespace repose::cli
