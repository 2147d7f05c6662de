// The order in which the nodes of a graph can be imported.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "frontend/onnx/model.h"

namespace repose::onnx {

// Where a node of a graph comes from, for messages: its name, operator and position, and the
// function that it belongs to, where it does.
Span node_span(const Node& node, size_t position, std::string_view function = {});

// Positions of the nodes, each after those that produce its operands (those of its subgraphs
// included), as close to the order of the file as that allows. `is_own` knows the inputs and
// initializers of this graph, `is_outer` those and all values of the graphs around it. Errors, all
// that there are:
//   bad_model      a value is produced twice, or is an input or initializer too; a cycle
//   missing_value  an operand that nothing produces
Result<std::vector<size_t>> order_nodes(const std::vector<Node>& nodes,
                                        const std::function<bool(std::string_view)>& is_own,
                                        const std::function<bool(std::string_view)>& is_outer,
                                        std::string_view function = {});

}  // namespace repose::onnx
