// How the stages of a row run, each within the loop over rows.
#pragma once

#include "base/target.h"
#include "passes/tensor/stages.h"
#include "schedule/scheduled.h"

namespace repose::schedule {

// How the innermost loop of a stage runs.
enum class Inner : uint8_t {
  scalar,         // one element after another
  vector_axis,    // vectors along the last spatial axis
  vector_reduce,  // vectors of partial results along the last reduction axis
};
Inner choose_inner(const Stage& s, const Target& target);
// Of the vectors of a stage: all lanes run together, so that the widest element type decides.
int lanes_for(const Stage& s, const Target& target);

// Does an axis of a few steps select one of several formulas? Each step has its own then.
bool chooses_formula(const Stage& stage, size_t axis);

// A window that may leave its image, and an image with a border, have conditions. Where they hold
// at both ends of some loops inside (`steps`, each with its extent), they hold in all of them:
// that is what is asked for, once for all. Null where there are no conditions, or where they
// differ in what is inside of `within`.
Expr where_conditions_hold(const Scheduled& s, const Block& block,
                           const std::vector<std::pair<Loop, int64_t>>& steps,
                           const std::vector<Loop>& within);

// A loop in vectors, the rest in one that is masked.
Result<void> in_vectors(Scheduled& s, const Loop& loop, int lanes);

// A stage, whose block stands in the loop over rows (none: `row` has no variable), in vectors along
// its last axis or its reduction, where one of them is such.
Result<void> run_in_row(Scheduled& s, const Target& target, const Stage& stage, const Block& block,
                        const Loop& row);

}  // namespace repose::schedule
