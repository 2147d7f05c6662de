// Layouts as permutations.
#include "ops/layouts.h"

#include <algorithm>

namespace repose {

namespace {

std::string layout_of(const graph::CallNode& call, const LayoutAttr& layout) {
  const std::string given = call.attrs.get_string(layout.name);
  return given.empty() ? std::string(layout.channels_first) : given;
}

std::string out_layout_of(const graph::CallNode& call, std::span<const LayoutAttr> layouts) {
  const Attr* out = call.attrs.find("out_layout");
  const std::string* given = out ? out->as_string() : nullptr;
  return given && !given->empty() ? *given : layout_of(call, layouts[0]);
}

bool is_permutation_of(std::string_view layout, std::string_view other) {
  return layout.size() == other.size() &&
         std::is_permutation(layout.begin(), layout.end(), other.begin());
}

// What brings a tensor of one layout into another.
graph::Value relaid(graph::Value x, std::string_view from, std::string_view to) {
  if (from == to) return x;
  std::vector<int64_t> axes;
  for (char letter : to) axes.push_back(static_cast<int64_t>(from.find(letter)));
  return permuted(std::move(x), axes);
}

}  // namespace

bool has_other_layouts(const graph::CallNode& call, std::span<const LayoutAttr> layouts) {
  return out_layout_of(call, layouts) != layouts[0].channels_first ||
         std::any_of(layouts.begin(), layouts.end(), [&](const LayoutAttr& layout) {
           return layout_of(call, layout) != layout.channels_first;
         });
}

Result<Type> infer_in_layouts(InferContext& context, const graph::CallNode& call,
                              std::span<const LayoutAttr> layouts) {
  auto unsupported = [&](const char* name, const std::string& given, std::string_view letters) {
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`{}`: {} is \"{}\", supported are the letters of \"{}\" in any order",
                 call.op->name, name, given, letters);
  };
  for (size_t i = 0; i < layouts.size(); ++i) {
    const std::string given = layout_of(call, layouts[i]);
    if (!is_permutation_of(given, layouts[i].channels_first)) {
      return unsupported(layouts[i].name, given, layouts[i].channels_first);
    }
    REPOSE_REQUIRE(require_rank(context, call, i, static_cast<int>(given.size())));
  }
  const std::string out = out_layout_of(call, layouts);
  if (!is_permutation_of(out, layouts[0].channels_first)) {
    return unsupported("out_layout", out, layouts[0].channels_first);
  }
  return composite_type(context, in_channels_first(call, layouts));
}

graph::Value in_channels_first(const graph::CallNode& call, std::span<const LayoutAttr> layouts) {
  std::vector<graph::Value> args = call.args;
  Attrs attrs = call.attrs;
  for (size_t i = 0; i < layouts.size(); ++i) {
    args[i] = relaid(args[i], layout_of(call, layouts[i]), layouts[i].channels_first);
    attrs.set(layouts[i].name, Attr(std::string(layouts[i].channels_first)));
  }
  if (attrs.find("out_layout")) attrs.set("out_layout", Attr());
  return relaid(graph::make_op_call(*call.op, std::move(args), std::move(attrs)),
                layouts[0].channels_first, out_layout_of(call, layouts));
}

}  // namespace repose
