// The schedule rules. Each takes a program in stage form, `p` of `f`, whose symbols are scalar
// parameters, and gives the program that its steps have made; an error: the rule does not fit.
//
// What every rule keeps, so that results may lie in the bytes of operands (find_sharing.h): a
// result's buffer is written only with final values, each element once and after the loads that its
// value needs; the stages of a row (a point of the axes that all stages share) run in order, and
// rows are independent of each other. A rule that does otherwise drops the attribute `in_place`.
#pragma once

#include "base/target.h"
#include "passes/tensor/classify.h"
#include "schedule/scheduled.h"

namespace repose::schedule {

// Elementwise programs, reductions, and chains of them over rows. For each point of the axes that
// all stages share (in parallel), the stages run one after another, each vectorized along its
// innermost axis or its reduction; what they hand over lives in buffers of one row.
Result<Scheduled> rows(const tir::PrimFunc& f, const StagedProgram& p, const Target& target);

// A contraction with its epilogue. Columns are cut into panels of two vectors, rows into tiles that
// fill the vector registers, accumulators stay in registers over the whole reduction. `is_constant`
// says which parameters may be packed at compile time; another B operand is packed panel by panel
// into the thread's workspace.
Result<Scheduled> contraction(const tir::PrimFunc& f, const StagedProgram& p, const Target& target,
                              const std::vector<bool>& is_constant);

// Attention (classify.h). A task takes a panel of rows through all stages; rows are the lanes of
// vectors, what stages hand over is kept in the task's workspace, rows last.
Result<Scheduled> attention(const tir::PrimFunc& f, const StagedProgram& p, const Target& target);

}  // namespace repose::schedule
