// Gives each iteration of a loop of a reduction a partial result of its own, combined in order at
// the end (rfactor): split_reduction(block, loop) gives the block that combines them.
//
// before:  for i in range(m):
//              for k_o in range(n):
//                  for k_i in range(8):
//                      C[i] = C[i] + A[i, k_o * 8 + k_i]
// after:   allocate C_parts[m, 8]                  # split_reduction(C, k_i)
//          for i in range(m):
//              for k_o in range(n):
//                  for k_i in range(8):
//                      C_parts[i, k_i] = C_parts[i, k_i] + A[i, k_o * 8 + k_i]
//              for k_i_1 in range(8):
//                  C[i] = C[i] + C_parts[i, k_i_1]     # block C_combine
//
// They are combined behind the outermost loop of the reduction; loops over elements inside of that
// are made anew. Parts begin with the reducer's identity, those that get no step too: a condition
// that tells steps of parts becomes one of the body, until decompose_reduction takes the beginning
// out.
//
// Reassociates: the parts and the order of combining them follow from the loop's extent, which has
// to be a constant. Not legal where the reduction began elsewhere (decompose_reduction comes
// later), or where something else uses C inside of it.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<Block> split_reduction(Scheduled& s, const Block& block, const Loop& loop);

}  // namespace repose::schedule
