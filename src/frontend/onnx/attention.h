// Parts of attention that several operators of ONNX are composed of.
#pragma once

#include "frontend/common/attention.h"
#include "frontend/onnx/node_context.h"

namespace repose::onnx {

using frontend::attend;
using frontend::Attended;
using frontend::attention_bias;
using frontend::AttentionMasks;
using frontend::AttentionOperands;
using frontend::join_heads;
using frontend::split_heads;

// The attention of com.microsoft's `Attention` and `QAttention`: queries, keys and values side by
// side (batch, length, sizes of the three). Operand `mask`, `past` and `bias` (0: none) of the node
// say which keys count, what came before, and what is added to scores. The result, and keys and
// values with the past.
Result<Values> attend_projected(NodeContext& c, const Operand& projected, size_t mask, size_t past,
                                size_t bias);

struct RotaryOptions {
  bool is_interleaved = false;
  int64_t size = 0;  // elements of a head that are rotated; 0: all
};
// x (batch, heads, length, size) with pairs of elements turned by the angles of their places: the
// caches have a row for each place (with `positions`, (batch, length): these rows of a matrix).
Operand rotate_positions(NodeContext& c, Composite& m, const Operand& x, const Operand& cosines,
                         const Operand& sines, const Operand& positions,
                         const RotaryOptions& options);

}  // namespace repose::onnx
