// Convolutions by 3×3 windows with fewer products: Winograd's minimal filtering.
#pragma once

#include "ir/builder.h"
#include "ops/window.h"

namespace repose {

// nn.conv2d of constant weights of 3×3 taps, with strides and dilation 1 and one group, as F(4×4,
// 3×3) (Lavin and Gray 2016; Winograd 1980): 36 products for 16 outputs instead of 144. The points
// are 0, 1, -1, 1/2, -2 and infinity (after Barabasz et al. 2020): the largest error is two to
// three times that of the plain sum.
//
// Nothing where it doesn't apply, or where it wouldn't win: for float32 alone, from 64 channels in
// and out, and where tiles of 4×4 outputs fit the image. What is chosen depends on the extents that
// are not batch, so no result depends on the batch.
std::optional<Result<graph::Value>> lower_winograd(Builder& b, const graph::CallNode& call,
                                                   const Window& window);

}  // namespace repose
