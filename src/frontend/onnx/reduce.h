// Makes a model smaller that shows something, as long as it shows that: delta debugging.
#pragma once

#include <functional>

#include "frontend/onnx/model.h"

namespace repose::onnx {

// The number of nodes, those of subgraphs included.
size_t count_nodes(const Model& model);

// `shows` is asked of one candidate after another, each a step away from the best so far; it has to
// hold of `model`. Candidates need not be valid models. The steps, repeated until none succeeds:
//   outputs are left out, and what no output needs;
//   the end of the graph: its inner values become outputs;
//   nodes, many at once at first: their results become inputs of the model, where `value_infos`
//     gives their types, or else one of their operands stands in for each result;
//   a branch stands in for an `If`;
//   attributes, optional operands, declared shapes of results, inputs that nobody reads;
//   constant dimensions of inputs become 1 or 2. Symbols stay as they are.
Model reduce_model(Model model, const std::function<bool(const Model&)>& shows);

}  // namespace repose::onnx
