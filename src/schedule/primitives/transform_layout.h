// Stores the elements of an intermediate buffer in another order: transform_layout(buffer, map).
//
// before:  allocate T[n, k]
//          T[i, j] = A[i, j]
// after:   allocate T[(n + 15) // 16, k, 16]       # transform_layout(T, (i, j) -> (i // 16, j, i %
// 16))
//          T[i // 16, j, i % 16] = A[i, j]
//
// The map is over the subscripts: sums of multiples, quotients and remainders by constants or
// extents. The extents of the new dimensions are the smallest that hold every element. Not legal
// for parameters (prepack) and buffers that have views, or where an extent cannot be told.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> transform_layout(Scheduled& s, const Buffer& buffer, const IndexMap& map);

}  // namespace repose::schedule
