// The extension module `repose._repose`.
#include <nanobind/nanobind.h>

#include "model.h"
#include "module.h"
#include "tensor.h"

NB_MODULE(_repose, m) {
  // Models and tensors may live in objects that outlive the interpreter's own.
  nanobind::set_leak_warnings(false);
  m.attr("__version__") = REPOSE_VERSION;
  repose::python::bind_tensor(m);
  repose::python::bind_module(m);
  repose::python::bind_model(m);
}
