// The passes as the text tests know them: all of the pipeline, and those that finish programs.
#pragma once

#include "ir/module.h"
#include "text/outcome.h"

namespace repose::testing_text {

struct PassUnderTest {
  std::string name;
  std::function<Result<Module>(const Module&)> run;
  // Departures from what holds of every pass. Each has its reason.
  Closeness closeness = Closeness::exact;
  const char* second_run = nullptr;      // why running it again may change its result
  const char* drops_failures = nullptr;  // why a call that failed before may succeed after it
  const char* not_printed = nullptr;     // why its result isn't printed
  // It runs where someone asks for it, and not on every module.
  bool on_request = false;
  // Parameters and results become tensors (`as_native` in native.h).
  bool makes_tensors = false;
  // The same pass for other targets: their results have to compute the same too.
  std::vector<std::function<Result<Module>(const Module&)>> variants;
};

const std::vector<PassUnderTest>& passes_under_test();

}  // namespace repose::testing_text
