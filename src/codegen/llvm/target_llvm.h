// The target that this process runs on.
#pragma once

#include "base/target.h"

namespace repose {

// The exact CPU and features of this machine. An error where it is older than x86-64-v2.
Result<Target> host_target();

// make_target, or host_target for "host".
Result<Target> find_target(std::string_view name);

}  // namespace repose
