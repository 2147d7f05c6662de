// What the parts of the interpreter share: how they fail, and what they may use.
#pragma once

#include <atomic>
#include <memory>

#include "interp/interpreter.h"

namespace repose::interp {

// Thrown inside this folder alone; the functions of interpreter.h return what it carries.
struct Failure {
  Diagnostics diagnostics;
};

template <class... Args>
[[noreturn]] void fail(DiagnosticKind kind, const Span& span, fmt::format_string<Args...> text,
                       Args&&... args) {
  throw Failure{{error(kind, span, text, std::forward<Args>(args)...)}};
}

// "{0} is not {1}" with the texts of the values in their places.
std::string fill_in(const std::string& message, const std::vector<std::string>& values);
std::string to_string(const Scalar& value);

class Limits {
 public:
  explicit Limits(const InterpretOptions& options)
      : live_(std::make_shared<std::atomic<int64_t>>(0)),
        max_bytes_(options.max_bytes),
        max_steps_(options.max_steps),
        steps_left_(options.max_steps) {}

  void step(const Span& span) {
    if (--steps_left_ < 0) fail_steps(span);
  }
  // The bytes of an array, after a check that they may be used.
  int64_t checked_bytes(const std::vector<int64_t>& shape, DType dtype, const std::string& name,
                        const Span& span) const;
  // A new array, filled with ones (NaN, -1, true); its bytes count until it is gone.
  Ref<ArrayNode> allocate(std::vector<int64_t> shape, DType dtype, const std::string& name,
                          const Span& span);

 private:
  [[noreturn]] void fail_steps(const Span& span) const;

  std::shared_ptr<std::atomic<int64_t>> live_;  // values outlive the interpreter
  int64_t max_bytes_, max_steps_, steps_left_;
};

}  // namespace repose::interp
