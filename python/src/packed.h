// Packed functions in Python: `repose.register`.
#pragma once

#include <nanobind/nanobind.h>

namespace repose::python {

void bind_packed(nanobind::module_& m);

}  // namespace repose::python
