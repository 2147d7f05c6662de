// Compiling, loading, and tensors for calls.
#include "artifact/compiled_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <random>

#include "codegen/llvm/target_llvm.h"
#include "driver/compile.h"
#include "ops/ops.h"
#include "script/parser.h"

namespace repose::test {

namespace {

constexpr size_t align_bytes = 64;

size_t count_elements(const std::vector<int64_t>& dims) {
  size_t count = 1;
  for (int64_t d : dims) count *= static_cast<size_t>(d);
  return count;
}

Result<void> write_library(const std::string& text, const std::string& path) {
  REPOSE_TRY(module, parse_module(make_text_source("model.relax", text), standard_ops()));
  CompileOptions options;
  REPOSE_TRY(target, host_target());
  options.pipeline.target = target;
  options.pipeline.verify = true;
  REPOSE_TRY(compiled, compile(module, standard_ops(), options));
  return write_artifact(compiled, Emit::shared, path);
}

}  // namespace

Compiled::Compiled(const std::string& text) {
  char path[] = "/tmp/repose-artifact-test-XXXXXX";
  close(mkstemp(path));
  const auto written = write_library(text, path);
  EXPECT_TRUE(written.ok()) << to_string(written.errors());
  repose_model* model = nullptr;
  EXPECT_EQ(repose_load(path, nullptr, &model), REPOSE_OK) << repose_last_error(nullptr);
  first_.reset(model);
  std::remove(path);
}

Opened Compiled::open(const repose_options& options) const {
  repose_model* model = nullptr;
  EXPECT_EQ(repose_open(first_->api, &options, &model), REPOSE_OK) << repose_last_error(nullptr);
  return Opened(model);
}

Opened Compiled::open_with_threads(int32_t num_threads) const {
  repose_options options = repose_default_options();
  options.num_threads = num_threads;
  return open(options);
}

Call::Call(repose_model* model, const Symbols& largest) : model_(model) {
  repose_function function;
  EXPECT_EQ(repose_get_function(model, 0, &function), REPOSE_OK);
  for (int32_t i = 0; i < function.num_symbols; ++i) {
    repose_symbol symbol;
    repose_get_symbol(model, 0, i, &symbol);
    names_.emplace_back(symbol.name);
  }
  values_.resize(names_.size());
  size_t output_rank = 0;
  for (int32_t i = 0; i < function.num_inputs; ++i) {
    repose_value value;
    repose_get_input(model, 0, i, &value);
    inputs_.push_back(make_tensor(value));
  }
  for (int32_t i = 0; i < function.num_outputs; ++i) {
    repose_value value;
    repose_get_output(model, 0, i, &value);
    outputs_.push_back(make_tensor(value));
    output_rank += static_cast<size_t>(value.rank);
  }
  output_dims_.resize(output_rank);
  results_.resize(outputs_.size());
  set_symbols(largest);
  for (std::vector<Tensor>* list : {&inputs_, &outputs_}) {
    for (Tensor& t : *list) {
      for (int64_t& d : t.dims) d = std::max<int64_t>(d, 0);
      t.room.resize(count_elements(t.dims) * t.value.dtype.bits / 8 + align_bytes);
      const auto address = reinterpret_cast<uintptr_t>(t.room.data());
      t.data = t.room.data() + (align_bytes - address % align_bytes) % align_bytes;
      t.dl.data = t.data;
      t.dl.shape = t.dims.data();
    }
  }
  std::mt19937 random(1);
  for (Tensor& t : inputs_) {
    for (size_t i = 0; i < count_elements(t.dims); ++i) {
      if (t.value.dtype.code == kDLFloat) {
        reinterpret_cast<float*>(t.data)[i] = static_cast<float>(random() % 2000) / 1000 - 1;
      } else {
        reinterpret_cast<int64_t*>(t.data)[i] = 1;
      }
    }
    input_pointers_.push_back(&t.dl);
  }
  for (Tensor& t : outputs_) output_pointers_.push_back(&t.dl);
}

Call::Tensor Call::make_tensor(const repose_value& value) {
  Tensor t{value, {}, nullptr, std::vector<int64_t>(static_cast<size_t>(value.rank)), {}};
  t.dl.device = {kDLCPU, 0};
  t.dl.ndim = value.rank;
  t.dl.dtype = value.dtype;
  return t;
}

void Call::set_symbols(const Symbols& values) {
  for (size_t i = 0; i < names_.size(); ++i) values_[i] = values.at(names_[i]);
  EXPECT_EQ(repose_memory_needed(model_, 0, values_.data(), static_cast<int32_t>(values_.size()),
                                 &needed_, output_dims_.data()),
            REPOSE_OK)
      << repose_last_error(model_);
  for (Tensor& t : inputs_) {
    for (size_t k = 0; k < t.dims.size(); ++k) {
      const repose_dim& dim = t.value.dims[k];
      t.dims[k] = dim.size;
      for (size_t i = 0; i < names_.size() && dim.size < 0; ++i) {
        if (names_[i] == dim.text) t.dims[k] = values_[i];
      }
    }
  }
  const int64_t* next = output_dims_.data();
  for (Tensor& t : outputs_) {
    for (int64_t& d : t.dims) d = *next++;
  }
}

int32_t Call::into_given_outputs() {
  return repose_call(model_, 0, input_pointers_.data(), static_cast<int32_t>(inputs_.size()),
                     output_pointers_.data(), static_cast<int32_t>(outputs_.size()), nullptr);
}

int32_t Call::into_new_results() {
  const int32_t status =
      repose_call(model_, 0, input_pointers_.data(), static_cast<int32_t>(inputs_.size()), nullptr,
                  static_cast<int32_t>(outputs_.size()), results_.data());
  for (DLManagedTensorVersioned* result : results_) {
    if (result != nullptr) result->deleter(result);
  }
  return status;
}

std::vector<std::byte> Call::output_bytes() const {
  std::vector<std::byte> bytes;
  for (const Tensor& t : outputs_) {
    bytes.insert(bytes.end(), t.data, t.data + count_elements(t.dims) * t.value.dtype.bits / 8);
  }
  return bytes;
}

}  // namespace repose::test
