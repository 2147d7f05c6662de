// Exceptions of Python, made by name: their classes are Python's.
#include "errors.h"

#include <nanobind/stl/string.h>

#include <algorithm>

namespace repose::python {

namespace {

nb::object error_class(const char* name) {
  return nb::module_::import_("repose.errors").attr(name);
}

[[noreturn]] void raise_object(const nb::object& error) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

// As messages have it: "call-refused".
std::string kind_text(DiagnosticKind kind) {
  std::string text = kind_name(kind);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

nb::object as_object(const Diagnostic& d) {
  nb::list notes;
  for (const Note& note : d.notes) notes.append(note.text);
  const std::string file = d.span.source ? d.span.source->name : "";
  return error_class("Diagnostic")(kind_text(d.kind), d.text, file, d.span.line, d.span.column,
                                   nb::tuple(notes));
}

}  // namespace

void raise(const Diagnostics& diagnostics) {
  nb::list list;
  std::string kind, text;
  for (const Diagnostic& d : diagnostics) {
    if (d.severity != Diagnostic::Severity::error) continue;
    if (kind.empty()) kind = kind_text(d.kind);
    list.append(as_object(d));
    text += d.to_string();
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  raise_object(error_class("CompileError")(text, kind, nb::tuple(list)));
}

void raise_status(int32_t status, const repose_model* model) {
  const std::string text = repose_last_error(model);
  struct Kind {
    const char* type;
    const char* name;
  };
  const Kind kind = [&]() -> Kind {
    switch (status) {
      case REPOSE_REFUSED:
        return {"CallError", "refused"};
      case REPOSE_OUT_OF_MEMORY:
        return {"OutOfMemoryError", "out-of-memory"};
      case REPOSE_OVERFLOW:
        return {"CallError", "overflow"};
      case REPOSE_INVALID_ARGUMENT:
        return {"CallError", "bad-argument"};
      case REPOSE_BUSY:
        return {"BusyError", "busy"};
      case REPOSE_CANNOT_LOAD:
        return {"LoadError", "cannot-load"};
      case REPOSE_UNSUPPORTED_CPU:
        return {"LoadError", "unsupported-cpu"};
      case REPOSE_PACKED_FAILED:
        return {"CallError", "packed-failed"};
      default:
        return {"Error", "internal"};
    }
  }();
  raise_object(error_class(kind.type)(text, kind.name));
}

void raise_bad_argument(const std::string& text) {
  raise_object(error_class("CallError")(text, "bad-argument"));
}

void raise_internal(const char* text) {
  const nb::object error = error_class("Error")(text, "internal");
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

void warn(const Diagnostics& warnings) {
  for (const Diagnostic& d : warnings) {
    std::string text = d.to_string();
    if (!text.empty() && text.back() == '\n') text.pop_back();
    if (PyErr_WarnEx(error_class("CompileWarning").ptr(), text.c_str(), 2) != 0)
      throw nb::python_error();
  }
}

}  // namespace repose::python
