// Lets a block run up to whole tiles, without asking: pad(block).
//
// before:  for j_o in range((n + 7) // 8):
//              allocate T[8]
//              for j_i in range(8):
//                  where j_o * 8 + j_i < n: T[j_i] = A[j_o * 8 + j_i] * 2      # block T
//              for j_i_1 in range(8):
//                  where j_o * 8 + j_i_1 < n: B[j_o * 8 + j_i_1] = T[j_i_1]
// after:   … for j_i in range(8):                  # pad(T)
//                  T[j_i] = if_then_else(j_o * 8 + j_i < n, A[j_o * 8 + j_i] * 2, 0)
//
// The elements beyond the domain live in a buffer of the program, and nothing uses them. Where
// loads might leave their buffers (and the block does not reduce), they become 0; else whatever the
// formula gives. Not legal where the block writes a parameter, or where iterations
// beyond the domain might write elements of it, or some that other blocks wrote and that are read.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> pad(Scheduled& s, const Block& block);

}  // namespace repose::schedule
