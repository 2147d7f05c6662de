// The ONNX operators that can be imported.
#pragma once

#include <span>

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

// Of the sets before 7, what has not changed since.
inline constexpr int64_t min_opset = 1, max_opset = 28;

// The importer of operator `name` of a domain ("": the default one) in operator set `opset` of the
// default domain; null: unsupported. Of other domains, every version.
ImportOperator find_operator(std::string_view domain, std::string_view name, int64_t opset);

// One list per family, in the file import_<family>.cpp.
std::span<const OperatorRow> elementwise_operators();
std::span<const OperatorRow> activation_operators();
std::span<const OperatorRow> shape_operators();
std::span<const OperatorRow> create_operators();
std::span<const OperatorRow> index_operators();
std::span<const OperatorRow> nn_operators();
std::span<const OperatorRow> pool_operators();
std::span<const OperatorRow> norm_operators();
std::span<const OperatorRow> recurrent_operators();
std::span<const OperatorRow> reduce_operators();
std::span<const OperatorRow> resize_operators();
std::span<const OperatorRow> sort_operators();
std::span<const OperatorRow> quantize_operators();
std::span<const OperatorRow> einsum_operators();
std::span<const OperatorRow> attention_operators();
std::span<const OperatorRow> loss_operators();
std::span<const OperatorRow> signal_operators();
std::span<const OperatorRow> image_operators();
std::span<const OperatorRow> random_operators();
std::span<const OperatorRow> text_operators();
std::span<const OperatorRow> sequence_operators();
// Other domains.
std::span<const OperatorRow> microsoft_operators();           // com.microsoft
std::span<const OperatorRow> ml_operators();                  // ai.onnx.ml
std::span<const OperatorRow> preview_operators();             // ai.onnx.preview
std::span<const OperatorRow> training_operators();            // ai.onnx.preview.training
std::span<const OperatorRow> microsoft_quantize_operators();  // com.microsoft
std::span<const OperatorRow> microsoft_recurrent_operators();

}  // namespace repose::onnx
