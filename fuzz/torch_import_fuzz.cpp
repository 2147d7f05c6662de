// Fuzzes the reader and importer of .pt2 archives: bytes give a well-formed module, or errors.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "frontend/torch/import.h"
#include "frontend/torch/reader.h"
#include "ir/verifier.h"
#include "ops/ops.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace repose;
  auto program = torch::read_program(std::as_bytes(std::span(data, size)), "model.pt2");
  auto module = program ? import_torch(*program, standard_ops()) : Result<Module>(program.errors());
  if (module) {
    Diagnostics problems = verify(*module, standard_ops());
    if (problems.empty()) return 0;
    std::fputs(to_string(problems).c_str(), stderr);
    std::abort();  // a module that is not well formed
  }
  if (to_string(module.errors()).empty()) std::abort();  // a failure without a message
  for (const Diagnostic& d : module.errors()) {
    if (kind_failure(d.kind) == Failure::internal) {
      std::fputs(d.to_string().c_str(), stderr);
      std::abort();
    }
  }
  return 0;
}
