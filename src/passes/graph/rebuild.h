// Builds the graph functions of a module anew, call by call: what passes that change types or
// insert bindings share.
#pragma once

#include <functional>

#include "ir/builder.h"

namespace repose {

// Gets a call whose operands are those of the new function. Gives what to bind in its place
// (normalised by the Builder), or null to keep the call. Bindings that it emits stand before.
using CallRewrite = std::function<Result<graph::Value>(
    Builder& builder, const graph::CallNode& call, const Span& span)>;

// Every graph function; types are inferred again, checks placed where they are needed. Variables
// are new, parameters stay. What is another variable, or a constant, takes the variable's place.
Result<Module> rebuild_functions(const Module& module, const OpTable& ops,
                                 const CallRewrite& rewrite);

}  // namespace repose
