// Cuts a loop in two, at an iteration: partition(loop, at) gives the loop over [0, at) and that
// over the rest. Conditions that hold in all of one part are gone there.
//
// before:  for i_o in range((n + 7) // 8):
//              for i_i in range(8):
//                  where i_o * 8 + i_i < n: B[i_o * 8 + i_i] = A[i_o * 8 + i_i]
// after:   for i_o in range(n // 8):               # partition(i_o, n // 8)
//              for i_i in range(8):
//                  B[i_o * 8 + i_i] = A[i_o * 8 + i_i]
//          for i_o_1 in range((n + 7) // 8 - n // 8):
//              for i_i_1 in range(8):
//                  where …: B[(n // 8 + i_o_1) * 8 + i_i_1] = …
//
// The order of iterations stays. Not legal where it isn't proven that 0 <= at <= the extent, or
// where the rest would begin a reduction again (decompose_reduction comes first).
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<std::vector<Loop>> partition(Scheduled& s, const Loop& loop, const Expr& at);

}  // namespace repose::schedule
