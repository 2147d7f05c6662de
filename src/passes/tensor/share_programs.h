// Makes one program of programs that differ in their sizes only.
//
// before:  def f(a: T.Buffer(((n + 1) // 2,)), n, …)     y = call_tir(f, (x, n), …)
//          def g(a: T.Buffer(((n + 3) // 4,)), n, …)     z = call_tir(g, (y, n), …)
// after:   def f(a: T.Buffer((size,)), size, …)          y = call_tir(f, (x, (n + 1) // 2), …)
//                                                        z = call_tir(f, (y, (n + 3) // 4), …)
// requires: expose_symbols ran; schedules are chosen (they read what sizes are made of)
// ensures: a program that is left alone stays as it was, with its sizes as it computed them
#pragma once

#include "ir/module.h"

namespace repose {

Module share_programs(const Module& module);

}  // namespace repose
