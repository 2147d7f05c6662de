// Replaces operators that consist of others by these (docs/adr/0080-composite-operators.md).
//
// before:  t = nn.batch_norm(x, g, b, m, v); y = t[0]
// after:   y = nn.batch_norm_inference(x, g, b, m, v)
// requires: normal form
// ensures: the same results bit for bit. An operator that becomes tensor programs stays, and one
// whose
//          operands have unknown shapes.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> decompose_composites(const Module& module, const OpTable& ops);

}  // namespace repose
