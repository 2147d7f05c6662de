// The ONNX operators that can be imported.
#pragma once

#include <span>

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

inline constexpr int64_t min_opset = 7, max_opset = 28;

// The importer of operator `name` of the default domain in operator set `opset`; null: unsupported.
ImportOperator find_operator(std::string_view name, int64_t opset);

// One list per family, in the file import_<family>.cpp.
std::span<const OperatorRow> elementwise_operators();
std::span<const OperatorRow> activation_operators();
std::span<const OperatorRow> shape_operators();
std::span<const OperatorRow> create_operators();
std::span<const OperatorRow> index_operators();
std::span<const OperatorRow> nn_operators();
std::span<const OperatorRow> norm_operators();
std::span<const OperatorRow> recurrent_operators();
std::span<const OperatorRow> reduce_operators();
std::span<const OperatorRow> resize_operators();
std::span<const OperatorRow> sort_operators();

}  // namespace repose::onnx
