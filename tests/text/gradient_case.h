// What `# test: gradient` does with a case.
#pragma once

#include "ir/module.h"

namespace repose::testing_text {

// Holds `main_adjoint`, the gradient of `main`, which returns a float tensor of rank 0, in all its
// float tensors, against central differences along random directions, in each parameter on its own,
// at values of the symbols up to 7; and native code against the interpreter. "" where they agree.
// Meant for float64: the differences are those of the interpreter.
std::string compare_with_differences(const Module& module, bool with_native);

}  // namespace repose::testing_text
