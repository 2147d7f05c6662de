// Functions with loops that generated code calls where no instruction exists, as LLVM IR text.
#pragma once

#include <string>

namespace repose::codegen {

// The definition of `name`: "repose.fmod.float", "repose.fmod.double" (the C remainder of two
// floats), or "repose.ipow.i8" … "repose.ipow.i64" (wrapping; the exponent is not negative).
// Internal to its module, which has to declare llvm.umin.i64 and llvm.ctlz.i64.
std::string ir_function(const std::string& name);

}  // namespace repose::codegen
