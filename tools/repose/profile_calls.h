// Calls of a model that was compiled with --profile.
#pragma once

#include "profile_report.h"

namespace repose::cli {

struct ProfiledCalls {
  int warm_up = 3;
  int repeat = 0;  // 0: for about so many seconds, but five times at least
  double seconds = 1.0;
};

// What the calls say of the kernels: the report's calls, times, kernels, places and runs.
Result<void> profile_calls(const LoadedModel& model, int function, PreparedCall& call,
                           const ProfiledCalls& options, ProfileReport& report);

}  // namespace repose::cli
