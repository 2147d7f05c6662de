// The ATen operators that can be imported.
#pragma once

#include <span>
#include <vector>

#include "frontend/torch/node_context.h"

namespace repose::torch {

// Of "aten.add.Tensor"; null: unsupported.
const OperatorRow* find_operator(std::string_view name);
// All of them, in order of names.
std::vector<std::string_view> operator_names();

// One list per family, in the file import_<family>.cpp.
std::span<const OperatorRow> activation_operators();
std::span<const OperatorRow> attention_operators();
std::span<const OperatorRow> create_operators();
std::span<const OperatorRow> elementwise_operators();
std::span<const OperatorRow> image_operators();
std::span<const OperatorRow> index_operators();
std::span<const OperatorRow> nn_operators();
std::span<const OperatorRow> norm_operators();
std::span<const OperatorRow> pool_operators();
std::span<const OperatorRow> recurrent_operators();
std::span<const OperatorRow> reduce_operators();
std::span<const OperatorRow> shape_operators();

}  // namespace repose::torch
