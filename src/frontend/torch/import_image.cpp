// Images in other sizes, and detection.
#include <algorithm>
#include <cmath>
#include <optional>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// ---- Interpolation: one `resize` for each axis

struct ResizeKind {
  const char* method;
  const char* coordinates;
  const char* rounding;
};

// A scale as a fraction, as far as it is a short one.
std::optional<std::pair<int64_t, int64_t>> fraction_of(double value) {
  for (int64_t divisor = 1; divisor <= 4096; ++divisor) {
    const double product = value * static_cast<double>(divisor);
    if (product > 0 && product < 1e9 && product == std::floor(product)) {
      return std::pair(static_cast<int64_t>(product), divisor);
    }
  }
  return std::nullopt;
}

// The scale of axis `i`, where it is given: coordinates follow from it, not from the sizes.
Result<std::optional<double>> scale_of(NodeContext& c, size_t i) {
  if (c.has("output_size")) return std::optional<double>();
  if (c.has("scale_factors")) {
    REPOSE_TRY(factors, c.numbers("scale_factors"));
    if (factors && i < factors->size()) return std::optional((*factors)[i]);
  }
  const char* arg = c.has("scales") ? "scales" : i == 0 ? "scales_h" : "scales_w";
  if (!c.has(arg)) return std::optional<double>();
  REPOSE_TRY(value, c.number(arg, 0));
  return std::optional(value);
}

Result<Operand> resize(NodeContext& c, const ResizeKind& kind) {
  REPOSE_TRY(given, c.tensor(c.has("self") ? "self" : "input"));
  REPOSE_TRY(shape, c.result_shape());
  REPOSE_TRY(dims, c.shape(given));
  REPOSE_TRY(aligned, c.flag("align_corners", false));
  if (dims.size() < 3 || shape.size() != dims.size()) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 3",
                  dims.size());
  }
  Operand x = given;
  for (size_t axis = 2; axis < dims.size(); ++axis) {
    if (prove_equal(dims[axis], shape[axis], c.facts()) == Truth::yes) continue;
    Expr over = shape[axis], under = dims[axis];
    REPOSE_TRY(scale, scale_of(c, axis - 2));
    if (const auto fraction = scale ? fraction_of(*scale) : std::nullopt; fraction && !aligned) {
      over = make_int(fraction->first);
      under = make_int(fraction->second);
    }
    REPOSE_TRY(y, c.call("resize",
                         {x, graph::make_prim(shape[axis]), graph::make_prim(over),
                          graph::make_prim(under)},
                         {{"axis", static_cast<int64_t>(axis)},
                          {"method", kind.method},
                          {"coordinates", aligned ? "align_corners" : kind.coordinates},
                          {"rounding", kind.rounding}}));
    x = y;
  }
  return x;
}

Result<Operand> nearest(NodeContext& c) {
  return resize(c, {"nearest", "asymmetric", "floor"});
}
Result<Operand> nearest_exact(NodeContext& c) {
  return resize(c, {"nearest", "half_pixel", "prefer_floor"});
}
Result<Operand> linear(NodeContext& c) {
  return resize(c, {"linear", "half_pixel", "prefer_floor"});
}
Result<Operand> cubic(NodeContext& c) {
  return resize(c, {"cubic", "half_pixel", "prefer_floor"});
}

Result<Operand> grid_sample(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(grid, c.tensor("grid"));
  REPOSE_TRY(mode, c.integer("interpolation_mode", 0));
  REPOSE_TRY(padding, c.integer("padding_mode", 0));
  REPOSE_TRY(aligned, c.flag("align_corners", false));
  const char* const modes[] = {"linear", "nearest", "cubic"};
  const char* const paddings[] = {"zeros", "border", "reflection"};
  if (mode < 0 || mode > 2 || padding < 0 || padding > 2) {
    return c.fail(DiagnosticKind::bad_argument, "interpolation {} and padding {}", mode, padding);
  }
  return c.call(
      "grid_sample", {x, grid},
      {{"mode", modes[mode]}, {"padding", paddings[padding]}, {"align_corners", aligned}});
}

// ---- Detection (torchvision)

Result<Operand> roi_align(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(rois, c.tensor("rois"));  // (count, 5): image, x0, y0, x1, y1
  REPOSE_TRY(scale, c.number("spatial_scale", 1));
  REPOSE_TRY(height, c.integer("pooled_height"));
  REPOSE_TRY(width, c.integer("pooled_width"));
  REPOSE_TRY(sampling, c.integer("sampling_ratio", -1));
  REPOSE_TRY(aligned, c.flag("aligned", false));
  Composite m(c);
  const Operand images = m.squeeze(m.slice(rois, 1, make_int(0), make_int(1)), {1});
  const Operand corners = m.slice(rois, 1, make_int(1), make_int(5));
  return m.result(m.call("roi_align", {x, corners, m.cast(images, dtypes::int64)},
                         {{"height", height},
                          {"width", width},
                          {"sampling", std::max<int64_t>(sampling, 0)},
                          {"scale", scale},
                          {"half_pixel", aligned}}));
}

}  // namespace

std::span<const OperatorRow> image_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.grid_sampler.default", one<grid_sample>},
      {"aten.grid_sampler_2d.default", one<grid_sample>},
      {"aten.grid_sampler_3d.default", one<grid_sample>},
      {"aten.upsample_bicubic2d.default", one<cubic>},
      {"aten.upsample_bicubic2d.vec", one<cubic>},
      {"aten.upsample_bilinear2d.default", one<linear>},
      {"aten.upsample_bilinear2d.vec", one<linear>},
      {"aten.upsample_linear1d.default", one<linear>},
      {"aten.upsample_linear1d.vec", one<linear>},
      {"aten.upsample_nearest1d.default", one<nearest>},
      {"aten.upsample_nearest1d.vec", one<nearest>},
      {"aten.upsample_nearest2d.default", one<nearest>},
      {"aten.upsample_nearest2d.vec", one<nearest>},
      {"aten.upsample_nearest3d.default", one<nearest>},
      {"aten.upsample_nearest3d.vec", one<nearest>},
      {"aten._upsample_nearest_exact2d.default", one<nearest_exact>},
      {"aten._upsample_nearest_exact2d.vec", one<nearest_exact>},
      {"aten.upsample_trilinear3d.default", one<linear>},
      {"aten.upsample_trilinear3d.vec", one<linear>},
      {"torchvision.roi_align.default", one<roi_align>},
  };
  return rows;
}

}  // namespace repose::torch
