// Windows that slide over spatial dimensions.
#include "ops/window.h"

namespace repose {

Expr Window::position(size_t d, const Expr& o, const Expr& k) const {
  return o * strides[d] + k * dilation[d] - pad_begin[d];
}

namespace {

// One value: everywhere. One per dimension: both sides. Twice as many: begins, then ends.
std::optional<std::pair<std::vector<int64_t>, std::vector<int64_t>>> pads_of(
    std::vector<int64_t> values, size_t spatial) {
  if (values.size() == 1) values.assign(spatial, values[0]);
  if (values.size() == spatial) return std::pair(values, values);
  if (values.size() != 2 * spatial) return std::nullopt;
  const auto middle = values.begin() + static_cast<int64_t>(spatial);
  return std::pair(std::vector<int64_t>(values.begin(), middle),
                   std::vector<int64_t>(middle, values.end()));
}

std::vector<int64_t> per_dim(const graph::CallNode& call, std::string_view attr, size_t spatial) {
  std::vector<int64_t> values = call.attrs.get_ints(attr);
  if (values.size() == 1) values.assign(spatial, values[0]);
  return values;
}

}  // namespace

Result<Window> check_window(InferContext& context, const graph::CallNode& call, size_t spatial) {
  for (const char* attr : {"strides", "dilation"}) {
    auto values = ints_per_dim(context, call, attr, spatial, 1);
    if (!values.ok()) return values.errors();
  }
  const std::vector<int64_t> padding = call.attrs.get_ints("padding");
  if (!pads_of(padding, spatial)) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: attribute `padding` has {} values, expected 1, {} or {}", call.op->name,
                 padding.size(), spatial, 2 * spatial);
  }
  for (int64_t p : padding) {
    if (p >= 0) continue;
    return error(DiagnosticKind::bad_attribute, context.span(), "`{}`: padding {} is negative",
                 call.op->name, p);
  }
  return window_of(call, spatial);
}

Window window_of(const graph::CallNode& call, size_t spatial) {
  auto pads = *pads_of(call.attrs.get_ints("padding"), spatial);
  return {per_dim(call, "strides", spatial), per_dim(call, "dilation", spatial), pads.first,
          pads.second};
}

Result<Expr> window_count(InferContext& context, std::string_view op, const Window& window,
                          size_t d, const Expr& extent, const Expr& kernel, bool ceil_mode) {
  const Expr padded = canonical(extent + (window.pad_begin[d] + window.pad_end[d]));
  const Expr span = canonical((kernel - 1) * window.dilation[d] + 1);
  const Expr stride = make_int(window.strides[d]);
  REPOSE_REQUIRE(context.require(
      le(span, padded),
      fmt::format("`{}`: the window of {{0}} elements is larger than spatial dimension {} of {{1}} "
                  "elements with its padding",
                  op, d),
      {span, padded}));
  if (!ceil_mode) return simplify(floor_div(padded - span, stride) + 1, context.facts());
  const Expr count = simplify(ceil_div(padded - span, stride) + 1, context.facts());
  // The last window that starts inside the input or the padding before it.
  const Expr last = canonical(ceil_div(extent + window.pad_begin[d], stride));
  return simplify(at_most(count, last, context.facts()), context.facts());
}

Result<void> require_layout(InferContext& context, const graph::CallNode& call,
                            std::string_view attr, std::string_view supported) {
  const std::string given = call.attrs.get_string(attr);
  if (given == supported || given.empty()) return {};
  return error(DiagnosticKind::unsupported_feature, context.span(),
               "`{}`: {} is \"{}\", supported is \"{}\"", call.op->name, attr, given, supported);
}

Expr load_inside(const Window& window, const std::vector<bool>& guarded, const Dims& extents,
                 const std::vector<Expr>& positions, const Expr& value, const Expr& outside) {
  Expr inside;
  auto also = [&](Expr condition) {
    inside = inside ? logical_and(inside, std::move(condition)) : std::move(condition);
  };
  for (size_t d = 0; d < positions.size(); ++d) {
    if (!guarded[d]) continue;
    if (window.pad_begin[d] != 0) also(le(make_int(0), positions[d]));
    also(lt(positions[d], extents[d]));
  }
  return inside ? make_if_then_else(inside, value, outside) : value;
}

}  // namespace repose
