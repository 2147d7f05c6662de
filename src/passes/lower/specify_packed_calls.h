// Brings calls of packed functions to one form, with names for what their results don't say.
//
// before:  y = cls.host(x)                       # host = R.ExternFunc("host.record")
//          z = R.call_packed("get", y, sinfo_args=[R.Tensor(ndim=2, dtype="float32")])
// after:   y = R.call_packed("host.record", x, sinfo_args=[…])
//          z = R.call_packed("get", y, sinfo_args=[R.Tensor((z_0, z_1), "float32")])
//
// Dimensions of a tensor of known rank and dtype, members of a shape of known rank, and int64
// scalars get symbols. Other scalars, a tensor of unknown rank or dtype, and an object stay: the
// runtime holds them.
//
// ensures: the callee of each packed call is an ExternNode where the module says which it is
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> specify_packed_calls(const Module& module, const OpTable& ops);

}  // namespace repose
