// The part of the verifier that looks at tensor programs.
#pragma once

#include "ir/module.h"

namespace repose {

// Adds every violation of the invariants T1 … T9 (see verify_tir.cpp) by the program `name`.
void verify_program(const std::string& name, const tir::PrimFunc& f, const Module& module,
                    Diagnostics& problems);

}  // namespace repose
