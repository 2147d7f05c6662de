// Casts as ONNX defines them where the target is a type that few operators compute with.
#pragma once

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

enum class PowerRounding : uint8_t { up, down, nearest };

struct CastOptions {
  bool saturate = true;                        // of floats of 8 bits
  PowerRounding rounding = PowerRounding::up;  // to float8_e8m0fnu
};

// The attributes `saturate` and `round_mode`, where they are.
Result<CastOptions> cast_options(NodeContext& c);

// Floats that are beyond those of 8 bits become the largest, or what `astype` makes of them
// (infinity or NaN); integers of 4 and 2 bits wrap, floats on the way to them first become int32.
Operand convert(Composite& m, const Operand& x, DType to, const CastOptions& options = {});

}  // namespace repose::onnx
