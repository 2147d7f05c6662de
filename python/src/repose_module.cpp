// The extension module `repose._repose`.
#include <nanobind/nanobind.h>

#include "errors.h"
#include "model.h"
#include "module.h"
#include "packed.h"
#include "tensor.h"
#include "values.h"

NB_MODULE(_repose, m) {
  // Models and tensors may live in objects that outlive the interpreter's own.
  nanobind::set_leak_warnings(false);
  nanobind::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const repose::InternalError& e) {
      repose::python::raise_internal(e.what());
    }
  });
  m.attr("__version__") = REPOSE_VERSION;
  repose::python::bind_tensor(m);
  repose::python::bind_expressions(m);
  repose::python::bind_values(m);
  repose::python::bind_operators(m);
  repose::python::bind_module(m);
  repose::python::bind_builder(m);
  repose::python::bind_te(m);
  repose::python::bind_schedule(m);
  repose::python::bind_model(m);
  repose::python::bind_packed(m);
}
