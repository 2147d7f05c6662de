// User-facing errors, and results that carry them.
//
// Wording: lower case, no full stop, code in backticks, what was seen and what was expected:
//   "`add`: operand 1 has dimension `n + 1`, operand 0 has `n`"
// User mistakes are Diagnostics; bugs of the compiler are InternalError (REPOSE_CHECK).
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/source.h"

namespace repose {

// How a failure maps to the exit code of the command line.
enum class Failure {
  mismatch = 1,
  usage = 2,
  unsupported = 3,
  malformed = 4,
  internal = 5,
  io = 6,
  refused = 7,  // the compiled model refused the call
};

// Each kind is listed once in diagnostic_kinds.def, and produced by at least one test.
enum class DiagnosticKind {
#define DIAGNOSTIC(name, failure) name,
#include "base/diagnostic_kinds.def"
#undef DIAGNOSTIC
};

const char* kind_name(DiagnosticKind kind);  // "shape-mismatch"
Failure kind_failure(DiagnosticKind kind);

struct Note {
  Span span;
  std::string text;
};

struct Diagnostic {
  enum class Severity { error, warning };
  DiagnosticKind kind;
  Span span;
  std::string text;
  std::vector<Note> notes;
  Severity severity = Severity::error;

  // "file:3:7: error: text [kind]", the line, a caret, and the notes; ends in a newline.
  std::string to_string() const;
};

using Diagnostics = std::vector<Diagnostic>;
Diagnostics list_of(Diagnostic diagnostic);

std::string to_string(const Diagnostics& diagnostics);

template <class... Args>
Diagnostic error(DiagnosticKind kind, Span span, fmt::format_string<Args...> text, Args&&... args) {
  return {kind, std::move(span), fmt::format(text, std::forward<Args>(args)...), {}};
}

template <class... Args>
Diagnostic warning(DiagnosticKind kind, Span span, fmt::format_string<Args...> text,
                   Args&&... args) {
  Diagnostic result = error(kind, std::move(span), text, std::forward<Args>(args)...);
  result.severity = Diagnostic::Severity::warning;
  return result;
}

// A value, or why there is none (at least one error). `Result<void>` holds no value.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}            // NOLINT: implicit on purpose
  Result(Diagnostic d) : state_(list_of(std::move(d))) {}  // NOLINT
  Result(Diagnostics d) : state_(std::move(d)) {}          // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Diagnostics& errors() const { return std::get<1>(state_); }

 private:
  std::variant<T, Diagnostics> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Diagnostic d) : errors_(list_of(std::move(d))) {}  // NOLINT
  Result(Diagnostics d) : errors_(std::move(d)) {}          // NOLINT

  bool ok() const { return errors_.empty(); }
  explicit operator bool() const { return ok(); }
  const Diagnostics& errors() const { return errors_; }

 private:
  Diagnostics errors_;
};

// REPOSE_TRY(name, expression): binds the value, or returns the errors from this function.
#define REPOSE_TRY(name, ...)                             \
  auto name##_result = (__VA_ARGS__);                     \
  if (!name##_result.ok()) return name##_result.errors(); \
  auto& name = *name##_result

// A bug of the compiler, never of its user. Caught in the driver and at the C++ API.
struct InternalError : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] void fail_check(const char* file, int line, const char* condition,
                             const std::string& why);

#define REPOSE_CHECK(condition, why) \
  ((condition) ? (void)0 : ::repose::fail_check(__FILE__, __LINE__, #condition, why))

}  // namespace repose

// Copied and dropped wherever there is a Result: compiled once.
extern template class std::vector<repose::Diagnostic>;
