// Replaces operators by tensor programs and simpler operators, as each operator's lowering says.
//
// before:  y = R.nn.relu(x)
// after:   y = R.call_tir(cls.relu, (x,), out_sinfo=R.Tensor((m, n), "float32"))
// requires: normal form. An operand of unknown shape is an error: programs are made for shapes.
// ensures: what is left are calls of tensor programs, views (`reshape`), and what host code does
//          itself (shapes, checks); shapes that are known are written down; the same results
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> legalize(const Module& module, const OpTable& ops);

}  // namespace repose
