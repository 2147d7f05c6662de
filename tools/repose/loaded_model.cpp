// A compiled model that the command line runs.
#include "loaded_model.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/dlpack_code.h"
#include "progress.h"

namespace repose::cli {

namespace {

DLDataType dl_type(DType t) {
  return {dlpack_code(t), t.bits, 1};
}

}  // namespace

DType dtype_of(DLDataType t) {
  return dtype_of_dlpack(t.code, t.bits).value_or(dtypes::none);
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const std::string& path,
                                                       const RunLimits& limits) {
  auto loaded = std::make_unique<LoadedModel>();
  repose_options options = repose_default_options();
  options.num_threads = limits.threads;
  options.operations_limit = limits.operations;
  options.allow_missing_functions = limits.allows_missing_functions ? 1 : 0;
  if (repose_load(path.c_str(), &options, &loaded->model_) != REPOSE_OK) {
    return error(DiagnosticKind::cannot_read, {}, "{}", repose_last_error(nullptr));
  }
  return loaded;
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(CompiledModel& compiled,
                                                       const RunLimits& limits) {
  std::error_code ec;
  std::string folder = std::filesystem::temp_directory_path(ec) / "repose-XXXXXX";
  if (ec || mkdtemp(folder.data()) == nullptr) {
    return error(DiagnosticKind::cannot_write, {}, "cannot make a temporary folder: {}",
                 ec ? ec.message() : std::strerror(errno));
  }
  const std::string path = folder + "/model.so";
  auto written = write_artifact(compiled, Emit::shared, path);
  Result<std::unique_ptr<LoadedModel>> model =
      Diagnostics(written.ok() ? Diagnostics{} : written.errors());
  if (written.ok()) model = load(path, limits);
  std::filesystem::remove_all(folder, ec);
  return model;
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const ModelOptions& options,
                                                       const RunLimits& limits) {
  const Progress progress("compiling " + options.path);
  REPOSE_TRY(compiled, compile_model(options));
  auto model = load(compiled, limits);
  if (options.time_passes) print_times(compiled.reports);
  return model;
}

LoadedModel::~LoadedModel() {
  repose_unload(model_);
}

Result<int> LoadedModel::function(const std::string& name) const {
  repose_info info{};
  info.struct_size = sizeof info;
  model_->api->get_info(model_, &info);
  if (name.empty() && info.num_functions == 1) return 0;
  const int found = model_->api->find_function(model_, name.empty() ? "main" : name.c_str());
  if (found >= 0) return found;
  return error(DiagnosticKind::bad_usage, {},
               "the model has no function `{}`; name one with --function",
               name.empty() ? "main" : name);
}

namespace {

// The strides that a model declares for an input, as far as they are constants.
std::vector<int64_t> declared_strides(const repose_value& value,
                                      const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t next = 1;
  for (size_t k = shape.size(); value.strides && k-- > 0;) {
    if (value.strides[k] == -2) return {};
    strides[k] = value.strides[k] >= 0 ? value.strides[k] : next;
    if (__builtin_mul_overflow(strides[k], shape[k], &next)) next = INT64_MAX;
  }
  return value.strides ? strides : std::vector<int64_t>{};
}

// The bytes from the first to behind the last element under the given strides, if that is a size.
std::optional<size_t> spread_bytes(const ArrayNode& array, const std::vector<int64_t>& strides) {
  constexpr int64_t most = int64_t{1} << 48;  // of addresses
  int64_t elements = 1;
  for (size_t k = 0; k < strides.size() && array.num_elements() > 0; ++k) {
    int64_t step = 0;
    const int64_t last = array.shape[k] - 1;
    if (__builtin_mul_overflow(last, strides[k], &step) ||
        __builtin_add_overflow(elements, step, &elements) || elements > most) {
      return std::nullopt;
    }
  }
  return static_cast<size_t>(array.dtype.size_bytes(elements));
}

}  // namespace

// Zeros for it, or null. Pages that no element lies in are never touched.
PreparedCall::Memory PreparedCall::spread_memory(const ArrayNode& array,
                                                 const std::vector<int64_t>& strides) {
  const std::optional<size_t> bytes = spread_bytes(array, strides);
  return Memory(bytes ? static_cast<std::byte*>(std::calloc(*bytes, 1)) : nullptr);
}

// The elements of an array at their places under the given strides.
Result<PreparedCall::Memory> PreparedCall::spread(const ArrayNode& array,
                                                  const std::vector<int64_t>& strides,
                                                  const char* name) {
  Memory memory = spread_memory(array, strides);
  if (!memory) {
    return error(DiagnosticKind::call_refused, {},
                 "input `{}`: no memory for its elements with the strides ({})", name,
                 fmt::join(strides, ", "));
  }
  const auto size = static_cast<int64_t>(array.dtype.size_bytes());
  ArrayNode packed;
  packed.dtype = array.dtype;
  packed.bytes = memory.get();
  packed.num_bytes = *spread_bytes(array, strides);
  for (int64_t i = 0, n = array.num_elements(); i < n; ++i) {
    int64_t at = 0, rest = i;
    for (size_t k = strides.size(); k-- > 0; rest /= array.shape[k]) {
      at += rest % array.shape[k] * strides[k];
    }
    if (array.dtype.is_packed()) {
      packed.store(at, array.load(i));
    } else {
      std::memcpy(memory.get() + at * size, array.bytes + i * size, static_cast<size_t>(size));
    }
  }
  return {std::move(memory)};
}

bool fits_memory(const ArrayNode& array, const std::vector<int64_t>& strides) {
  return strides.empty() || PreparedCall::spread_memory(array, strides) != nullptr;
}

Result<PreparedCall> PreparedCall::make(const LoadedModel& model, int function,
                                        std::vector<Array> inputs,
                                        std::vector<std::vector<int64_t>> strides) {
  PreparedCall call;
  call.model_ = model.handle();
  call.function_ = function;
  call.inputs_ = std::move(inputs);
  call.strides_ = std::move(strides);
  const size_t n = call.inputs_.size();
  call.strides_.resize(n);
  call.memory_.resize(n);
  call.tensors_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const ArrayNode& input = *call.inputs_[i];
    repose_value value{};
    const bool is_one =
        repose_get_input(call.model_, function, static_cast<int>(i), &value) == REPOSE_OK;
    if (call.strides_[i].empty() && is_one && value.rank == static_cast<int>(input.shape.size())) {
      call.strides_[i] = declared_strides(value, input.shape);
    }
    DLTensor& t = call.tensors_[i];
    t = {};
    t.data = const_cast<std::byte*>(input.bytes);
    t.device = {kDLCPU, 0};
    t.ndim = static_cast<int32_t>(input.shape.size());
    t.dtype = dl_type(input.dtype);
    t.shape = const_cast<int64_t*>(input.shape.data());
    if (!call.strides_[i].empty()) {
      REPOSE_TRY(laid_out, spread(input, call.strides_[i], is_one ? value.name : "?"));
      call.memory_[i] = std::move(laid_out);
      t.data = call.memory_[i].get();
      t.strides = call.strides_[i].data();
    }
    call.pointers_.push_back(&t);
  }
  repose_function info{};
  repose_get_function(call.model_, function, &info);
  call.results_.resize(static_cast<size_t>(info.num_outputs), nullptr);
  return call;
}

Result<void> PreparedCall::call() {
  const int32_t status =
      repose_call(model_, function_, pointers_.data(), static_cast<int32_t>(pointers_.size()),
                  nullptr, static_cast<int32_t>(results_.size()), results_.data());
  if (status == REPOSE_OK) return {};
  return error(DiagnosticKind::call_refused, {}, "{}", repose_last_error(model_));
}

Result<std::vector<Array>> PreparedCall::run() {
  if (auto done = call(); !done.ok()) return done.errors();
  std::vector<Array> arrays;
  for (DLManagedTensorVersioned* r : results_) {
    const DLTensor& t = r->dl_tensor;
    std::vector<int64_t> shape(t.shape, t.shape + t.ndim);
    std::shared_ptr<const void> owner(r, [r](const void*) { r->deleter(r); });
    arrays.push_back(wrap_array(std::move(shape), dtype_of(t.dtype),
                                static_cast<const std::byte*>(t.data) + t.byte_offset, owner));
  }
  return arrays;
}

Result<double> PreparedCall::time() {
  const auto begin = std::chrono::steady_clock::now();
  const auto done = call();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  if (!done.ok()) return done.errors();
  kept_.clear();
  for (DLManagedTensorVersioned* r : results_) kept_.emplace_back(r);
  return passed.count();
}

Result<std::vector<Array>> LoadedModel::call(
    int function, const std::vector<Array>& inputs,
    const std::vector<std::vector<int64_t>>& strides) const {
  REPOSE_TRY(prepared, PreparedCall::make(*this, function, inputs, strides));
  return prepared.run();
}

}  // namespace repose::cli
