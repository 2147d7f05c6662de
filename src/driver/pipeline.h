// The order of passes: from a module of graph operators to scheduled tensor programs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/target.h"
#include "base/work.h"
#include "ir/module.h"
#include "ir/op.h"
#include "passes/graph/gradient.h"
#include "passes/graph/to_mixed_precision.h"
#include "schedule/schedule.h"

namespace repose {

struct PipelineOptions {
  Target target;
  std::vector<std::string> disabled;      // names of passes that are skipped
  bool verify = false;                    // after every pass
  ScheduleOptions schedule;               // of schedule_programs
  GradientOptions gradient;               // of gradient
  MixedPrecisionOptions mixed_precision;  // of to_mixed_precision
  // Called after each pass that ran (--print-after, --dump-ir).
  std::function<void(const std::string& pass, const Module& module)> after_pass;
};

struct PassInfo {
  const char* name;
  const char* summary;
  bool required;            // code generation cannot do without it
  bool on_request = false;  // it needs options, or does not take every module
};
// The passes in the order in which they run.
const std::vector<PassInfo>& pipeline_passes();
// Those that run only where someone asks for them by name.
const std::vector<PassInfo>& further_passes();

// One pass by name, of either list. An error for an unknown name.
Result<Module> run_pass(const std::string& name, const Module& module, const OpTable& ops,
                        const PipelineOptions& options);

// All of them. `reports`, if given, gets the time of each. An unknown or required name in
// `disabled` is an error.
Result<Module> run_pipeline(const Module& module, const OpTable& ops,
                            const PipelineOptions& options,
                            std::vector<PassReport>* reports = nullptr);

// What a kernel is made of before code generation: no blocks, vectors for vectorized loops, no
// mathematical functions.
tir::PrimFunc finish_program(const tir::PrimFunc& f);

}  // namespace repose
