// Windows that slide over spatial dimensions: shared by conv.cpp and pool.cpp.
#pragma once

#include "ops/type_rules.h"

namespace repose {

// The window attributes of a call over `spatial` dimensions, one value per dimension.
struct Window {
  std::vector<int64_t> strides, dilation, pad_begin, pad_end;

  bool is_padded(size_t d) const { return pad_begin[d] != 0 || pad_end[d] != 0; }
  // Where tap `k` of the window at output position `o` lies in the input.
  Expr position(size_t d, const Expr& o, const Expr& k) const;
};

// Reads and checks strides, dilation, padding. Padding has one value, one per dimension (both
// sides), or all the begins and then all the ends.
Result<Window> check_window(InferContext& context, const graph::CallNode& call, size_t spatial);
// The same of a call that was checked.
Window window_of(const graph::CallNode& call, size_t spatial);

// floor((extent + pads - dilation * (kernel - 1) - 1) / stride) + 1, and states that it is at least
// 1; with `ceil_mode` rounded up, as long as the last window starts inside the input or the padding
// before it.
Result<Expr> window_count(InferContext& context, std::string_view op, const Window& window,
                          size_t d, const Expr& extent, const Expr& kernel, bool ceil_mode);

// An error unless the layout attribute is the one that is supported.
Result<void> require_layout(InferContext& context, const graph::CallNode& call,
                            std::string_view attr, std::string_view supported);

// `value` where 0 <= position < extent in each dimension that can leave the input, else `outside`.
Expr load_inside(const Window& window, const std::vector<bool>& guarded, const Dims& extents,
                 const std::vector<Expr>& positions, const Expr& value, const Expr& outside);

}  // namespace repose
