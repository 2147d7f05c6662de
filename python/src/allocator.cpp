// An allocator that is written in Python.
#include "allocator.h"

#include <nanobind/stl/string.h>

#include <string>

namespace repose::python {

namespace {

void report(nb::python_error& error, const char* where) {
  error.restore();
  PyErr_WriteUnraisable(nb::str(where).ptr());
}

void* allocate(void* user, size_t bytes, size_t alignment) {
  const nb::gil_scoped_acquire acquire;
  try {
    const nb::object address =
        nb::handle(static_cast<PyObject*>(user)).attr("allocate")(bytes, alignment);
    return address.is_none() ? nullptr : reinterpret_cast<void*>(nb::cast<uintptr_t>(address));
  } catch (nb::python_error& e) {
    report(e, "allocate");
  } catch (const nb::cast_error&) {
    PyErr_SetString(PyExc_TypeError, "allocate: expected an address (int), or None");
    PyErr_WriteUnraisable(nb::str("allocate").ptr());
  }
  return nullptr;
}

void deallocate(void* user, void* memory, size_t bytes) {
  if (!Py_IsInitialized()) return;  // the process ends, and its memory with it
  const nb::gil_scoped_acquire acquire;
  try {
    nb::handle(static_cast<PyObject*>(user))
        .attr("deallocate")(reinterpret_cast<uintptr_t>(memory), bytes);
  } catch (nb::python_error& e) {
    report(e, "deallocate");
  }
}

}  // namespace

void check_allocator(const nb::object& allocator) {
  for (const char* method : {"allocate", "deallocate"}) {
    if (nb::hasattr(allocator, method)) continue;
    const std::string type = nb::cast<std::string>(nb::type_name(allocator.type()));
    throw nb::type_error(("allocator: `" + type + "` has no `" + method +
                          "`, expected an object with `allocate(bytes, alignment)` and "
                          "`deallocate(address, bytes)`")
                             .c_str());
  }
}

repose_allocator allocator_hooks(const nb::object& allocator) {
  return {allocator.ptr(), allocate, deallocate};
}

}  // namespace repose::python
