// The parts of a loop in the graph: `R.while_loop` over two closures.
#pragma once

#include <optional>
#include <unordered_map>

#include "ir/graph.h"

namespace repose {

// Closures by the variables that they are bound to.
using Closures = std::unordered_map<const graph::ValueNode*, const graph::FunctionNode*>;

struct LoopClosures {
  const graph::FunctionNode *cond, *body;
};

bool is_while_loop(const graph::CallNode& call);
// Nothing where an operand is another function than one of `closures`.
std::optional<LoopClosures> loop_closures(const graph::CallNode& loop, const Closures& closures);

// The carried values as a function of a loop takes them: one tuple type where `init` is a tuple
// that the function takes member by member.
Type carried_type(const graph::FunctionNode& f, const Type& init);

}  // namespace repose
