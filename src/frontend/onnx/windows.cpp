// Windows that slide over spatial dimensions.
#include "frontend/onnx/windows.h"

namespace repose::onnx {

Result<std::vector<int64_t>> window_attr(NodeContext& c, const char* name, size_t count,
                                         int64_t least, int64_t absent) {
  REPOSE_TRY(given, c.integers(name));
  if (!given) return std::vector<int64_t>(count, absent);
  if (given->size() != count) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` has {} values, expected {}", name,
                  given->size(), count);
  }
  for (int64_t v : *given) {
    if (v >= least && v <= largest_attribute) continue;
    return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` has the value {}", name, v);
  }
  return *given;
}

namespace {

// What keeps the output at ceil(extent / stride): (ceil(d / s) - 1) * s + span - d, at least 0.
void pad_same(Window& w, const Facts& facts, bool is_lower) {
  for (size_t d = 0; d < w.spatial; ++d) {
    const Expr stride = make_int(w.strides[d]), extent = w.extents[d];
    const Expr needed = (ceil_div(extent, stride) - 1) * stride + w.span(d) - extent;
    const Expr total = simplify(max(needed, make_int(0)), facts);
    const Expr half = simplify(floor_div(total, make_int(2)), facts);
    const Expr rest = simplify(total - half, facts);
    w.before.push_back(is_lower ? rest : half);
    w.after.push_back(is_lower ? half : rest);
  }
}

}  // namespace

Result<Window> window_of(NodeContext& c, const Dims& x, Dims kernel) {
  Window w;
  w.spatial = kernel.size();
  w.kernel = std::move(kernel);
  if (x.size() != w.spatial + 2 || w.spatial < 1 || w.spatial > 3) {
    return c.fail(DiagnosticKind::rank_mismatch,
                  "operand 0 has rank {} and the window has {} dimensions; 1, 2 and 3 spatial "
                  "dimensions are supported",
                  x.size(), w.spatial);
  }
  w.extents.assign(x.begin() + 2, x.end());
  REPOSE_TRY(strides, window_attr(c, "strides", w.spatial, 1, 1));
  REPOSE_TRY(dilations, window_attr(c, "dilations", w.spatial, 1, 1));
  w.strides = strides;
  w.dilations = dilations;
  REPOSE_TRY(mode, c.string("auto_pad", "NOTSET"));
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    pad_same(w, c.facts(), mode == "SAME_LOWER");
    return w;
  }
  if (mode != "NOTSET" && mode != "VALID" && !mode.empty()) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `auto_pad` is \"{}\"", printable(mode));
  }
  REPOSE_TRY(pads, window_attr(c, "pads", 2 * w.spatial, -largest_attribute, 0));
  for (size_t d = 0; d < w.spatial; ++d) {
    w.before.push_back(make_int(mode == "VALID" ? 0 : pads[d]));
    w.after.push_back(make_int(mode == "VALID" ? 0 : pads[d + w.spatial]));
  }
  return w;
}

std::optional<std::vector<int64_t>> constant_padding(const Window& w) {
  std::vector<int64_t> result;
  for (const Dims* side : {&w.before, &w.after}) {
    for (const Expr& p : *side) {
      int64_t value = 0;
      if (!as_const_int(p, &value) || value < 0) return std::nullopt;
      result.push_back(value);
    }
  }
  return result;
}

Result<Operand> padded(NodeContext& c, const Operand& x, const Window& w, const Operand& fill) {
  Dims widths(4, make_int(0));
  for (size_t d = 0; d < w.spatial; ++d) {
    widths.push_back(w.before[d]);
    widths.push_back(w.after[d]);
  }
  return c.call("nn.pad", {x, graph::make_shape(widths), fill});
}

std::string with_rank(const char* op, size_t spatial) {
  return fmt::format("{}{}d", op, spatial);
}

// ---- Convolutions
// --------------------------------------------------------------------------------

Result<Operand> add_bias(NodeContext& c, const Operand& y, const Operand& bias) {
  if (!bias) return y;
  REPOSE_TRY(rank, c.rank(y));
  REPOSE_TRY(dims, c.shape(bias));
  if (dims.size() != 1) {
    return c.fail(DiagnosticKind::rank_mismatch, "the bias has rank {}, expected 1", dims.size());
  }
  REPOSE_TRY(y_dims, c.shape(y));
  auto same = c.require(eq(dims[0], y_dims[1]),
                        "the bias has {0} elements, the result {1} channels", {dims[0], y_dims[1]});
  if (!same.ok()) return same.errors();
  Dims shape(static_cast<size_t>(rank), make_int(1));
  shape[1] = dims[0];
  REPOSE_TRY(column, c.reshape(bias, shape));
  return c.call("add", {y, column});
}

Result<Dims> kernel_of(NodeContext& c, const Operand& weight) {
  REPOSE_TRY(dims, c.shape(weight));
  if (dims.size() < 3) {
    return c.fail(DiagnosticKind::rank_mismatch, "the weight has rank {}, expected at least 3",
                  dims.size());
  }
  Dims kernel(dims.begin() + 2, dims.end());
  REPOSE_TRY(given, window_attr(c, "kernel_shape", kernel.size(), 1, 0));
  for (size_t d = 0; d < kernel.size(); ++d) {
    if (given[d] == 0) continue;
    auto same = c.require(eq(kernel[d], make_int(given[d])),
                          "the weight has the extent {0}, `kernel_shape` says {1}",
                          {kernel[d], make_int(given[d])});
    if (!same.ok()) return same.errors();
  }
  return kernel;
}

Result<Dims> kernel_of_attribute(NodeContext& c) {
  REPOSE_TRY(extents, c.integers("kernel_shape"));
  if (!extents) return c.fail(DiagnosticKind::bad_attribute, "attribute `kernel_shape` is missing");
  REPOSE_TRY(checked, window_attr(c, "kernel_shape", extents->size(), 1, 1));
  Dims kernel;
  for (int64_t e : checked) kernel.push_back(make_int(e));
  return kernel;
}

Result<Operand> convolve(NodeContext& c, Operand x, const Operand& weight,
                         const ConvolveOptions& options) {
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(kernel, kernel_of(c, weight));
  REPOSE_TRY(groups, c.integer("group", 1));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  const std::vector<int64_t> none(2 * w.spatial, 0);
  auto padding = constant_padding(w);
  if (!padding || (options.fill && *padding != none)) {
    REPOSE_TRY(wide, padded(c, x, w, options.fill ? options.fill : c.scalar_like(x, 0)));
    x = wide;
    padding = none;
  }
  Attrs attrs{
      {"strides", w.strides}, {"padding", *padding}, {"dilation", w.dilations}, {"groups", groups}};
  if (options.out_dtype) attrs.set("out_dtype", options.out_dtype);
  return c.call(with_rank("nn.conv", w.spatial), {x, weight}, std::move(attrs));
}

}  // namespace repose::onnx
