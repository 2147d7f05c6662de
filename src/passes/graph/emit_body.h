// Emits a copy of a function's body where a Builder stands: what passes share that put bodies in
// place of values.
#pragma once

#include "ir/builder.h"
#include "passes/graph/rebuild.h"

namespace repose {

// The bindings of `body`, with `values` for its free variables and `symbols` for its symbols;
// symbols and variables that it binds are new. Where a condition is known, only the taken branch.
// `rewrite`, if given, gets each call, with the operands of the copy. The result is a leaf.
Result<graph::Value> emit_body(Builder& builder, const graph::Body& body, graph::ValueMap values,
                               VarMap symbols, const CallRewrite& rewrite = {});

// A copy of the closure `f`, bound to a new variable called `name`. Its own body may call it, as
// `self` (null: it doesn't).
Result<graph::Value> emit_closure(Builder& builder, const std::string& name,
                                  const graph::Variable& self, const graph::FunctionNode& f,
                                  graph::ValueMap values, VarMap symbols, const Span& span,
                                  const CallRewrite& rewrite = {});

}  // namespace repose
