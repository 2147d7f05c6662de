// Tensors at the border to Python: what callers give, by DLPack or the buffer protocol, and what
// models return.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "repose/repose.h"

namespace repose::python {

namespace nb = nanobind;

// A tensor of the caller, held while it is in use. Not copied.
class Borrowed {
 public:
  // `what` stands for it in messages: "input `x`". Raises CallError for what is no tensor of the
  // CPU, or where `is_written` and it is read-only.
  Borrowed(nb::handle object, const char* what, const char* name, bool is_written);
  ~Borrowed();
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  DLTensor* tensor() { return &tensor_; }

 private:
  bool take_buffer(nb::handle object);
  bool take_dlpack(nb::handle object);
  void read_buffer_format();
  [[noreturn]] void refuse(const std::string& why) const;

  const char* what_;
  const char* name_;
  bool is_written_;
  bool has_buffer_ = false;
  Py_buffer buffer_;
  nb::object capsule_;  // owns what tensor_ points to
  DLTensor tensor_{};
  std::vector<int64_t> strides_;
};

// A result: memory of the model's allocator, which Python owns. Speaks DLPack and the buffer
// protocol. `owner`: what has to outlive the memory, if anything.
class Tensor {
 public:
  explicit Tensor(DLManagedTensorVersioned* managed, std::shared_ptr<const void> owner = nullptr)
      : owner_(std::move(owner)), managed_(managed) {}
  ~Tensor() { managed_->deleter(managed_); }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  const DLTensor& get() const { return managed_->dl_tensor; }

 private:
  std::shared_ptr<const void> owner_;
  DLManagedTensorVersioned* managed_;
};

std::string dtype_name(DLDataType type);  // "float32"

// The result as an object of the kind that `like` is: numpy's, torch's, …
nb::object of_kind(nb::handle like, nb::object tensor);

void bind_tensor(nb::module_& m);

}  // namespace repose::python
