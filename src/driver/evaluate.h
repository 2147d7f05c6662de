// Runs tensor programs and operator calls on constants while a model is compiled.
#pragma once

#include "base/target.h"
#include "passes/graph/fold_constants.h"
#include "schedule/schedule.h"

namespace repose {

// Compiles programs of constant shapes into this process; equal programs once.
ProgramEvaluator make_program_evaluator(const Target& target);
// Lowers a call and runs its programs.
CallEvaluator make_call_evaluator(const OpTable& ops, const Target& target);

}  // namespace repose
