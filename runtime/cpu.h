// What the processor can do, by the names that LLVM gives features.
#pragma once

#include <stdint.h>

namespace repose::rt {

// The first of `features` (null-terminated; null: none) that this processor or its operating system
// does not support, or that this runtime does not know; null if there is none. On architectures
// without a way to ask, null.
const char* missing_cpu_feature(const char* const* features);

}  // namespace repose::rt
