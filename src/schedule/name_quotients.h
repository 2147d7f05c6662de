// Computes quotients and remainders of loop variables once, where their variables are bound.
//
// before:  for f in T.parallel(m * n):
//              for k in range(9):
//                  B[f // n, f % n] = B[f // n, f % n] + A[f // n, k]
// after:   for f in T.parallel(m * n):
//              q = f // n; r = f % n
//              for k in range(9):
//                  B[q, r] = B[q, r] + A[q, k]
// ensures: a division moves out of loops only where its divisor is not 0 for certain; the same
//          values. Subscripts over lanes of vectors stay as they are.
#pragma once

#include "ir/tir.h"

namespace repose::schedule {

tir::Stmt name_quotients(const tir::PrimFunc& f);

}  // namespace repose::schedule
