// How many threads the process may use at once.
#pragma once

#include <stdint.h>

namespace repose::rt {

// CPUs in the affinity mask of the calling thread; at least 1.
int32_t affinity_cpus();

// The CPU quota of a control group and its ancestors, in whole CPUs (rounded up); 0: none.
// cgroup_file: text like /proc/self/cgroup; root: where control groups are mounted, version 2, or
// version 1 with the controller in `cpu` below it (/sys/fs/cgroup).
int32_t quota_cpus(const char* cgroup_file, const char* root);

// $REPOSE_NUM_THREADS if it is a positive number, else the least of the two above.
int32_t default_num_threads();

}  // namespace repose::rt
