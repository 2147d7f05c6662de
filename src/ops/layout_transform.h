// Index maps between layouts of tensors.
#pragma once

#include "ops/ops.h"

namespace repose {

// A call of layout_transform by a map: `lambda n, c: (n, c // 16, c % 16)`.
graph::Value laid_out(graph::Value x, const std::string& map);

}  // namespace repose
