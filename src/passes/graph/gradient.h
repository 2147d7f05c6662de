// Adds to a module the gradient of a function: reverse mode (src/ops/gradient.h).
//
// before:  def main(x, w): y = matmul(x, w); loss = sum(y); return loss
// after:   def main(x, w): …
//          def main_adjoint(x, w):
//              y = matmul(x, w); loss = sum(y)
//              g = ones(()); g1 = broadcast_to(g, …)
//              return loss, (matmul(g1, permute_dims(w)), matmul(permute_dims(x), g1))
// requires: normal form; a function of bindings alone, without branches, loops, closures and calls
//           of other functions (inline_functions) where gradients flow; every operator on the way
//           has a gradient. The target is a result of rank 0
// ensures: other definitions stay. `main_adjoint` returns the results of `main`, and a tuple of the
//          gradients in the parameters asked for, each of its parameter's type: zeros where the
//          target doesn't depend on it. What impure calls do is done once
//
// Between `grad.start_checkpoint` and `grad.end_checkpoint` values aren't kept for the gradient:
// they are computed again from the starts (Griewank and Walther, revolve, ACM TOMS 26, 2000). A
// value is between them if an end depends on it other than by way of a start.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

struct GradientOptions {
  std::string function = "main";
  std::vector<std::string> parameters;  // by name; none: every float tensor
  int target = 0;                       // which result, where there are several
};

Result<Module> gradient(const Module& module, const OpTable& ops,
                        const GradientOptions& options = {});

}  // namespace repose
