// Layouts of images and kernels: a letter for each dimension, as in "NHWC"; a number and a small
// letter are blocks of a dimension, as in "NCHW16c". Operators over images compute channels first;
// other orders of the same letters are permutations around such a call, blocks layout_transforms.
#pragma once

#include "ops/composite.h"

namespace repose {

// An attribute that says the layout of an operand. An empty one is channels first.
struct LayoutAttr {
  const char* name;
  std::string_view channels_first;
};

// Whether one of the attributes, which belong to the first operands in order, or `out_layout`
// (None: that of operand 0) says something else than channels first.
bool has_other_layouts(const graph::CallNode& call, std::span<const LayoutAttr> layouts);
// The type of such a call, or an error where a layout has other letters.
Result<Type> infer_in_layouts(InferContext& context, const graph::CallNode& call,
                              std::span<const LayoutAttr> layouts);
// The same call channels first, between permutations of its operands and its result.
graph::Value in_channels_first(const graph::CallNode& call, std::span<const LayoutAttr> layouts);

}  // namespace repose
