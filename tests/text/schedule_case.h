// Cases of `# test: schedule`: their steps, and what always holds of them.
#pragma once

#include <functional>

#include "ir/module.h"
#include "schedule/scheduled.h"
#include "text/text_file.h"

namespace repose::testing_text {

struct ProgramSteps {
  std::string name;  // of the program
  tir::PrimFunc before;
  schedule::Scheduled after;
};

struct ScheduledCase {
  Module output;  // after the steps
  // What can be called like the module before, where steps ask for arguments in another layout: the
  // same, and without what only schedules need.
  Module blocks, loops;
  std::vector<ProgramSteps> programs;
  std::vector<std::string> failures;
};

// Checks a module that `what` gave; false: it is wrong, and that was reported.
using CheckModule = std::function<bool(const std::string& what, const Module& module)>;

// Applies the steps of a case to the programs of `module`, each of which is checked as it is
// begun, after every step and at the end. A step that is refused has to leave its program as it
// was; the steps that were recorded have to replay. Errors of steps go to `messages`; one that the
// case does not expect is the last step.
ScheduledCase run_schedule(const Module& module, const TextFile& file, const TextCase& c,
                           Diagnostics& messages, const CheckModule& check);

}  // namespace repose::testing_text
