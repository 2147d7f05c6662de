// A model compiled from its text, and calls of it with any values of its symbols.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "repose/repose.h"

namespace repose::test {

struct CloseModel {
  void operator()(repose_model* model) const { repose_unload(model); }
};
using Opened = std::unique_ptr<repose_model, CloseModel>;

class Compiled {
 public:
  // Fails the test where the text does not compile.
  explicit Compiled(const std::string& text);
  // The model again, with these options.
  Opened open(const repose_options& options = repose_default_options()) const;
  Opened open_with_threads(int32_t num_threads) const;

 private:
  Opened first_;
};

// Tensors for calls of a model's only function, with room for the largest of them: nothing is
// allocated after construction.
class Call {
 public:
  using Symbols = std::map<std::string, int64_t>;
  Call(repose_model* model, const Symbols& largest);

  // Floats are drawn from [-1, 1), integers are 1; both once, at construction.
  void set_symbols(const Symbols& values);
  // The elements of integer input `i`.
  int64_t* integers(size_t i) { return reinterpret_cast<int64_t*>(inputs_[i].data); }

  int32_t into_given_outputs();  // whose dimensions must not depend on data
  int32_t into_new_results();    // which are deleted at once
  int64_t memory_needed() const { return needed_; }
  // The bytes of all given outputs.
  std::vector<std::byte> output_bytes() const;

 private:
  struct Tensor {
    repose_value value;
    std::vector<std::byte> room;
    std::byte* data;  // in `room`, aligned to 64 bytes
    std::vector<int64_t> dims;
    DLTensor dl;
  };
  Tensor make_tensor(const repose_value& value);

  repose_model* model_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<const DLTensor*> input_pointers_;
  std::vector<DLTensor*> output_pointers_;
  std::vector<DLManagedTensorVersioned*> results_;
  std::vector<std::string> names_;  // of symbols
  std::vector<int64_t> values_, output_dims_;
  int64_t needed_ = 0;
};

}  // namespace repose::test
