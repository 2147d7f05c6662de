// Scales the rows of attention where they have the fewest elements: queries in place of scores,
// sums in place of weights.
//
// before:  S[i, k] = sum over d of Q[i, d] * K[k, d];  T[i, k] = S[i, k] / c + M[k]
//          P[i, k] = E[i, k] * R[i];                   O[i, j] = sum over k of P[i, k] * V[k, j]
// after:   T[i, k] = (sum over d of (Q[i, d] / c) * K[k, d]) + M[k]
//          O[i, j] = (sum over k of E[i, k] * V[k, j]) * R[i], or 0 where there is no k
// requires: programs are not scheduled yet
// ensures: the same results but for their rounding; attention stays that (attention.h)
#pragma once

#include "ir/module.h"

namespace repose {

Module move_scales(const Module& module);

}  // namespace repose
