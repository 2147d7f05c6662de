// What is wrong with the attributes of a graph function (G15 of the verifier).
#pragma once

#include "ir/graph.h"

namespace repose {

// One diagnostic per violation, at `span`. For the Builder, which no wrong attribute passes, and
// for the verifier.
Diagnostics attribute_problems(const std::string& name, const graph::FunctionNode& f, Span span);

}  // namespace repose
