// Adds a product in one step, rounded once: contract_multiply_add(block).
//
// before:  C[i] = C[i] + A[i, k] * B[k]
// after:   C[i] = T.fma(A[i, k], B[k], C[i])       # contract_multiply_add(C)
//
// Not legal where the block does not add a product of floats to what it writes.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

Result<void> contract_multiply_add(Scheduled& s, const Block& block);

}  // namespace repose::schedule
