// Computes products, convolutions and what follows them in 16 bits.
//
// before:  y = matmul(x, w); z = nn.relu(y); s = nn.softmax(z)
// after:   y = matmul(astype(x, "float16"), astype(w, "float16")); z = nn.relu(y)
//          s = nn.softmax(astype(z, "float32"))
// requires: normal form
// ensures: types of parameters, results and of what operators outside of the lists take and give
//          stay. Results are those of 16 bits: products still sum in float32, and round once
//
// An operator that is always narrow takes its float32 operands in 16 bits. One that follows does so
// where each of its float32 operands but constants is such a result. All others compute in float32.
// Casts that nobody uses, and equal ones, are left to eliminate_dead_code and
// eliminate_common_subexpressions, casts of constants to fold_constants.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

struct MixedPrecisionOptions {
  DType dtype = dtypes::float16;  // or bfloat16
  // Operators by name, in which these lists differ from the usual ones (to_mixed_precision.cpp).
  std::vector<std::string> always, follow, never;
};

Result<Module> to_mixed_precision(const Module& module, const OpTable& ops,
                                  const MixedPrecisionOptions& options = {});

}  // namespace repose
