// Folds batch normalisation into the weights of the convolution before it, constants or not.
//
// before:  y = conv2d(x, w); z = batch_norm_inference(y, gamma, beta, mean, var)
// after:   s = gamma / sqrt(var + epsilon)
//          z = add(conv2d(x, w * s), beta - mean * s)       # s over the output channels of w
// requires: normal form
// ensures: the same results up to rounding. Convolutions of float32 and float64 with the layouts
//          NC… and OI…, whose result nothing else uses. What is made of weights alone can be done
//          once: lift_transform_params, fold_constants. (fold_scales does this for constants, and
//          for every layout; it is part of compiling.)
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> fold_batch_norm(const Module& module, const OpTable& ops);

}  // namespace repose
