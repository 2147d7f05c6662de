// Calls of packed functions, and what these are told of the results that a call expects.
#pragma once

#include "ir/graph.h"

namespace repose {

// A call whose results the host makes (call_packed, call_pure_packed, call_inplace_packed); and one
// that says where they go.
bool is_packed_call(const graph::CallNode& call);
bool is_dps_packed(const graph::CallNode& call);

// The repose_value_kind (repose.h) of a result of this type, which is no tuple.
int packed_kind(const Type& type);
// The members of a shape of known rank; 0 for other types.
int packed_count(const Type& type);

}  // namespace repose
