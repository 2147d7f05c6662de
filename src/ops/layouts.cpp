// Layouts as permutations, or index maps where they have blocks.
#include "ops/layouts.h"

#include <algorithm>
#include <cctype>

#include "ops/layout_transform.h"

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

// A dimension of a layout: all of a letter's, or what is left of it without its blocks, or a block.
struct LayoutAxis {
  char letter;        // a capital
  int64_t block = 0;  // its size; 0: no block
};

// The dimensions of a layout that has the letters of another one, each once, and blocks of them;
// nothing: it has not.
std::optional<std::vector<LayoutAxis>> axes_of_layout(std::string_view layout,
                                                      std::string_view letters) {
  std::vector<LayoutAxis> axes;
  std::string whole;
  int64_t size = 0;
  for (const char c : layout) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isdigit(byte) && size < 100'000) {
      size = size * 10 + (c - '0');
      continue;
    }
    const char letter = static_cast<char>(std::toupper(byte));
    const bool is_block = std::islower(byte) != 0;
    if (is_block != (size > 0) || letters.find(letter) == std::string_view::npos) {
      return std::nullopt;
    }
    axes.push_back({letter, std::exchange(size, 0)});
    if (!is_block) whole += letter;
  }
  const bool has_all = whole.size() == letters.size() &&
                       std::is_permutation(whole.begin(), whole.end(), letters.begin());
  return has_all && size == 0 ? std::optional(axes) : std::nullopt;
}

bool has_blocks(const std::vector<LayoutAxis>& axes) {
  return std::any_of(axes.begin(), axes.end(), [](const LayoutAxis& a) { return a.block > 0; });
}

// The elements in one step along axis `i` of a layout, counted along its letter.
int64_t step_of(const std::vector<LayoutAxis>& axes, size_t i) {
  int64_t step = 1;
  for (size_t j = 0; j < axes.size(); ++j) {
    const bool is_inside = axes[i].block == 0 || j > i;
    if (j != i && is_inside && axes[j].letter == axes[i].letter) {
      step *= std::max<int64_t>(axes[j].block, 1);
    }
  }
  return step;
}

// The index map from letters without blocks to a layout with some, or back.
std::string blocking_map(std::string_view letters, const std::vector<LayoutAxis>& axes,
                         bool to_blocks) {
  std::vector<std::string> plain, blocked;  // names, or expressions
  for (const char letter : letters)
    plain.push_back(std::string(1, static_cast<char>(std::tolower(letter))));
  if (!to_blocks) {
    for (std::string& p : plain) p.clear();
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    std::string& whole = plain[letters.find(axes[i].letter)];
    const int64_t step = step_of(axes, i);
    if (to_blocks) {
      std::string part = step > 1 ? fmt::format("{} // {}", whole, step) : whole;
      if (axes[i].block) part += fmt::format(" % {}", axes[i].block);
      blocked.push_back(std::move(part));
    } else {
      blocked.push_back(fmt::format("i{}", i));
      if (!whole.empty()) whole += " + ";
      whole += step > 1 ? fmt::format("{} * {}", blocked.back(), step) : blocked.back();
    }
  }
  return fmt::format("lambda {}: ({},)", fmt::join(to_blocks ? plain : blocked, ", "),
                     fmt::join(to_blocks ? blocked : plain, ", "));
}

// What brings a tensor of a layout into the letters without blocks, or back with `to_layout`.
graph::Value relaid(graph::Value x, std::string_view layout, std::string_view letters,
                    bool to_layout = false) {
  if (layout == letters) return x;
  const std::vector<LayoutAxis> blocks = *axes_of_layout(layout, letters);
  if (has_blocks(blocks)) return laid_out(std::move(x), blocking_map(letters, blocks, to_layout));
  const std::string_view from = to_layout ? letters : layout, to = to_layout ? layout : letters;
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
    return error(
        DiagnosticKind::unsupported_feature, context.span(),
        "`{}`: {} is \"{}\", supported are the letters of \"{}\" in any order, and blocks of them "
        "such as \"NCHW16c\"",
        call.op->name, name, given, letters);
  };
  for (size_t i = 0; i < layouts.size(); ++i) {
    const std::string given = layout_of(call, layouts[i]);
    const auto axes = axes_of_layout(given, layouts[i].channels_first);
    if (!axes) return unsupported(layouts[i].name, given, layouts[i].channels_first);
    REPOSE_REQUIRE(require_rank(context, call, i, static_cast<int>(axes->size())));
  }
  const std::string out = out_layout_of(call, layouts);
  if (!axes_of_layout(out, layouts[0].channels_first)) {
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
                out_layout_of(call, layouts), layouts[0].channels_first, true);
}

}  // namespace repose
