// Turns vectorized loops into vector expressions.
//
// before:  for i in T.vectorized(8): B[j * 8 + i] = A[j * 8 + i] + T.float32(1)
// after:   B[T.Ramp(j * 8, 1, 8)] = A[T.Ramp(j * 8, 1, 8)] + T.Broadcast(T.float32(1), 8)
// requires: iterations independent of each other
// ensures: no vectorized loop is left; an `if` over lanes becomes predicated stores, loads below it
//          read only in active lanes, and stores to local buffers become selections; bit for bit
//          the same results. A loop that lanes cannot run together (of an unknown extent, with
//          stores to one element, around an assertion) becomes a serial one.
#pragma once

#include "ir/tir.h"

namespace repose {

tir::PrimFunc vectorize_loops(const tir::PrimFunc& f);

}  // namespace repose
