// Conditions of a program that hold for certain where they stand.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

// `root` without what `facts`, which hold where it stands, decide: conjuncts of blocks' predicates
// that always hold, branches that are never taken; extents that are constants then.
tir::Stmt without_known_conditions(const tir::Stmt& root, const Facts& facts);

}  // namespace repose::schedule
