// Checks that a module is well formed. See verifier.cpp's head for the list of invariants.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Every violation, each with a span where there is one; empty: well formed.
Diagnostics verify(const Module& module, const OpTable& ops);

}  // namespace repose
