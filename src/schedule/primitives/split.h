// Cuts a loop into tiles: split(loop, factor, tail) gives the loop over tiles, the loop inside a
// tile, and the loops of the rest, if there are any.
//
// before:  for i in range(n):
//              B[i] = A[i]
// after:   for i_o in range((n + 7) // 8):         # split(i, 8, masked)
//              for i_i in range(8):
//                  where i_o * 8 + i_i < n: B[i_o * 8 + i_i] = A[i_o * 8 + i_i]
//
// The order of iterations stays. Not legal where the rest would begin a reduction again
// (decompose_reduction comes first), or where it isn't proven that there is none (`proven`).
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

// What happens beyond the last full tile.
enum class Tail : uint8_t {
  proven,    // nothing: the factor divides the extent
  masked,    // blocks run where the iteration is one of the loop's
  bounded,   // the last tile is shorter: min(factor, n - i_o * factor)
  separate,  // a loop over the rest behind the loop over full tiles
  vector,  // a masked tile of the full size behind the loop over full tiles, where there is a rest,
           // in a loop of one iteration or none: the result has two loops for it
  powers,  // tiles of the powers of two below the factor (a constant), each at most once, in loops
           // of one iteration or none: the result has two loops for each
};

// As steps are written.
struct TailWord {
  const char* text;
  Tail value;
};
constexpr TailWord tail_words[] = {{"proven", Tail::proven},   {"masked", Tail::masked},
                                   {"bounded", Tail::bounded}, {"separate", Tail::separate},
                                   {"vector", Tail::vector},   {"powers", Tail::powers}};

Result<std::vector<Loop>> split(Scheduled& s, const Loop& loop, const Expr& factor, Tail tail);

}  // namespace repose::schedule
