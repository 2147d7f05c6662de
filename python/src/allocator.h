// An allocator that is written in Python, as a model asks for memory.
#pragma once

#include <nanobind/nanobind.h>

#include "repose/repose.h"

namespace repose::python {

namespace nb = nanobind;

// Calls `allocate(bytes, alignment)` → address and `deallocate(address, bytes)` of an object, with
// the interpreter's lock, from whatever thread asks. An exception of theirs is reported as
// unraisable; `allocate` has then no memory to give. The object has to outlive the hooks.
repose_allocator allocator_hooks(const nb::object& allocator);

// Raises TypeError unless the object has both methods.
void check_allocator(const nb::object& allocator);

}  // namespace repose::python
