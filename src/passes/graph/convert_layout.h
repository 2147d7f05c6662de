// Gives convolutions and pools the layouts that someone wishes.
//
// before:  y = conv2d(x, w); z = nn.relu(y)              # NCHW, OIHW
// after:   a = permute_dims(x, [0, 2, 3, 1]); v = permute_dims(w, [0, 2, 3, 1])
//          y = conv2d(a, v, data_layout="NHWC", kernel_layout="OHWI"); r = nn.relu(y)
//          z = permute_dims(r, [0, 3, 1, 2])
// requires: normal form
// ensures: the same results up to the order of sums; types of other values stay. Permutations sink
//          through elementwise operators of one tensor, and of two that are permuted alike, to
//          where they cancel.
//
// It changes the graph, and what a library or a person sees of it. How this compiler lays images
// out is decided for the tensor programs, by assign_layouts (docs/adr/0049-channels-last.md), which
// looks through such permutations as through any others.
#pragma once

#include <map>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// The layout of the tensor, and that of the weight (empty: as it is, or there is none).
struct LayoutWish {
  std::string data, kernel;
};
// By operator: {"nn.conv2d", {"NHWC", "OHWI"}}.
using LayoutWishes = std::map<std::string, LayoutWish>;

// Channels last for convolutions and pools of one to three dimensions.
LayoutWishes channels_last();

// An error: an operator without layouts, a layout with other letters than the operator has.
Result<Module> convert_layout(const Module& module, const OpTable& ops,
                              const LayoutWishes& wishes = channels_last());

}  // namespace repose
