// Folds constant scales and shifts of channels into the constant weights before them.
//
// before:  y = conv2d(x, w); a = add(y, b); z = batch_norm_inference(a, gamma, beta, mean, var)
// after:   y = conv2d(x, w * s); z = add(y, b * s + t)       # s = gamma / sqrt(var + epsilon),
//                                                            # t = beta - mean * s
// requires: normal form; constants folded, dead code eliminated
// ensures: the same results up to rounding: a weight is scaled once instead of every element. Only
//          weights of float32 and float64, and values that nothing else uses.
//
// Looked through: convolutions by constants, transposed ones of one group, and matrix products by
// constants; multiply, add and subtract of a constant that is one value per output channel; batch
// normalisation with constant statistics, which is a scale and a shift wherever it stands.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> fold_scales(const Module& module, const OpTable& ops);

}  // namespace repose
