// Makes one program, to be scheduled once, of programs that are the same in terms of quotients of
// their sizes.
//
// before:  def f(a: T.Buffer(((n + 1) // 2 * 2 + 1,)), n, b: T.Buffer(((n + 1) // 2,)))
//          def g(a: T.Buffer(((n + 3) // 4 * 2 + 1,)), n, b: T.Buffer(((n + 3) // 4,)))
//          y = call_tir(f, (x, n), …)    z = call_tir(g, (y, n), …)
// after:   def f(a: T.Buffer((size * 2 + 1,)), size, b: T.Buffer((size,)))
//          y = call_tir(f, (x, (n + 1) // 2), …)    z = call_tir(f, (y, (n + 3) // 4), …)
// requires: expose_symbols ran; programs are not scheduled yet
// ensures: a program that stands for others says as much of its sizes as they did. A scalar is
//          replaced where the program depends on one quotient of it alone, and that quotient may
//          have every value that the scalar's kind may have. Other programs stay as they were.
#pragma once

#include "ir/module.h"

namespace repose {

Module generalize_programs(const Module& module);

}  // namespace repose
