// Orders the products of three matrices by what they cost.
//
// before:  y = matmul(x, matmul(a, b))      # x: (n, 4096), a: (4096, 16), b: (16, 4096)
// after:   y = matmul(matmul(x, a), b)
// requires: normal form
// ensures: the same results up to rounding. An order changes only where the other costs no more
//          multiplications for every value of the symbols, and fewer for some: the prover decides.
//          The second and third factor are matrices; the inner product has no other users.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> adjust_matmul_order(const Module& module, const OpTable& ops);

}  // namespace repose
