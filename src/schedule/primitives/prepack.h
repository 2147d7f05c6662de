// Computes a block outside of the program, in advance: prepack(block), where all that it reads is
// one parameter, which becomes what the block writes.
//
// before:  def f(A, B, C):
//              allocate B_packed[k, n]
//              for i, j: B_packed[i, j] = B[j, i]  # block B_packed
//              … B_packed …
// after:   def f(A, B_packed, C):                  # prepack(B_packed)
//              … B_packed …
//
// Every call has to pass what the block makes of the argument that it had (`layouts` has the
// program for it), which pays where that is a constant. Not legal where the parameter is used
// elsewhere, where
// one of the two buffers has symbolic extents, where the block needs what else a call decides, or
// where it stands in loops of other blocks.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> prepack(Scheduled& s, const Block& block);

}  // namespace repose::schedule
