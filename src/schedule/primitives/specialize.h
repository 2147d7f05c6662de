// Makes two variants of a loop, of which a condition chooses: specialize(loop, condition) gives the
// loops of the variant for which it holds, that of the same name first.
//
// before:  for j_o in range((n + 7) // 8):
//              for j in range(8):
//                  where j_o * 8 + j < n: B[j_o * 8 + j] = A[j_o * 8 + j]
// after:   for j_o in range((n + 7) // 8):         # specialize(j, j_o * 8 + 8 <= n)
//              if j_o * 8 + 8 <= n:
//                  for j_1 in range(8):
//                      B[j_o * 8 + j_1] = A[j_o * 8 + j_1]
//              else:
//                  for j in range(8):
//                      where j_o * 8 + j < n: B[j_o * 8 + j] = A[j_o * 8 + j]
//
// The condition is over parameters and what is bound around the loop. Predicates that follow from
// it are gone in the variant, extents that are constants then are that. Where it always holds, the
// loop itself is the variant; where it never does, there is none, and nothing happens.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<std::vector<Loop>> specialize(Scheduled& s, const Loop& loop, const Expr& condition);

}  // namespace repose::schedule
