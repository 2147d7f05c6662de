// Element types as DLPack numbers them.
#pragma once

#include <optional>

#include "base/dtype.h"

namespace repose {

// Of a dtype that tensors have; `bits` go with it.
uint8_t dlpack_code(DType dtype);
// Nothing: a type that no tensor here has.
std::optional<DType> dtype_of_dlpack(uint8_t code, uint8_t bits);

}  // namespace repose
