// Fuzzes the ONNX importer: bytes that are a model give a well-formed module, or errors.
#include <cstdint>
#include <span>
#include <string>

#include "frontend/onnx/import.h"
#include "frontend/onnx/reader.h"
#include "ops/ops.h"
#include "outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace repose;
  auto model = onnx::read_model(std::as_bytes(std::span(data, size)));
  if (!model) return 0;
  Diagnostics warnings;
  auto module = import_onnx(*model, standard_ops(), {}, &warnings);
  const std::string texts = to_string(warnings);
  expect_module_or_errors(module);
  return 0;
}
