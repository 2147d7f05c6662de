// Makes functions of the module of closures that are only called.
//
// before:  def main(x, y): @R.function def inner(z): return add(z, y)
//                          r = inner(x)
// after:   def main(x, y): r = cls.main_inner(x, y)
//          private: def main_inner(z, y): return add(z, y)
// requires: normal form
// ensures: the same results. What a closure captured are further arguments, symbols among them. A
//          closure that is an operand or a result stays where it is, and so do those of loops
//          (R.while_loop): their operands are functions, and nobody passes these more.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> lambda_lift(const Module& module, const OpTable& ops);

}  // namespace repose
