// Moves checks of what is known at entry to the head of their function.
//
// before:  y = exp(x); check(n == m); return add(y, z)
// after:   check(n == m); y = exp(x); return add(y, z)
// requires: normal form
// ensures: a call fails before anything is computed where its dimensions alone say that it has to;
// the types of all that follows, and the plan, rely on it. Checks of branches, those of symbols
// that the data decides, and those behind effects stay; so does their order.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

Result<Module> hoist_checks(const Module& module, const OpTable& ops);

// The body with `bindings` behind the checks at its head, which tell what later bindings rely on.
graph::Body insert_after_checks(const graph::Body& body,
                                const std::vector<graph::Binding>& bindings);

}  // namespace repose
