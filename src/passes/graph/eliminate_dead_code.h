// Drops bindings whose values nobody uses, and definitions that nobody calls.
//
// before:  a = exp(x); b = relu(x); return b
// after:   b = relu(x); return b
// requires: normal form
// ensures: impure calls, checks and match_casts stay (later proofs rest on them), and calls and
// loops of functions that have some; public functions stay; so does what binds a symbol that is
// used
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Module eliminate_dead_code(const Module& module);
// The same of the bindings of one function of the module, or that may call what is in it.
graph::Function eliminate_dead_code(const graph::Function& f, const Module& module);

}  // namespace repose
