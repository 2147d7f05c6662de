// Element types, and the contents of parameters, buffers and constants.
#pragma once

#include "frontend/torch/program.h"
#include "ir/array.h"

namespace repose::torch {

// unsupported_dtype: complex and quantized types, and numbers that are no type.
Result<DType> dtype_of(ScalarType type, const Span& span);
// As PyTorch calls it: "float32".
std::string type_name(ScalarType type);

// The contents of `program.payloads` under a name: where they lie if they are compact, else a copy.
// Errors: bad_model, unsupported_feature (pickled, by name), unsupported_dtype.
Result<Array> payload_data(const Program& program, const std::string& name);

}  // namespace repose::torch
