// Makes every symbol of every tensor program a scalar parameter, and every call pass it.
//
// before:  def f(a: T.Buffer((n, 224)), …)      y = call_tir(f, (x,), R.Tensor((m, 224)))
// after:   def f(a: T.Buffer((n, 224)), n: T.int64, …)   y = call_tir(f, (x, m), …)
// requires: normal form; argument shapes known
// ensures: a program's symbols reach it without its buffers' shapes, so that a schedule may change
// those
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Module expose_symbols(const Module& module);

}  // namespace repose
