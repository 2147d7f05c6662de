// Copies parameters with declared strides, so that everything else is compact.
//
// before:  def main(x: R.Tensor((n, 64), "float32", strides=[128, 1])): y = R.flatten(x)
// after:   x_1 = R.call_tir(cls.compact, (x,), out_sinfo=R.Tensor((n, 64), "float32"))
//          y = R.flatten(x_1)
// requires: normal form, calls inlined
// ensures: parameters alone have strides, and only programs read them: those made here, and those
// that were called with them. (The interpreter, whose arrays are compact, runs these where the
// declared strides are compact.)
// error: unsupported_feature where another value, or a result, has declared strides
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> compact_parameters(const Module& module, const OpTable& ops);

}  // namespace repose
