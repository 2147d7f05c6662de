// Makes one matrix product of several with the same left operand.
//
// before:  q = matmul(x, wq); k = matmul(x, wk)        # wq: (d, a), wk: (d, b)
// after:   w = concat((wq, wk), axis=1); y = matmul(x, w)
//          q = strided_slice(y, 0, a, axis of rank - 1); k = strided_slice(y, a, a + b, …)
// requires: normal form
// ensures: the same results bit for bit. Right operands are matrices, and constants or parameters:
//          weights, whose concatenation can be done once (fold_constants, lift_transform_params).
//          Products of one body only. It pays where x is small and the products are many.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> combine_parallel_matmul(const Module& module, const OpTable& ops);

}  // namespace repose
