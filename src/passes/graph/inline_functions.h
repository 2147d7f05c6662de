// Puts the bodies of called graph functions in place of the calls.
//
// before:  def f(x): return relu(x)     y = f(a)
// after:   y = relu(a)
// requires: normal form
// ensures: calls that are left belong to recursive functions, closures and groups (is_group,
//          ir/function_facts.h); each call's own symbols stay its own
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> inline_functions(const Module& module, const OpTable& ops);

// The same for groups too: where their operators are programs already, and programs are fused.
Result<Module> inline_groups(const Module& module, const OpTable& ops);

}  // namespace repose
