// What a match_cast can come to.
#pragma once

#include "ir/type.h"

namespace repose {

// Can a value have both types? false: it certainly can't, so casting from one to the other fails.
bool may_overlap(const Type& a, const Type& b, const Facts& facts = {});

}  // namespace repose
