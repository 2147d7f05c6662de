// Sequences of tensors while a model is imported: tuples, of which no operator of the IR knows.
#pragma once

#include <vector>

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

struct Sequence {
  std::vector<Operand> parts;
  Operand rows = nullptr;  // behind them, each row of this tensor; null: nothing
};

// A value that stands for the sequence in a scope.
Operand sequence_of(Sequence s);
bool is_sequence(const Operand& v);
// Operand `i` of the node.
Result<Sequence> sequence_at(const NodeContext& c, size_t i);
// Whether operands of the node may be sequences.
bool takes_sequences(const Node& node);

}  // namespace repose::onnx
