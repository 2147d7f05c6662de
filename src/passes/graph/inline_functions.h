// Puts the bodies of called graph functions in place of the calls.
//
// before:  def f(x): return relu(x)     y = f(a)
// after:   y = relu(a)
// requires: normal form
// ensures: calls that are left belong to recursive functions and closures; each call's own symbols
// stay its own
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> inline_functions(const Module& module, const OpTable& ops);

}  // namespace repose
