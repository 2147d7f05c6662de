// A Builder in Python's hands.
#pragma once

#include <memory>

#include "ir/builder.h"
#include "values.h"

namespace repose::python {

struct GraphBuilder {
  std::unique_ptr<Builder> own;  // null: that of a pass
  Builder* builder = nullptr;
  int functions = 0;  // begun and not ended
};

// Raises where `outputs` read a placeholder that is not one of `inputs`.
void check_inputs(const std::vector<te::Tensor>& inputs, const std::vector<te::Tensor>& outputs);

}  // namespace repose::python
