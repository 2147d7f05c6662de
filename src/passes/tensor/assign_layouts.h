// Keeps images with channels last where convolutions by constants want them so, through whole
// regions of a function.
//
// before:  y = call_tir(conv2d, (x, w), R.Tensor((n, 64, h, w), "float32"))   # x is (n, c, h, w)
//          z = call_tir(relu, (y,), R.Tensor((n, 64, h, w), "float32"))
// after:   x1 = call_tir(permute_dims, (x,), R.Tensor((n, h, w, c), "float32"))
//          y1 = call_tir(conv2d_1, (x1, w), R.Tensor((n, h, w, 64), "float32"))
//          z1 = call_tir(relu_1, (y1,), R.Tensor((n, h, w, 64), "float32"))
//          z = call_tir(permute_dims_1, (z1,), R.Tensor((n, 64, h, w), "float32"))
// requires: normal form, calls legalized
// ensures: the same results bit for bit; types of parameters and of results stay. Where no program
//          asks for another order of dimensions, nothing changes.
//
// A contraction whose second factor is constant and varies along one dimension of the result, not
// the last one, asks: with that dimension last it is a matrix product with a packed constant, and
// the window is read element by element from rows that are contiguous along the channels. A program
// that reads such a tensor follows, whatever it computes: only its subscripts change. A value is
// converted, once, where a program wants it in the other order.
// See docs/adr/0049-channels-last.md.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> assign_layouts(const Module& module, const OpTable& ops);

}  // namespace repose
