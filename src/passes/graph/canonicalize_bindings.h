// Drops names for what has a name already, and casts that say nothing new.
//
// before:  t = (x, y); a = t[0]; b = a; c = match_cast(b, Tensor((n,)))      # x: Tensor((n,))
// after:   x takes the place of a, b and c
// requires: normal form
// ensures: the same results; a binding is dropped whose value is a variable, a constant, an item of
// a
//          tuple that is written down, or a cast to what its operand's type is for every value of
//          the symbols. A binding stays whose variable a dataflow block gives out and whose value
//          is not visible after it.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> canonicalize_bindings(const Module& module, const OpTable& ops);

}  // namespace repose
