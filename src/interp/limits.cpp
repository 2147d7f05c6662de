// Memory and steps that an interpretation may use, and texts of its failures.
#include "interp/limits.h"

#include <cstdlib>
#include <cstring>

namespace repose::interp {

std::string to_string(const Scalar& value) {
  if (value.dtype.is_float()) return fmt::format("{}", value.f);
  if (value.dtype.is_bool()) return value.i ? "True" : "False";
  if (value.dtype.is_uint()) return fmt::format("{}", static_cast<uint64_t>(value.i));
  return fmt::format("{}", value.i);
}

std::string fill_in(const std::string& message, const std::vector<std::string>& values) {
  std::string out;
  size_t next = 0;  // of the places without a number
  for (size_t i = 0; i < message.size(); ++i) {
    const size_t close = message[i] == '{' ? message.find('}', i) : std::string::npos;
    if (close == std::string::npos || close - i > 3 ||
        message.find_first_not_of("0123456789", i + 1) != close) {
      out += message[i];
      continue;
    }
    const size_t n = close == i + 1 ? next++ : std::stoul(message.substr(i + 1, close - i - 1));
    out += n < values.size() ? values[n] : message.substr(i, close - i + 1);
    i = close;
  }
  return out;
}

void Limits::fail_steps(const Span& span) const {
  fail(DiagnosticKind::too_large, span, "the interpreter stops after {} steps", max_steps_);
}

int64_t Limits::checked_bytes(const std::vector<int64_t>& shape, DType dtype,
                              const std::string& name, const Span& span) const {
  for (int64_t d : shape) {
    if (d < 0) {
      fail(DiagnosticKind::run_time_check, span, "`{}`: a dimension is {}, which is negative", name,
           d);
    }
  }
  const int64_t bytes = array_bytes(shape, dtype);
  if (bytes < 0) {
    fail(DiagnosticKind::too_large, span, "`{}`: the size of shape ({}) does not fit 64 bits", name,
         fmt::join(shape, ", "));
  }
  if (bytes > max_bytes_ - *live_) {
    fail(DiagnosticKind::too_large, span,
         "`{}` needs {} bytes, {} of the interpreter's {} are in use", name, bytes, live_->load(),
         max_bytes_);
  }
  return bytes;
}

Ref<ArrayNode> Limits::allocate(std::vector<int64_t> shape, DType dtype, const std::string& name,
                                const Span& span) {
  const int64_t bytes = checked_bytes(shape, dtype, name, span);
  auto* data = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 64) / 64 * 64));
  if (!data) fail(DiagnosticKind::too_large, span, "`{}`: no memory for {} bytes", name, bytes);
  std::memset(data, 0xff, bytes);
  *live_ += bytes;
  std::shared_ptr<const void> owner(data, [live = live_, bytes](const void* p) {
    *live -= bytes;
    std::free(const_cast<void*>(p));
  });
  auto array = Ref<ArrayNode>(new ArrayNode);
  array->dtype = dtype;
  array->shape = std::move(shape);
  array->owner = std::move(owner);
  array->bytes = data;
  array->num_bytes = static_cast<size_t>(bytes);
  return array;
}

}  // namespace repose::interp
