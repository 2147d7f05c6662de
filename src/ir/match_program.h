// The agreement of a call_tir with the parameters of its program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "ir/tir.h"
#include "ir/type.h"

namespace repose {

using ReportMismatch = std::function<void(DiagnosticKind, const std::string&)>;

// Calls `report` for every way in which `values`, the types of the arguments and then of the
// results, don't fit the parameters of `f`: number, kind, dtype, rank, strides and, with the
// symbols of `f` bound by them, dimensions. A dimension that may or may not be equal fits, and so
// does a type that is not known (null).
void match_program(const std::string& name, const tir::PrimFuncNode& f,
                   const std::vector<Type>& values, size_t num_args, const ReportMismatch& report);

}  // namespace repose
