// What is known of the symbols of a graph function, and which of its bindings makes sure of it.
#pragma once

#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/module.h"

namespace repose {

struct FactSource {
  const graph::Binding* binding;                 // a check, a match_cast, or an operator's call
  Expr condition;                                // what it makes sure of
  std::vector<std::pair<Var, Interval>> ranges;  // of symbols that it narrowed
  std::vector<Expr> learned;                     // conditions that weren't known before
};

// Bindings are those of the function, which has to live as long.
struct KnownFacts {
  Facts at_end;
  std::vector<FactSource> sources;  // in order
};

// Declared ranges, and what checks, casts and operators outside of branches make sure of: an
// operator's promise of a size that the data decides is one. `elements`: known elements of
// operands.
KnownFacts facts_at_end(
    const graph::Function& f,
    const std::unordered_map<const graph::ValueNode*, std::vector<Expr>>& elements,
    const Module& module);

}  // namespace repose
