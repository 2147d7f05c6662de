// Images: places sampled in them, regions pooled, grids, deformed convolutions, centred cuts.
#include <cmath>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/windows.h"

namespace repose::onnx {
namespace {

// ---- Places
// --------------------------------------------------------------------------------------

Result<Operand> grid_sample(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(grid, c.input(1));
  REPOSE_TRY(given, c.string("mode", "linear"));
  REPOSE_TRY(padding, c.string("padding_mode", "zeros"));
  REPOSE_TRY(corners, c.flag("align_corners", false));
  const std::string mode = given == "bilinear"  ? "linear"  // before operator set 20
                           : given == "bicubic" ? "cubic"
                                                : given;
  if (mode != "linear" && mode != "nearest" && mode != "cubic") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(given));
  }
  if (padding != "zeros" && padding != "border" && padding != "reflection") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `padding_mode` is \"{}\"",
                  printable(padding));
  }
  return c.call("grid_sample", {x, grid},
                {{"mode", mode}, {"padding", padding}, {"align_corners", corners}});
}

// theta * (x, y, 1), or (x, y, z, 1), for places from -1 to 1 over an image.
Result<Operand> affine_grid(NodeContext& c) {
  REPOSE_TRY(theta, c.input(0));
  REPOSE_TRY(size, c.input(1));
  REPOSE_TRY(corners, c.flag("align_corners", false));
  REPOSE_TRY(sizes, c.elements(size, "size"));
  const int64_t spatial = static_cast<int64_t>(sizes.size()) - 2;
  if (spatial != 2 && spatial != 3) {
    return c.fail(DiagnosticKind::bad_argument, "`size` has {} elements, expected 4 or 5",
                  sizes.size());
  }
  Composite m(c);
  const Dims d = m.shape(theta, 3, 0);
  m.require(logical_and(eq(d[1], make_int(spatial)), eq(d[2], make_int(spatial + 1))),
            "transforms of {0} by {1} numbers", {d[1], d[2]});
  m.require(eq(d[0], sizes[0]), "{0} transforms of {1} images", {d[0], sizes[0]});
  const DType dtype = c.dtype(theta);
  Dims column{d[0]};  // one number of each row, beside the images
  for (int64_t k = 0; k < spatial; ++k) column.push_back(make_int(1));
  column.push_back(make_int(spatial));
  auto numbers = [&](int64_t i) {
    return m.reshape(m.slice(theta, 2, make_int(i), make_int(i + 1)), column);
  };
  Operand y = numbers(spatial);
  for (int64_t k = 0; k < spatial; ++k) {
    const Expr& extent = sizes[static_cast<size_t>(sizes.size() - 1) - static_cast<size_t>(k)];
    const Operand step = m.arange_along(extent, dtype, spatial - k, spatial + 2);
    // Elements' centres: -1 + (2 i + 1) / n; from corner to corner: -1 + 2 i / (n - 1).
    const Operand twice = m.multiply(step, 2.0);
    const Operand place = corners ? m.divide(twice, m.number(max(extent - 1, make_int(1)), dtype))
                                  : m.divide(m.add(twice, 1.0), m.number(extent, dtype));
    y = m.add(y, m.multiply(m.subtract(place, 1.0), numbers(k)));
  }
  return m.result(y);
}

// ---- Regions
// -------------------------------------------------------------------------------------

template <bool half_pixel_by_default>
Result<Operand> roi_align(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rois, c.input(1));
  REPOSE_TRY(batch, c.input(2));
  REPOSE_TRY(mode, c.string("mode", "avg"));
  REPOSE_TRY(coordinates, c.string("coordinate_transformation_mode",
                                   half_pixel_by_default ? "half_pixel" : "output_half_pixel"));
  REPOSE_TRY(height, c.integer("output_height", 1));
  REPOSE_TRY(width, c.integer("output_width", 1));
  REPOSE_TRY(sampling, c.integer("sampling_ratio", 0));
  REPOSE_TRY(scale, c.number("spatial_scale", 1));
  if (mode != "avg" && mode != "max") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
  }
  if (coordinates != "half_pixel" && coordinates != "output_half_pixel") {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `coordinate_transformation_mode` is \"{}\"", printable(coordinates));
  }
  return c.call("roi_align", {x, rois, batch},
                {{"mode", mode},
                 {"height", height},
                 {"width", width},
                 {"sampling", sampling},
                 {"scale", scale},
                 {"half_pixel", coordinates == "half_pixel"}});
}

Result<Operand> max_roi_pool(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rois, c.input(1));
  REPOSE_TRY(scale, c.number("spatial_scale", 1));
  REPOSE_TRY(parts, window_attr(c, "pooled_shape", 2, 1, 1));
  return c.call("roi_max_pool", {x, rois},
                {{"height", parts[0]}, {"width", parts[1]}, {"scale", scale}});
}

// A convolution whose taps read x at places moved by offsets, weighted by a mask: what they read,
// then a product with the weight for each group.
Result<Operand> deform_conv(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(offset, c.input(2));
  REPOSE_TRY(groups, c.integer("group", 1));
  REPOSE_TRY(sets, c.integer("offset_group", 1));
  Composite m(c);
  const Dims d = m.shape(x, 4, 0), w = m.shape(weight, 4, 1), o = m.shape(offset, 4, 2);
  if (!m.ok()) return m.result(nullptr);
  if (groups < 1 || sets < 1) {
    return c.fail(DiagnosticKind::bad_attribute, "{} groups and {} groups of offsets", groups,
                  sets);
  }
  REPOSE_TRY(kernel, kernel_of(c, weight));
  REPOSE_TRY(window, window_of(c, d, kernel));
  const Expr &height = o[2], &width = o[3];
  const Expr taps = canonical(kernel[0] * kernel[1]);
  const Expr places = canonical(height * width);
  for (size_t i = 0; i < 2; ++i) {
    const Expr room = d[i + 2] + window.before[i] + window.after[i] - window.span(i);
    const Expr want = simplify(floor_div(room, make_int(window.strides[i])) + 1, c.facts());
    m.require(eq(o[i + 2], want), "offsets for {0} places along an axis, expected {1}",
              {o[i + 2], want});
  }
  m.require(eq(o[1], taps * (2 * sets)), "{0} offsets, expected {1}",
            {o[1], canonical(taps * (2 * sets))});
  m.require(eq(d[1], w[1] * groups), "{0} channels, expected {1}",
            {d[1], canonical(w[1] * groups)});
  m.require(eq(floor_mod(d[1], make_int(sets)), make_int(0)),
            "{0} channels are not divided by {1} groups of offsets", {d[1], make_int(sets)});
  m.require(eq(floor_mod(w[0], make_int(groups)), make_int(0)),
            "{0} output channels are not divided by {1} groups", {w[0], make_int(groups)});
  const DType dtype = c.dtype(x);
  const Expr in_set = simplify(floor_div(d[1], make_int(sets)), c.facts());
  const Expr batch = canonical(d[0] * sets);
  // The place of each tap: (batch * sets, taps, height, width) along both axes.
  const Operand moved =
      m.reshape(offset, {batch, kernel[0], kernel[1], make_int(2), height, width});
  auto place = [&](int64_t axis) {
    const size_t a = static_cast<size_t>(axis);
    const Operand tap = m.multiply(m.arange_along(kernel[a], dtype, axis, 4),
                                   static_cast<double>(window.dilations[a]));
    const Operand start = m.subtract(m.multiply(m.arange_along(o[a + 2], dtype, axis + 2, 4),
                                                static_cast<double>(window.strides[a])),
                                     m.number(window.before[a], dtype));
    const Operand by = m.squeeze(m.slice(moved, 3, make_int(axis), make_int(axis + 1)), {3});
    return m.reshape(m.add(m.add(tap, start), by),
                     {batch, canonical(taps * height), width, make_int(1)});
  };
  const Operand grid = m.concat({place(1), place(0)}, 3);
  Operand columns = m.call("grid_sample", {m.reshape(x, {batch, in_set, d[2], d[3]}), grid},
                           {{"normalized", false}});
  if (c.has(4)) {
    m.shape(c.optional(4), 4, 4);
    columns = m.multiply(
        columns, m.reshape(c.optional(4), {batch, make_int(1), canonical(taps * height), width}));
  }
  columns = m.reshape(columns, {d[0], make_int(groups), canonical(w[1] * taps), places});
  const Expr outputs = simplify(floor_div(w[0], make_int(groups)), c.facts());
  const Operand rows = m.reshape(weight, {make_int(groups), outputs, canonical(w[1] * taps)});
  const Operand y = m.reshape(m.matmul(rows, columns), {d[0], w[0], height, width});
  if (!m.ok()) return m.result(y);
  return add_bias(c, y, c.optional(3));
}

// ---- Cuts
// ----------------------------------------------------------------------------------------

// Along each axis as many elements as asked for, from the middle, or with zeros around.
Result<Operand> center_crop_pad(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(shape, c.input(1));
  REPOSE_TRY(wanted, c.elements(shape, "shape"));
  REPOSE_TRY(given, c.integers("axes"));
  REPOSE_TRY(dims, c.shape(x));
  const int64_t rank = static_cast<int64_t>(dims.size());
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < (given ? static_cast<int64_t>(given->size()) : rank); ++i) {
    REPOSE_TRY(axis, c.axis(given ? (*given)[static_cast<size_t>(i)] : i, rank));
    axes.push_back(axis);
  }
  if (wanted.size() != axes.size()) {
    return c.fail(DiagnosticKind::bad_argument, "`shape` has {} elements for {} axes",
                  wanted.size(), axes.size());
  }
  Dims widths(2 * dims.size(), make_int(0));
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(axes[i]);
    const Expr missing = wanted[i] - dims[axis], zero = make_int(0), two = make_int(2);
    // Half of what is missing, or of what is too much, rounded down.
    const Expr before = simplify(
        floor_div(max(missing, zero), two) - floor_div(max(zero - missing, zero), two), c.facts());
    widths[2 * axis] = before;
    widths[2 * axis + 1] = simplify(missing - before, c.facts());
  }
  return c.call("nn.pad", {x, graph::make_shape(widths)});
}

}  // namespace

std::span<const OperatorRow> image_operators() {
  static constexpr OperatorRow rows[] = {
      {"AffineGrid", 20, one<affine_grid>},   {"CenterCropPad", 18, one<center_crop_pad>},
      {"DeformConv", 19, one<deform_conv>},   {"GridSample", 16, one<grid_sample>},
      {"MaxRoiPool", 1, one<max_roi_pool>},   {"RoiAlign", 10, one<roi_align<false>>},
      {"RoiAlign", 16, one<roi_align<true>>},
  };
  return rows;
}

}  // namespace repose::onnx
