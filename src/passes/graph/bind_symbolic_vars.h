// Makes numbers of symbols whose declared range is one number.
//
// before:  def f(x: Tensor((n, k))): …      # tir_var_lower_bound n: 4, tir_var_upper_bound n: 4
// after:   def f(x: Tensor((4, k))): …
// requires: normal form
// ensures: the same results; calls of `f` with another size are refused as before. `--dim n=4`
//          declares such a range.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> bind_symbolic_vars(const Module& module, const OpTable& ops);

}  // namespace repose
