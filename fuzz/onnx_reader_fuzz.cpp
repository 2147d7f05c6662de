// Fuzzes the ONNX reader: bytes as a model, then the contents of all its tensors.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "frontend/onnx/reader.h"
#include "touch_onnx_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto model = repose::onnx::read_model(std::as_bytes(std::span(data, size)));
  if (model) {
    volatile size_t sum = repose::onnx::touch_tensors(*model);
    (void)sum;
  } else if (repose::to_string(model.errors()).empty()) {
    std::abort();  // a failure without a message
  }
  return 0;
}
