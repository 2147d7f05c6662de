// Windows that slide over spatial dimensions: what importers of convolutions and pools share.
#pragma once

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

// Paddings, strides and the like beyond this are refused: sums of them stay in 64 bits.
inline constexpr int64_t largest_attribute = int64_t{1} << 31;

struct Window {
  size_t spatial = 0;
  Dims extents;  // of the operand
  Dims kernel;
  std::vector<int64_t> strides, dilations;
  Dims before, after;  // paddings

  Expr span(size_t d) const { return canonical((kernel[d] - 1) * dilations[d] + 1); }
};

// `count` values from `least` on, one for each dimension, of an attribute; `absent` if there is
// none.
Result<std::vector<int64_t>> window_attr(NodeContext& c, const char* name, size_t count,
                                         int64_t least, int64_t absent);
// The window of kernel extents `kernel` over an operand of shape `x`: reads strides, dilations and
// paddings.
Result<Window> window_of(NodeContext& c, const Dims& x, Dims kernel);
// The kernel's extents: those of the weight, which `kernel_shape` may only repeat.
Result<Dims> kernel_of(NodeContext& c, const Operand& weight);
// The kernel's extents where they are an attribute.
Result<Dims> kernel_of_attribute(NodeContext& c);

// The paddings as attributes: all begins, then all ends. Nothing where they are not constant or
// negative.
std::optional<std::vector<int64_t>> constant_padding(const Window& w);
// The operand with the padding added to it, for paddings that no attribute can hold.
Result<Operand> padded(NodeContext& c, const Operand& x, const Window& w, const Operand& fill);
// "nn.conv" and 2: "nn.conv2d".
std::string with_rank(const char* op, size_t spatial);

// The convolution that the node describes. With `fill` the operand is padded by that value, not by
// zeros; with `out_dtype` it accumulates in that dtype.
struct ConvolveOptions {
  Operand fill = nullptr;
  DType out_dtype = dtypes::none;
};
Result<Operand> convolve(NodeContext& c, Operand x, const Operand& weight,
                         const ConvolveOptions& options = {});
// y and a bias for each channel; y where the bias is null.
Result<Operand> add_bias(NodeContext& c, const Operand& y, const Operand& bias);

}  // namespace repose::onnx
