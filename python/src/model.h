// Loaded models in Python.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/module.h"
#include "repose/repose.h"

namespace repose::python {

namespace nb = nanobind;

// How a model runs: keywords of `load` and `compile`.
struct RunOptions {
  int threads = 0;
  int spin_microseconds = 0;
  int max_contexts = 0;
  std::string when_busy = "wait";
  int64_t memory_limit_bytes = 0;
  int64_t operations_limit = 0;
  nb::object allocator;  // None: the C library
};

// A loaded artifact and its file.
class LoadedModel {
 public:
  // Raises LoadError. `module`: what it was compiled from, where that is known.
  LoadedModel(const std::string& path, const RunOptions& options, std::optional<Module> module);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  repose_model* handle() const { return model_; }
  const std::optional<Module>& module() const { return module_; }
  // Whether results are memory that the model has to outlive.
  bool owns_results() const { return !allocator_.is_none(); }
  // A copy of the artifact; the file is replaced as a whole or not at all.
  void save(const std::string& path) const;

 private:
  repose_model* model_ = nullptr;
  int file_ = -1;  // open: the path may be another's by now
  std::optional<Module> module_;
  nb::object allocator_;
};

// One function of a model, as Python calls it.
class Function {
 public:
  Function(std::shared_ptr<const LoadedModel> model, int index);

  nb::object call(const nb::args& args, const nb::kwargs& kwargs) const;

  const LoadedModel& model() const { return *model_; }
  int index() const { return index_; }
  std::string name() const { return info_.name; }
  const std::vector<repose_value>& inputs() const { return inputs_; }
  const std::vector<repose_value>& outputs() const { return outputs_; }
  const std::vector<repose_symbol>& symbols() const { return symbols_; }
  std::string signature() const;  // "main(x: float32[n, 4]) -> (y: float32[n])"

 private:
  void place_arguments(const nb::args& args, const nb::kwargs& kwargs,
                       std::vector<nb::handle>& placed, nb::handle& out) const;

  std::shared_ptr<const LoadedModel> model_;
  int index_;
  repose_function info_{};
  std::vector<repose_value> inputs_, outputs_;
  std::vector<repose_symbol> symbols_;
};

void bind_model(nb::module_& m);

}  // namespace repose::python
