// Arrays of the IR from tensors of Python, and the other way round.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "ir/array.h"
#include "repose/repose.h"

namespace repose::python {

namespace nb = nanobind;

DType dtype_of(DLDataType type);  // none: no dtype of the IR
DLDataType dtype_of(DType type);

// A compact copy of a tensor. `what` stands for it in messages. Raises CallError.
Array array_of(const DLTensor& t, const std::string& what);
Array array_of(nb::handle object, const char* kind, const std::string& name);

// The same without a copy where the tensor is compact: it is held as long as the array is.
Array shared_array_of(nb::handle object, const char* kind, const std::string& name);

// The array as an object of the kind that `like` is; it is kept, and not copied.
nb::object tensor_of(Array array, nb::handle like);

}  // namespace repose::python
