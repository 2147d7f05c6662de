// Gives public functions an interface of tensors whose dimensions have names.
//
// before:  def main(w: R.Tensor("float32", ndim=2), n: R.Prim("int64"),
//                   t: R.Tuple(R.Tensor(("a",), "float32"))):
//              k = R.match_cast(w, R.Tensor((a, b), "float32"))
//              …
//              return R.shape([b, n])
// after:   def main(w: R.Tensor((w_0, w_1), "float32"), n: R.Tensor((), "int64"),
//                   t_0: R.Tensor((a,), "float32")):
//              n_1 = R.match_cast(R.tensor_to_shape(R.reshape(n, R.shape([1]))), R.Shape([n]))
//              k = R.match_cast(w, R.Tensor((a, b), "float32"))
//              …
//              return R.shape_to_tensor(R.shape([b, n]))
//
// A tensor's dimensions that are not known get symbols; a rank and a dtype that are not known are
// those of a match_cast of the parameter that always runs. A tuple is its members one after
// another, a shape an int64 tensor of rank 1, an integer or bool scalar a tensor of rank 0. A
// result's type is the annotation, or where that is vaguer what is derived. A shape that the data
// decides gets names for its members where no match_cast gives them.
//
// requires: normal form, calls inlined
// ensures: what can be is so; other parameters and results stay, and native code refuses them
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> specify_interface(const Module& module, const OpTable& ops);

}  // namespace repose
