// Computes equal pure calls once.
//
// before:  a = exp(x); b = exp(x); c = add(a, b)
// after:   a = exp(x); c = add(a, a)
// requires: normal form
// ensures: the same results bit for bit; a value computed in a branch serves that branch only
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Module eliminate_common_subexpressions(const Module& module);

}  // namespace repose
