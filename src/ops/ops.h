// The graph operators that Repose knows.
#pragma once

#include "ir/op.h"

namespace repose {

// Every operator of operators.def. The table lives as long as the program.
const OpTable& standard_ops();

// One function per operator: `const OpDef& op_add();`, defined in the operator's file.
#define OPERATOR(name) const OpDef& op_##name();
#include "ops/operators.def"
#undef OPERATOR

}  // namespace repose
