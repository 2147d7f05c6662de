// In which dtype PyTorch computes with operands of different ones.
#pragma once

#include "frontend/torch/node_context.h"

namespace repose::torch {

struct Pair {
  Operand a, b;
};
// Two arguments, tensors or numbers, in the dtype that PyTorch computes in: the higher category
// (bool, integers, floats) wins; within one, tensors of rank above 0 over those of rank 0, and both
// over numbers; then the wider one.
Result<Pair> promoted(NodeContext& c, std::string_view a, std::string_view b);

}  // namespace repose::torch
