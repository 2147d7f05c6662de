// Fuzzes the reader and importer of .pt2 archives: bytes give a well-formed module, or errors.
#include <cstdint>
#include <span>

#include "frontend/torch/import.h"
#include "frontend/torch/reader.h"
#include "ops/ops.h"
#include "outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace repose;
  auto program = torch::read_program(std::as_bytes(std::span(data, size)), "model.pt2");
  auto module = program ? import_torch(*program, standard_ops()) : Result<Module>(program.errors());
  expect_module_or_errors(module);
  return 0;
}
