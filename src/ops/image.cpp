// Images under TVM's names: what consists of resize, grid_sample, roi_align and roi_max_pool.
//   image.resize2d, image.resize3d: the spatial dimensions resized, one after the other.
//     C1: the operand has the rank of the layout, "NCHW" or "NCDHW" with its letters in any order;
//         `size` has a member for each spatial dimension, in the order D, H, W.
//     C2: the method is "nearest_neighbor", "linear" or "cubic"; the coordinates are "half_pixel",
//         "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric" or "align_corners".
//     C3: the rounding of "nearest_neighbor" is "round", "round_prefer_ceil" (the same: halves up),
//         "round_prefer_floor", "floor" or "ceil"; "" is "round" where corners are aligned, else
//         "floor".
//   image.grid_sample: the grid (batch, k, o…) names places by its dimension 1, the last spatial
//   dimension first.
//     C4: the method is "nearest", "bilinear" or "bicubic"; the rest is as for `grid_sample`.
//   image.affine_grid: y[n, :, i, j] = data[n] · (column, row, 1), rows and columns running from -1
//   to 1 over the size: over the centers of the elements with `align_corners` (0 where there is
//   one), else over their edges.
//     C5: data is a float of shape (batch, 2, 3); `size` has two members, not negative. float16 and
//         bfloat16 compute in float32.
//   vision.roi_align, vision.roi_pool: of regions (image, left, top, right, bottom).
//     C6: the regions have the shape (count, 5); `pooled_size` has one member or two; the layout is
//         "NCHW" with its letters in any order. A `sample_ratio` below 1 is chosen by the region.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

Diagnostic image_attr_error(const Span& span, const graph::CallNode& call, const char* attr) {
  return error(DiagnosticKind::unsupported_feature, span, "`{}`: {} \"{}\" is not supported",
               call.op->name, attr, call.attrs.get_string(attr));
}

// The name of `resize` or `grid_sample` for one of TVM's; empty: there is none.
std::string method_name(const std::string& name) {
  if (name == "nearest_neighbor" || name == "nearest") return "nearest";
  if (name == "linear" || name == "bilinear") return "linear";
  return name == "cubic" || name == "bicubic" ? "cubic" : "";
}

std::string rounding_name(const graph::CallNode& call) {
  std::string name = call.attrs.get_string("rounding_method");
  if (name.empty()) {
    const bool corners = call.attrs.get_string("coordinate_transformation_mode") == "align_corners";
    name = corners ? "round" : "floor";
  }
  if (name == "round" || name == "round_prefer_ceil") return "prefer_ceil";
  if (name == "round_prefer_floor") return "prefer_floor";
  return name == "floor" || name == "ceil" ? name : "";
}

bool has_letters(const std::string& layout, std::string_view letters) {
  return layout.size() == letters.size() &&
         std::is_permutation(layout.begin(), layout.end(), letters.begin());
}

std::vector<int64_t> order_between(const std::string& from, const std::string& to) {
  std::vector<int64_t> axes;
  for (char letter : to) axes.push_back(static_cast<int64_t>(from.find(letter)));
  return axes;
}

graph::Value channels_first(const graph::CallNode& call, const std::string& letters) {
  const std::string layout = call.attrs.get_string("layout");
  return layout == letters ? call.args[0] : permuted(call.args[0], order_between(layout, letters));
}
graph::Value back_from_channels_first(const graph::CallNode& call, graph::Value x,
                                      const std::string& letters) {
  const std::string layout = call.attrs.get_string("layout");
  return layout == letters ? x : permuted(std::move(x), order_between(letters, layout));
}

template <size_t spatial>
graph::Value compose_image_resize(const graph::CallNode& call) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  const std::string layout = call.attrs.get_string("layout");
  const Dims& size = *shape_arg(call, 1);
  graph::Value y = call.args[0];
  for (size_t d = 0; d < spatial; ++d) {
    const size_t axis = layout.find("DHW"[d + 3 - spatial]);
    Attrs attrs{{"axis", Attr(static_cast<int64_t>(axis))},
                {"method", Attr(method_name(call.attrs.get_string("method")))},
                {"coordinates", *call.attrs.find("coordinate_transformation_mode")},
                {"rounding", Attr(rounding_name(call))},
                {"cubic_alpha", *call.attrs.find("cubic_alpha")},
                {"exclude_outside", Attr(call.attrs.get_int("cubic_exclude") != 0)}};
    y = graph::make_op_call(op_resize(),
                            {std::move(y), graph::make_prim(size[d]), graph::make_prim(size[d]),
                             graph::make_prim((*x->shape)[axis])},
                            std::move(attrs));
  }
  const DType out = call.attrs.get_dtype("out_dtype");
  return out && out != x->dtype ? converted(std::move(y), out) : y;
}

template <size_t spatial>
Result<Type> infer_image_resize(InferContext& context, const graph::CallNode& call) {
  const std::string layout = call.attrs.get_string("layout");
  if (!has_letters(layout, spatial == 2 ? "NCHW" : "NCDHW")) {  // C1
    return image_attr_error(context.span(), call, "layout");
  }
  const std::string method = call.attrs.get_string("method");
  if (method != "nearest_neighbor" && method != "linear" && method != "cubic") {  // C2
    return image_attr_error(context.span(), call, "method");
  }
  const std::string mode = call.attrs.get_string("coordinate_transformation_mode");
  if (mode != "half_pixel" && mode != "half_pixel_symmetric" && mode != "pytorch_half_pixel" &&
      mode != "asymmetric" && mode != "align_corners") {
    return image_attr_error(context.span(), call, "coordinate_transformation_mode");
  }
  if (rounding_name(call).empty()) {  // C3
    return image_attr_error(context.span(), call, "rounding_method");
  }
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_REQUIRE(require_rank(context, call, 0, static_cast<int>(spatial) + 2));
  const Dims* size = shape_arg(call, 1);
  const int members = as<ShapeTypeNode>(call.args[1]->type)->rank;
  if (members >= 0 && members != static_cast<int>(spatial)) {
    return error(DiagnosticKind::bad_argument, context.span(),
                 "`{}`: the size has {} members, expected {}", call.op->name, members, spatial);
  }
  if (!x->shape || !size) {
    return ranked_like(*x, spatial + 2, call.attrs.get_dtype("out_dtype", x->dtype));
  }
  return composite_type(context, compose_image_resize<spatial>(call));
}

std::vector<AttrSpec> image_resize_attrs(const char* layout) {
  return {{"roi", AttrKind::any, Attr()},
          {"layout", AttrKind::string, Attr(layout)},
          {"method", AttrKind::string, Attr("linear")},
          {"coordinate_transformation_mode", AttrKind::string, Attr("half_pixel")},
          {"rounding_method", AttrKind::string, Attr("round")},
          {"cubic_alpha", AttrKind::number, Attr(-0.75)},
          {"cubic_exclude", AttrKind::integer, Attr(0)},
          {"extrapolation_value", AttrKind::number, Attr(0.0)},
          {"out_dtype", AttrKind::dtype_or_none, Attr()}};
}

std::string image_letters(const graph::CallNode& call) {
  return call.attrs.get_string("layout").size() == 4 ? "NCHW" : "NCDHW";
}

graph::Value compose_image_grid_sample(const graph::CallNode& call) {
  const std::string letters = image_letters(call);
  std::vector<int64_t> places_last{0};
  for (size_t d = 2; d < letters.size(); ++d) places_last.push_back(static_cast<int64_t>(d));
  places_last.push_back(1);
  const graph::Value y = graph::make_op_call(
      op_grid_sample(), {channels_first(call, letters), permuted(call.args[1], places_last)},
      Attrs{{"mode", Attr(method_name(call.attrs.get_string("method")))},
            {"padding", *call.attrs.find("padding_mode")},
            {"align_corners", *call.attrs.find("align_corners")}});
  return back_from_channels_first(call, y, letters);
}

Result<Type> infer_image_grid_sample(InferContext& context, const graph::CallNode& call) {
  const std::string method = call.attrs.get_string("method");
  if (method != "nearest" && method != "bilinear" && method != "bicubic") {  // C4
    return image_attr_error(context.span(), call, "method");
  }
  const std::string letters = image_letters(call);
  if (!has_letters(call.attrs.get_string("layout"), letters)) {
    return image_attr_error(context.span(), call, "layout");
  }
  const int rank = static_cast<int>(letters.size());
  REPOSE_REQUIRE(require_rank(context, call, 0, rank));
  REPOSE_REQUIRE(require_rank(context, call, 1, rank));
  if (has_shapes(call)) return composite_type(context, compose_image_grid_sample(call));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  return ranked_like(*x, rank, x->dtype);
}

Result<Type> infer_affine_grid(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(data, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C5
  REPOSE_REQUIRE(require_rank(context, call, 0, 3));
  const Dims* size = shape_arg(call, 1);
  const int members = as<ShapeTypeNode>(call.args[1]->type)->rank;
  if (members >= 0 && members != 2) {
    return error(DiagnosticKind::bad_argument, context.span(),
                 "`{}`: the size has {} members, expected 2", call.op->name, members);
  }
  if (!data->shape || !size) return ranked_like(*data, 4, dtype);
  const Dims& shape = *data->shape;
  REPOSE_REQUIRE(require_equal(context, call.op->name, shape[1], "dimension 1 of operand 0",
                               make_int(2), "the number of coordinates"));
  REPOSE_REQUIRE(require_equal(context, call.op->name, shape[2], "dimension 2 of operand 0",
                               make_int(3), "the number of coefficients"));
  const Dims out{shape[0], make_int(2), (*size)[0], (*size)[1]};
  REPOSE_REQUIRE(require_extents(context, call.op->name, out));
  return tensor_like(*data, out, dtype);
}

std::vector<te::Tensor> affine_grid_rule(const graph::CallNode& call,
                                         const std::vector<te::Tensor>& in) {
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);
  const Dims& shape = result_shape(call);
  const bool aligned = call.attrs.get_bool("align_corners");
  auto place = [&](const Expr& i, const Expr& extent) {
    if (!aligned) {
      return make_binary(ExprKind::div, make_cast(wide, i * 2 + 1), make_cast(wide, extent)) -
             make_float(1, wide);
    }
    const Expr steps = make_cast(wide, max(extent - 1, make_int(1)));
    const Expr at = make_binary(ExprKind::div, make_cast(wide, i * 2), steps) - make_float(1, wide);
    return make_select(eq(extent, make_int(1)), make_float(0, wide), at);
  };
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        auto factor = [&](int64_t k) { return make_cast(wide, in[0](i[0], i[1], make_int(k))); };
        return make_cast(dtype, factor(0) * place(i[3], shape[3]) +
                                    factor(1) * place(i[2], shape[2]) + factor(2));
      },
      "affine_grid")};
}

// `pooled_size` as height and width.
std::pair<int64_t, int64_t> pooled_size(const graph::CallNode& call) {
  const std::vector<int64_t> size = call.attrs.get_ints("pooled_size");
  return {size[0], size.back()};
}

graph::Value compose_vision_roi_align(const graph::CallNode& call) {
  const auto [height, width] = pooled_size(call);
  const graph::Value number =
      graph::make_op_call(op_squeeze(), {sliced(call.args[1], 1, make_int(0), make_int(1))},
                          Attrs{{"axis", Attr(std::vector<int64_t>{1})}});
  const graph::Value y = graph::make_op_call(
      op_roi_align(),
      {channels_first(call, "NCHW"), sliced(call.args[1], 1, make_int(1), make_int(5)),
       converted(number, dtypes::int64)},
      Attrs{{"mode", *call.attrs.find("mode")},
            {"height", Attr(height)},
            {"width", Attr(width)},
            {"sampling", Attr(std::max<int64_t>(call.attrs.get_int("sample_ratio"), 0))},
            {"scale", *call.attrs.find("spatial_scale")},
            {"half_pixel", *call.attrs.find("aligned")}});
  return back_from_channels_first(call, y, "NCHW");
}

graph::Value compose_vision_roi_pool(const graph::CallNode& call) {
  const auto [height, width] = pooled_size(call);
  const graph::Value y =
      graph::make_op_call(op_roi_max_pool(), {channels_first(call, "NCHW"), call.args[1]},
                          Attrs{{"height", Attr(height)},
                                {"width", Attr(width)},
                                {"scale", *call.attrs.find("spatial_scale")}});
  return back_from_channels_first(call, y, "NCHW");
}

template <Composition compose>
Result<Type> infer_regions(InferContext& context, const graph::CallNode& call) {
  const size_t members = call.attrs.get_ints("pooled_size").size();
  if (members != 1 && members != 2) {  // C6
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: pooled_size has {} members, expected 1 or 2", call.op->name, members);
  }
  if (!has_letters(call.attrs.get_string("layout"), "NCHW")) {
    return image_attr_error(context.span(), call, "layout");
  }
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(rois, tensor_arg(context, call, 1));
  REPOSE_REQUIRE(require_rank(context, call, 0, 4));
  REPOSE_REQUIRE(require_rank(context, call, 1, 2));
  if (!x->shape || !rois->shape) return ranked_like(*x, 4, x->dtype);
  REPOSE_REQUIRE(require_equal(context, call.op->name, (*rois->shape)[1],
                               "dimension 1 of operand 1", make_int(5),
                               "the image and the number of coordinates"));
  return composite_type(context, compose(call));
}

}  // namespace

#define IMAGE_RESIZE(spatial, layout)                                                      \
  const OpDef& op_image_resize##spatial##d() {                                             \
    static const OpDef def{                                                                \
        .name = "image.resize" #spatial "d",                                               \
        .args = {{"x"}, {"size", ArgKind::shape}},                                         \
        .attrs = image_resize_attrs(layout),                                               \
        .infer = infer_image_resize<spatial>,                                              \
        .lower = lower_composite<compose_image_resize<spatial>>,                           \
        .gradient = composed_gradient<lower_composite<compose_image_resize<spatial>>>,     \
        .doc = "images whose " #spatial " spatial dimensions are interpolated to a size"}; \
    return def;                                                                            \
  }

IMAGE_RESIZE(2, "NCHW")
IMAGE_RESIZE(3, "NCDHW")

const OpDef& op_image_grid_sample() {
  static const OpDef def{.name = "image.grid_sample",
                         .args = {{"x"}, {"grid"}},
                         .attrs = {{"method", AttrKind::string, Attr("bilinear")},
                                   {"layout", AttrKind::string, Attr("NCHW")},
                                   {"padding_mode", AttrKind::string, Attr("zeros")},
                                   {"align_corners", AttrKind::boolean, Attr(true)}},
                         .infer = infer_image_grid_sample,
                         .lower = lower_composite<compose_image_grid_sample>,
                         .doc = "grid_sample with a grid whose dimension 1 names the places"};
  return def;
}

const OpDef& op_image_affine_grid() {
  static const OpDef def{.name = "image.affine_grid",
                         .args = {{"x"}, {"size", ArgKind::shape}},
                         .attrs = {{"align_corners", AttrKind::boolean, Attr(true)}},
                         .infer = infer_affine_grid,
                         .lower = te::lower<affine_grid_rule>,
                         .doc =
                             "the places of a grid from -1 to 1, transformed by a matrix (2, 3) "
                             "for each image"};
  return def;
}

const OpDef& op_vision_roi_align() {
  static const OpDef def{.name = "vision.roi_align",
                         .args = {{"x"}, {"rois"}},
                         .attrs = {{"pooled_size", AttrKind::integers},
                                   {"spatial_scale", AttrKind::number},
                                   {"sample_ratio", AttrKind::integer, Attr(-1)},
                                   {"aligned", AttrKind::boolean, Attr(false)},
                                   {"layout", AttrKind::string, Attr("NCHW")},
                                   {"mode", AttrKind::string, Attr("avg")}},
                         .infer = infer_regions<compose_vision_roi_align>,
                         .lower = lower_composite<compose_vision_roi_align>,
                         .doc = "roi_align with the number of the image in each region"};
  return def;
}

const OpDef& op_vision_roi_pool() {
  static const OpDef def{.name = "vision.roi_pool",
                         .args = {{"x"}, {"rois"}},
                         .attrs = {{"pooled_size", AttrKind::integers},
                                   {"spatial_scale", AttrKind::number},
                                   {"layout", AttrKind::string, Attr("NCHW")}},
                         .infer = infer_regions<compose_vision_roi_pool>,
                         .lower = lower_composite<compose_vision_roi_pool>,
                         .doc = "the largest elements of the parts of regions of images"};
  return def;
}

}  // namespace repose
