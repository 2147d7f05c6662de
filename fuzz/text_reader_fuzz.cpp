// Fuzzes the text reader: any bytes give a module or errors, never a crash; a module that is read
// prints as text that reads back as the same text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ops/ops.h"
#include "script/parser.h"
#include "script/printer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace repose;
  std::string text(reinterpret_cast<const char*>(data), size);
  Result<Module> module = parse_module(make_text_source("fuzz", text), standard_ops());
  if (!module.ok()) return 0;
  std::string printed = print(*module);
  Result<Module> again = parse_module(make_text_source("printed", printed), standard_ops());
  if (!again.ok() || print(*again) != printed) std::abort();
  return 0;
}
