// Writes the structs of model.h as an ONNX file.
#pragma once

#include <string>

#include "frontend/onnx/model.h"

namespace repose::onnx {

// ModelProto; what the structs do not hold (documentation, training information, …) is gone.
// Tensors are written as they were read: elements in other files stay there.
std::string write_model(const Model& model);

}  // namespace repose::onnx
