// Casts the members of a tuple one by one.
//
// before:  u = R.match_cast(t, R.Tuple(R.Tensor((n,), "float32"), R.Prim(value="k")))
// after:   t_0 = t[0]
//          u_0 = R.match_cast(t_0, R.Tensor((n,), "float32"))
//          t_1 = t[1]
//          u_1 = R.match_cast(t_1, R.Prim(value="k"))
//          u = (u_0, u_1)
//
// Tuples in tuples too. A cast binds the symbols of all members before it checks what is made of
// them: a member that mentions a symbol of a later one is cast to symbols of its own first.
//
// requires: normal form
// ensures: no value whose type is a tuple is cast to one
#pragma once

#include "ir/module.h"

namespace repose {

Module split_casts(const Module& module);

}  // namespace repose
