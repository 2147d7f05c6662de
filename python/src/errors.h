// Exceptions: those of repose.errors, raised from C++.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "base/diagnostic.h"
#include "repose/repose.h"

namespace repose::python {

namespace nb = nanobind;

// CompileError, with the diagnostics.
[[noreturn]] void raise(const Diagnostics& diagnostics);
// What a status of the runtime stands for; the text is that of the calling thread's failure.
[[noreturn]] void raise_status(int32_t status, const repose_model* model);
// CallError of kind `bad-argument`: what Python was given is not what is called for.
[[noreturn]] void raise_bad_argument(const std::string& text);

// Sets Error of kind `internal`: a bug of the compiler.
void raise_internal(const char* text);

template <class T>
T value_or_raise(Result<T> result) {
  if (!result.ok()) raise(result.errors());
  return std::move(*result);
}
inline void check(const Result<void>& result) {
  if (!result.ok()) raise(result.errors());
}

// Warnings of the compiler become those of Python.
void warn(const Diagnostics& warnings);

}  // namespace repose::python
