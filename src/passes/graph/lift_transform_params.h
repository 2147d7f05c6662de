// Moves what depends on weights alone into a function of its own, to be run once.
//
// before:  def main(x, w): …, num_input=1      v = permute_dims(w); return matmul(x, v)
// after:   def main_transform_params(w): v = permute_dims(w); return (v,)
//          def main(x, v): return matmul(x, v)
// requires: normal form. The function attribute `num_input` says how many parameters come anew with
//           each call; the others are weights.
// ensures: main(x…, *main_transform_params(w…)) gives what main(x…, w…) gave. Only pure calls of
//          operators outside of branches move, and none that needs a symbol of the inputs, or
//          stands behind a check or cast. `num_input` is dropped, so a second run changes nothing;
//          a function of which nothing moves stays as it is.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// An error: `num_input` is no number of parameters; the function is called inside of the module.
Result<Module> lift_transform_params(const Module& module, const OpTable& ops);

}  // namespace repose
