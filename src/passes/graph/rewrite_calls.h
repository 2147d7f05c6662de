// Replaces calls in the graph functions of a module: what passes that keep bindings and types
// share.
#pragma once

#include <functional>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Calls `rewrite` with each call that is bound (in branches and closures too) and its type; a value
// that it gives, which must be of that type, takes the call's place. Null keeps the call. Variables
// stay the same.
void rewrite_calls(Module& module,
                   const std::function<graph::Value(const graph::CallNode&, const Type&)>& rewrite);
// The same for one body; the same pointer if nothing changed.
graph::Body rewrite_calls(
    const graph::Body& body,
    const std::function<graph::Value(const graph::CallNode&, const Type&)>& rewrite);

}  // namespace repose
