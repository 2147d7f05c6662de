// What a reader of models owes whatever bytes it is given.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "ir/verifier.h"
#include "ops/ops.h"

namespace repose {

// A well-formed module, or errors that say what is wrong with the input; anything else aborts.
inline void expect_module_or_errors(const Result<Module>& module) {
  if (module) {
    const Diagnostics problems = verify(*module, standard_ops());
    if (problems.empty()) return;
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
}

}  // namespace repose
