// Lets an intermediate buffer live within an iteration of a loop: set_scope(buffer, scope, at).
//
// before:  allocate T[m, n]                        # workspace
//          for i in range(m):
//              for j in range(n):
//                  T[i, j] = A[i, j] * 2
//              for j in range(n):
//                  B[i, j] = T[i, j]
// after:   for i in range(m):                      # set_scope(T, workspace, i)
//              allocate T[n]
//              for j in range(n):
//                  T[j] = A[i, j] * 2
//              for j in range(n):
//                  B[i, j] = T[j]
//
// The buffer has the extents of the box that an iteration touches, but those of 1, and keeps its
// name. Not legal where something outside of the loop touches it, where an iteration reads what it
// has not written, or for scope local where an extent has no constant bound.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> set_scope(Scheduled& s, const Buffer& buffer, Scope scope, const Loop& at);

}  // namespace repose::schedule
