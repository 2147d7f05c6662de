// Replaces operators by tensor programs and simpler operators, as each operator's lowering says.
//
// before:  y = R.nn.relu(x)
// after:   y = R.call_tir(cls.relu, (x,), out_sinfo=R.Tensor((m, n), "float32"))
// requires: normal form, shapes known
// ensures: what is left are calls of tensor programs, views (`reshape`), and what host code does
// itself (shapes,
//          checks); the same results
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> legalize(const Module& module, const OpTable& ops);

}  // namespace repose
