// From a scheduled program to loops without blocks.
//
// before:  for f in range(m * n // 8):
//              for l in T.vectorized(8):
//                  block: i, j = (f * 8 + l) // n, (f * 8 + l) % n
//                  T[0] = A[i, j] * 2
//                  B[i, j] = T[0]
// after:   A_flat = A, B_flat = B as one dimension
//          for f in range(m * n // 8):
//              for l in T.vectorized(8):
//                  t = A_flat[f * 8 + l] * 2
//                  B_flat[f * 8 + l] = t
// ensures: no block is left; neighbouring subscripts that are cut out of one expression are one
//          again, over a view of the buffer; a buffer of one element that is written once is a
//          variable; the same operations in the same order, bit for bit.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

// An error where a reduction may be over nothing, and its beginning cannot be set apart
// (decompose_reduction says why).
Result<tir::PrimFunc> finish_schedule(const Scheduled& s);

}  // namespace repose::schedule
