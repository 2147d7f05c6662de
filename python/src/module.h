// Modules of the IR in Python.
#pragma once

#include <nanobind/nanobind.h>

namespace repose::python {

void bind_module(nanobind::module_& m);

}  // namespace repose::python
