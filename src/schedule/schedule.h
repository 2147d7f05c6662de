// Turns fused programs into fast loops: rules that read the loops and compute tiles from the
// target.
//
// before: stages (passes/tensor/stages.h), every symbol a scalar parameter
// after:  parallel, vectorized and unrolled loops without blocks; accumulators in local buffers;
//         constant operands of contractions packed into panels at compile time
// requires: expose_symbols ran
// ensures: each output element comes from the same sequence of floating-point operations whatever
// the
//          other extents, the number of threads and the tile it falls into. Reductions are
//          reassociated, in ways fixed by their extents: results agree with the stages within
//          rounding, not bit for bit. Programs that are not in stage form keep their loops; their
//          blocks are lowered.
#pragma once

#include <functional>
#include <optional>

#include "base/target.h"
#include "ir/module.h"
#include "ir/op.h"
#include "schedule/schedule_text.h"
#include "schedule/scheduled.h"

namespace repose {

// An operand that the schedule wants in another layout: parameter `param` (a position among the
// program's parameters) becomes what `packer` (parameters: the old buffer, the new one) writes.
struct Packing {
  size_t param = 0;
  tir::PrimFunc packer;
};

struct ScheduledProgram {
  tir::PrimFunc func;
  std::vector<Packing> packings;
  std::optional<std::vector<schedule::Step>> steps;  // where it was made by primitives
  std::vector<std::string> refused;  // rules that did not fit, each with the reason: "rows: …"
};

// `is_constant`: per parameter, whether every call passes a constant there (such operands may be
// packed).
ScheduledProgram schedule_program(const tir::PrimFunc& f, const Target& target,
                                  const std::vector<bool>& is_constant);

// Runs a program of constant shapes on arrays: `inputs` in order, one result of the last
// parameter's shape.
using ProgramEvaluator =
    std::function<Result<Array>(const tir::PrimFunc& program, const std::vector<Array>& inputs)>;

struct ScheduleOptions {
  // Schedules that a person wrote, by program: they stand in for the rules. Programs without calls
  // are scheduled too where they have one.
  schedule::ScheduleTexts written;
  // The numbers that rules read for a program; null: the target's for all.
  std::function<Target(const std::string& program, const tir::PrimFunc& f)> target_of;
  // Called for each program with its schedule.
  std::function<void(const std::string& program, const ScheduledProgram& scheduled)> on_program;
};

// Schedules every tensor program that a call_tir of the module uses, and packs constants. An error
// where a schedule of `options` is for no program, or has a step that is not legal.
Result<Module> schedule_programs(const Module& module, const Target& target,
                                 const ProgramEvaluator& evaluate,
                                 const ScheduleOptions& options = {});

}  // namespace repose
