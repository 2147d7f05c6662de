// Convolutions over one, two or three spatial dimensions.
//   nn.conv1d, nn.conv2d, nn.conv3d (channels first): y[n, o, p…] = sum over c, k… of x[n, g * C
//       + c, p * stride + k * dilation - pad…] * w[o, c, k…], C input channels per group, g the
//       group of output channel o; x is 0 outside.
//     C1: x and w have the rank that the operator says, and one dtype, a number (with `out_dtype`
//         they may differ). Layouts are those of channels first, or their letters in any order.
//     C2: strides and dilations are at least 1, paddings at least 0, one value or one per
//         dimension (padding: also begins, then ends).
//     C3: the input channels are groups * w's dimension 1; groups divides the output channels.
//     C4: the window is not larger than the padded input; the output extent is floor((d + pads -
//         dilation * (kernel - 1) - 1) / stride) + 1.
//     C5: float16 and bfloat16 accumulate in float32.
//   nn.conv1d_transpose, nn.conv2d_transpose, nn.conv3d_transpose: the gradient of a convolution
//       in its input. y[n, g * O + o, q…] = sum over c, k… of x[n, g * C + c, p…] * w[g * C + c,
//       o, k…] where p * stride + k * dilation - pad = q.
//     C6: as C1, C2; the input channels are w's dimension 0, which groups divides.
//     C7: the output extent is (d - 1) * stride + dilation * (kernel - 1) + 1 + output_padding -
//         pads, at least 0.
#include "ops/gradient.h"
#include "ops/layouts.h"
#include "ops/window.h"
#include "ops/winograd.h"

namespace repose {

namespace {

// By the number of spatial dimensions, from one on.
constexpr LayoutAttr conv_layouts[][2] = {{{"data_layout", "NCW"}, {"kernel_layout", "OIW"}},
                                          {{"data_layout", "NCHW"}, {"kernel_layout", "OIHW"}},
                                          {{"data_layout", "NCDHW"}, {"kernel_layout", "OIDHW"}}};
constexpr LayoutAttr transposed_layouts[][2] = {
    {{"data_layout", "NCW"}, {"kernel_layout", "IOW"}},
    {{"data_layout", "NCHW"}, {"kernel_layout", "IOHW"}},
    {{"data_layout", "NCDHW"}, {"kernel_layout", "IODHW"}}};

// C1, C6
Result<DType> check_operands(InferContext& context, const graph::CallNode& call, size_t spatial) {
  for (size_t i = 0; i < 2; ++i) {
    REPOSE_REQUIRE(require_rank(context, call, i, static_cast<int>(spatial) + 2));
    auto number = dtype_arg(context, call, i, is_number_dtype, "a number");
    if (!number.ok()) return number.errors();
  }
  if (call.attrs.get_int("groups") < 1) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`{}`: {} groups", call.op->name,
                 call.attrs.get_int("groups"));
  }
  if (const DType given = call.attrs.get_dtype("out_dtype")) return given;
  return common_dtype(context, call, 0, 1);
}

Result<void> require_divided(InferContext& context, std::string_view op, const Expr& channels,
                             int64_t groups, const char* which) {
  if (groups == 1) return {};
  return context.require(
      eq(floor_mod(channels, make_int(groups)), make_int(0)),
      fmt::format("`{}`: {{0}} {} channels are not divided by {} groups", op, which, groups),
      {channels});
}

template <size_t spatial>
Result<Type> infer_conv(InferContext& context, const graph::CallNode& call) {
  const auto& layouts = conv_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return infer_in_layouts(context, call, layouts);
  REPOSE_TRY(dtype, check_operands(context, call, spatial));
  REPOSE_TRY(window, check_window(context, call, spatial));  // C2
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(w, tensor_arg(context, call, 1));
  if (!x->shape || !w->shape) return ranked_like(*x, spatial + 2, dtype);
  const int64_t groups = call.attrs.get_int("groups");
  REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[1],  // C3
                               "the number of input channels", canonical((*w->shape)[1] * groups),
                               "groups times dimension 1 of the weight"));
  REPOSE_REQUIRE(require_divided(context, call.op->name, (*w->shape)[0], groups, "output"));
  Dims out{(*x->shape)[0], (*w->shape)[0]};
  for (size_t d = 0; d < spatial; ++d) {  // C4
    REPOSE_TRY(count, window_count(context, call.op->name, window, d, (*x->shape)[d + 2],
                                   (*w->shape)[d + 2], false));
    out.push_back(count);
  }
  return tensor_like(*x, std::move(out), dtype);
}

template <size_t spatial>
std::vector<te::Tensor> conv_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &w = in[1];
  const Window window = window_of(call, spatial);
  const DType dtype = result_dtype(call), sum = accumulator_dtype(dtype);
  const int64_t groups = call.attrs.get_int("groups");
  const Expr& inputs = w.shape()[1];  // per group
  const Expr outputs = canonical(floor_div(w.shape()[0], make_int(groups)));
  // Channel by channel at each tap: with channels last, from one row of the image.
  Dims box(w.shape().begin() + 2, w.shape().end());
  box.push_back(inputs);

  te::Tensor y = te::reduce(
      result_shape(call), te::Reducer::sum, box,
      [&](const te::Indices& i, const te::Indices& k) {
        Expr channel = k[spatial];
        if (groups != 1) {
          const Expr group = is_const_int(outputs, 1) ? i[1] : floor_div(i[1], outputs);
          channel = is_const_int(inputs, 1) ? group : group * inputs + k[spatial];
        }
        te::Indices at{i[0], channel}, tap{i[1], k[spatial]};
        for (size_t d = 0; d < spatial; ++d) {
          at.push_back(window.position(d, i[d + 2], k[d]));
          tap.push_back(k[d]);
        }
        return make_cast(sum, x(std::move(at))) * make_cast(sum, w(std::move(tap)));
      },
      std::string(call.op->name.substr(3)));
  return {cast_stage(y, dtype)};
}

// Without padding by the rule; else the padded image first: fusion puts it back into the loops
// where that costs nothing, and windows that stay inside have no conditions.
template <size_t spatial>
Result<graph::Value> lower_conv(Builder& b, const graph::CallNode& call) {
  const auto& layouts = conv_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return in_channels_first(call, layouts);
  const Window window = window_of(call, spatial);
  if constexpr (spatial == 2) {
    if (auto lowered = lower_winograd(b, call, window)) return std::move(*lowered);
  }
  Dims widths(4, make_int(0));
  bool padded = false;
  for (size_t d = 0; d < spatial; ++d) {
    widths.push_back(make_int(window.pad_begin[d]));
    widths.push_back(make_int(window.pad_end[d]));
    padded = padded || window.is_padded(d);
  }
  if (!padded) return te::lower_by_rule(conv_rule<spatial>, b, call);
  Attrs attrs = call.attrs;
  attrs.set("padding", Attr(AttrList{Attr(0)}));
  const graph::Value image =
      graph::make_op_call(op_nn_pad(), {call.args[0], graph::make_shape(widths)});
  return graph::make_op_call(*call.op, {image, call.args[1]}, attrs);
}

template <size_t spatial>
Result<Type> infer_conv_transpose(InferContext& context, const graph::CallNode& call) {
  const auto& layouts = transposed_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return infer_in_layouts(context, call, layouts);
  REPOSE_TRY(dtype, check_operands(context, call, spatial));  // C6
  REPOSE_TRY(window, check_window(context, call, spatial));
  REPOSE_TRY(extra, ints_per_dim(context, call, "output_padding", spatial, 0));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(w, tensor_arg(context, call, 1));
  if (!x->shape || !w->shape) return ranked_like(*x, spatial + 2, dtype);
  const int64_t groups = call.attrs.get_int("groups");
  REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[1],
                               "the number of input channels", (*w->shape)[0],
                               "dimension 0 of the weight"));
  REPOSE_REQUIRE(require_divided(context, call.op->name, (*w->shape)[0], groups, "input"));
  Dims out{(*x->shape)[0], canonical((*w->shape)[1] * groups)};
  for (size_t d = 0; d < spatial; ++d) {  // C7
    const Expr extent = ((*x->shape)[d + 2] - 1) * window.strides[d] +
                        ((*w->shape)[d + 2] - 1) * window.dilation[d] +
                        (1 + extra[d] - window.pad_begin[d] - window.pad_end[d]);
    out.push_back(simplify(extent, context.facts()));
  }
  REPOSE_REQUIRE(require_extents(context, call.op->name, out));
  return tensor_like(*x, std::move(out), dtype);
}

template <size_t spatial>
std::vector<te::Tensor> conv_transpose_rule(const graph::CallNode& call,
                                            const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &w = in[1];
  const Window window = window_of(call, spatial);
  const DType dtype = result_dtype(call), sum = accumulator_dtype(dtype);
  const Expr groups = make_int(call.attrs.get_int("groups"));
  const bool one_group = is_const_int(groups, 1);
  const Expr inputs = canonical(floor_div(w.shape()[0], groups));  // per group
  const Expr& outputs = w.shape()[1];                              // per group
  Dims box{inputs};
  box.insert(box.end(), w.shape().begin() + 2, w.shape().end());

  te::Tensor y = te::reduce(
      result_shape(call), te::Reducer::sum, box,
      [&](const te::Indices& i, const te::Indices& k) {
        const Expr channel = one_group ? k[0] : Expr(floor_div(i[1], outputs) * inputs + k[0]);
        te::Indices at{i[0], channel};
        te::Indices tap{channel, one_group ? i[1] : floor_mod(i[1], outputs)};
        Expr inside;
        for (size_t d = 0; d < spatial; ++d) {
          // The position in the input, times the stride.
          const Expr scaled = i[d + 2] + window.pad_begin[d] - k[d + 1] * window.dilation[d];
          const Expr stride = make_int(window.strides[d]);
          Expr hit = logical_and(le(make_int(0), scaled),
                                 lt(scaled, x.shape()[d + 2] * window.strides[d]));
          if (window.strides[d] != 1) {
            hit = logical_and(hit, eq(floor_mod(scaled, stride), make_int(0)));
          }
          inside = inside ? logical_and(inside, hit) : hit;
          at.push_back(window.strides[d] == 1 ? scaled : floor_div(scaled, stride));
          tap.push_back(k[d + 1]);
        }
        const Expr element =
            make_if_then_else(inside, make_cast(sum, x(std::move(at))), make_const(sum, 0));
        return element * make_cast(sum, w(std::move(tap)));
      },
      std::string(call.op->name.substr(3)));
  return {cast_stage(y, dtype)};
}

// A transposed convolution with stride s is a convolution that gives s output positions at once,
// one for each remainder (a phase): output position q reads positions (q + pad) / s - t of x by
// taps (q + pad) % s + s * t, for t below the number of taps that one phase has. So the image is
// padded, convolved by weights in which phases are channels (taps that a phase lacks are 0), and
// the phases are put where they belong.
template <size_t spatial>
Result<graph::Value> lower_conv_transpose(Builder& b, const graph::CallNode& call) {
  const auto& layouts = transposed_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return in_channels_first(call, layouts);
  const Window window = window_of(call, spatial);
  const TensorTypeNode &x = *graph::tensor_of(call.args[0]), &w = *graph::tensor_of(call.args[1]);
  bool plain = call.attrs.get_int("groups") == 1;
  std::vector<int64_t> kernel(spatial), taps(spatial), first(spatial);
  for (size_t d = 0; d < spatial; ++d) {
    plain = plain && window.dilation[d] == 1 && as_const_int((*w.shape)[d + 2], &kernel[d]) &&
            kernel[d] > 0;
    taps[d] = (kernel[d] + window.strides[d] - 1) / window.strides[d];
    first[d] = window.pad_begin[d] / window.strides[d];
  }
  if (!plain) return te::lower_by_rule(conv_transpose_rule<spatial>, b, call);
  const Dims out = result_shape(call);
  const DType dtype = result_dtype(call), sum = accumulator_dtype(dtype);
  const Expr outputs = (*w.shape)[1];
  const std::string name(call.op->name.substr(3));

  Dims widths(4, make_int(0)), blocks{(*x.shape)[0]}, box;
  int64_t phases = 1;
  for (size_t d = 0; d < spatial; ++d) {
    const int64_t stride = window.strides[d];
    // Of the last position, where there is one.
    const Expr count =
        floor_div(out[d + 2] + (window.pad_begin[d] - 1), make_int(stride)) + (1 - first[d]);
    const Expr extent = simplify(max(count, make_int(0)), b.facts());
    widths.push_back(make_int(taps[d] - 1 - first[d]));
    widths.push_back(canonical(extent - (*x.shape)[d + 2] + first[d]));
    blocks.push_back(extent);
    box.push_back(make_int(taps[d]));
    phases *= stride;
  }
  blocks.insert(blocks.begin() + 1, canonical(outputs * phases));
  box.push_back((*w.shape)[0]);
  // Of a channel of the blocks: which output channel, and which phase along a dimension.
  auto phase_of = [&](const Expr& channel, size_t d) {
    int64_t inner = 1;
    for (size_t e = d + 1; e < spatial; ++e) inner *= window.strides[e];
    return floor_mod(floor_div(channel, outputs * inner), make_int(window.strides[d]));
  };
  REPOSE_TRY(pad, b.infer_only(
                      graph::make_op_call(op_nn_pad(), {call.args[0], graph::make_shape(widths)})));
  REPOSE_TRY(image, op_nn_pad().lower(b, *graph::as<graph::CallNode>(pad)));
  REPOSE_TRY(parts, te::emit_te(b, name, {image, call.args[1]}, [&](const auto& in) {
               te::Tensor y = te::reduce(
                   blocks, te::Reducer::sum, box,
                   [&](const te::Indices& i, const te::Indices& k) {
                     te::Indices at{i[0], k[spatial]}, tap{k[spatial], floor_mod(i[1], outputs)};
                     Expr has;
                     for (size_t d = 0; d < spatial; ++d) {
                       const int64_t stride = window.strides[d];
                       at.push_back(i[d + 2] + k[d]);
                       tap.push_back(phase_of(i[1], d) + (make_int(taps[d] - 1) - k[d]) * stride);
                       if (taps[d] * stride == kernel[d]) continue;
                       const Expr here = lt(tap.back(), make_int(kernel[d]));
                       has = has ? logical_and(has, here) : here;
                     }
                     Expr weight = make_cast(sum, in[1](std::move(tap)));
                     if (has) weight = make_if_then_else(has, weight, make_const(sum, 0));
                     return make_cast(sum, in[0](std::move(at))) * weight;
                   },
                   name);
               return std::vector<te::Tensor>{cast_stage(y, dtype)};
             }));
  if (phases == 1) return parts;
  return te::emit_te(b, name + "_phases", {parts}, [&](const auto& in) {
    return std::vector<te::Tensor>{te::compute(
        out,
        [&](const te::Indices& i) {
          Expr phase = make_int(0);
          te::Indices at{i[0], i[1]};
          for (size_t d = 0; d < spatial; ++d) {
            const Expr stride = make_int(window.strides[d]);
            const Expr position = i[d + 2] + window.pad_begin[d];
            phase = phase * stride + floor_mod(position, stride);
            at.push_back(floor_div(position, stride) - first[d]);
          }
          at[1] = phase * outputs + i[1];
          return in[0](std::move(at));
        },
        name)};
  });
}

constexpr const OpDef& (*convolution_ops[])() = {op_nn_conv1d, op_nn_conv2d, op_nn_conv3d};
constexpr const OpDef& (*transposed_ops[])() = {op_nn_conv1d_transpose, op_nn_conv2d_transpose,
                                                op_nn_conv3d_transpose};

std::vector<int64_t> both_pads(const Window& window) {
  std::vector<int64_t> pads = window.pad_begin;
  pads.insert(pads.end(), window.pad_end.begin(), window.pad_end.end());
  return pads;
}

// The first elements along the dimensions from 2 on, as many as `shape` says: there are as many.
graph::Value cropped(const graph::Value& x, const Dims& shape) {
  Dims begins, ends;
  std::vector<int64_t> axes;
  for (size_t d = 2; d < shape.size(); ++d) {
    begins.push_back(make_int(0));
    ends.push_back(shape[d]);
    axes.push_back(static_cast<int64_t>(d));
  }
  return graph::make_op_call(op_strided_slice(),
                             {x, graph::make_shape(begins), graph::make_shape(ends)},
                             Attrs{{"axes", Attr(axes)}, {"assume_inbound", Attr(true)}});
}

// x (n, groups * c, …) as (c, groups * n, …), or with `inner` (groups * c, n, …): batch and
// channels change places, each group on its own.
graph::Value exchanged(const graph::Value& x, const Dims& shape, int64_t groups, bool inner) {
  std::vector<int64_t> axes;
  if (groups == 1) {
    axes = {1, 0};
    for (size_t d = 2; d < shape.size(); ++d) axes.push_back(static_cast<int64_t>(d));
    return permuted(x, axes);
  }
  const Expr channels = canonical(floor_div(shape[1], make_int(groups)));
  Dims split{shape[0], make_int(groups), channels};
  axes = inner ? std::vector<int64_t>{1, 2, 0} : std::vector<int64_t>{2, 1, 0};
  Dims joined = inner ? Dims{shape[1], shape[0]} : Dims{channels, canonical(shape[0] * groups)};
  for (size_t d = 2; d < shape.size(); ++d) {
    axes.push_back(static_cast<int64_t>(split.size()));
    split.push_back(shape[d]);
    joined.push_back(shape[d]);
  }
  return reshaped(permuted(reshaped(x, split), axes), joined);
}

// What flows into weights (o, c, k…): the convolution of the image by the gradients g of its
// outputs, over the batch as channels, where strides and dilations change places.
graph::Value flow_into_weight(const graph::CallNode& call, size_t spatial,
                              const graph::Value& image, const Dims& image_shape,
                              const graph::Value& g, const Dims& g_shape, const Dims& weight) {
  const Window window = window_of(call, spatial);
  const int64_t groups = call.attrs.get_int("groups");
  const graph::Value y = graph::make_op_call(
      convolution_ops[spatial - 1](),
      {exchanged(image, image_shape, groups, false), exchanged(g, g_shape, groups, true)},
      Attrs{{"strides", Attr(window.dilation)},
            {"dilation", Attr(window.strides)},
            {"padding", Attr(both_pads(window))},
            {"groups", Attr(groups)}});
  std::vector<int64_t> axes{1, 0};
  for (size_t d = 2; d < weight.size(); ++d) axes.push_back(static_cast<int64_t>(d));
  return permuted(cropped(y, weight), axes);
}

// Operands and g in the dtype that the call computes in.
struct ConvolutionParts {
  graph::Value x, w, g;
  const Dims &x_shape, &w_shape, &y_shape;

  explicit ConvolutionParts(const Pullback& p)
      : x(computed(p, 0)),
        w(computed(p, 1)),
        g(p.gradients[0]),
        x_shape(shape_of_arg(p.call, 0)),
        w_shape(shape_of_arg(p.call, 1)),
        y_shape(result_shape(p.call)) {}
  static graph::Value computed(const Pullback& p, size_t i) {
    const DType dtype = result_dtype(p.call);
    const graph::Value& v = p.call.args[i];
    return graph::tensor_of(v)->dtype == dtype ? v : converted(v, dtype);
  }
  static Gradients in_operands(const Pullback& p, graph::Value into_x, graph::Value into_w) {
    std::vector<graph::Value> flows{std::move(into_x), std::move(into_w)};
    for (size_t i = 0; i < 2; ++i) {
      const DType dtype = graph::tensor_of(p.call.args[i])->dtype;
      if (dtype != result_dtype(p.call)) flows[i] = converted(flows[i], dtype);
    }
    return flows;
  }
};

// Into the image by the transposed convolution, which reaches as far as windows do.
template <size_t spatial>
Gradients conv_gradient(Builder& b, const Pullback& p) {
  const auto& layouts = conv_layouts[spatial - 1];
  if (has_other_layouts(p.call, layouts)) {
    return gradient_through(b, p, in_channels_first(p.call, layouts));
  }
  const Window window = window_of(p.call, spatial);
  const ConvolutionParts c(p);
  const graph::Value full = graph::make_op_call(transposed_ops[spatial - 1](), {c.g, c.w},
                                                Attrs{{"strides", Attr(window.strides)},
                                                      {"dilation", Attr(window.dilation)},
                                                      {"groups", *p.call.attrs.find("groups")}});
  Dims widths(4, make_int(0));
  for (size_t d = 0; d < spatial; ++d) {
    const Expr reach = (c.y_shape[d + 2] - 1) * window.strides[d] +
                       (c.w_shape[d + 2] - 1) * window.dilation[d] + 1;
    widths.push_back(make_int(-window.pad_begin[d]));
    widths.push_back(canonical(c.x_shape[d + 2] + window.pad_begin[d] - reach));
  }
  const graph::Value into_x =
      graph::make_op_call(op_nn_pad(), {full, graph::make_shape(std::move(widths))});
  return ConvolutionParts::in_operands(
      p, into_x, flow_into_weight(p.call, spatial, c.x, c.x_shape, c.g, c.y_shape, c.w_shape));
}

// Into the image by the convolution; into the weight as there, where image and outputs have changed
// places.
template <size_t spatial>
Gradients conv_transpose_gradient(Builder& b, const Pullback& p) {
  const auto& layouts = transposed_layouts[spatial - 1];
  if (has_other_layouts(p.call, layouts)) {
    return gradient_through(b, p, in_channels_first(p.call, layouts));
  }
  Window window = window_of(p.call, spatial);
  const ConvolutionParts c(p);
  for (size_t d = 0; d < spatial; ++d) {
    // An image without elements has outputs all the same, fewer than a window: a window more.
    const Expr one = make_int(1);
    if (prove(le(one, c.x_shape[d + 2]), b.facts()) != Truth::yes) {
      window.pad_end[d] += window.strides[d];
    }
  }
  const graph::Value y = graph::make_op_call(convolution_ops[spatial - 1](), {c.g, c.w},
                                             Attrs{{"strides", Attr(window.strides)},
                                                   {"dilation", Attr(window.dilation)},
                                                   {"padding", Attr(both_pads(window))},
                                                   {"groups", *p.call.attrs.find("groups")}});
  return ConvolutionParts::in_operands(
      p, cropped(y, c.x_shape),
      flow_into_weight(p.call, spatial, c.g, c.y_shape, c.x, c.x_shape, c.w_shape));
}

std::vector<AttrSpec> conv_attrs(size_t spatial, bool transposed) {
  const auto& layouts = (transposed ? transposed_layouts : conv_layouts)[spatial - 1];
  std::vector<AttrSpec> attrs{{"strides", AttrKind::integers, Attr(AttrList{Attr(1)})},
                              {"padding", AttrKind::integers, Attr(AttrList{Attr(0)})}};
  if (transposed) {
    attrs.push_back({"output_padding", AttrKind::integers, Attr(AttrList{Attr(0)})});
  }
  attrs.push_back({"dilation", AttrKind::integers, Attr(AttrList{Attr(1)})});
  attrs.push_back({"groups", AttrKind::integer, Attr(1)});
  for (const LayoutAttr& layout : layouts) {
    attrs.push_back({layout.name, AttrKind::string, Attr(std::string(layout.channels_first))});
  }
  attrs.push_back({"out_layout", AttrKind::any, Attr()});
  attrs.push_back({"out_dtype", AttrKind::dtype_or_none, Attr()});
  return attrs;
}

}  // namespace

#define CONVOLUTION(spatial)                                                                      \
  const OpDef& op_nn_conv##spatial##d() {                                                         \
    static const OpDef def{.name = "nn.conv" #spatial "d",                                        \
                           .args = {{"x"}, {"weight"}},                                           \
                           .attrs = conv_attrs(spatial, false),                                   \
                           .infer = infer_conv<spatial>,                                          \
                           .lower = lower_conv<spatial>,                                          \
                           .gradient = conv_gradient<spatial>,                                    \
                           .doc = "convolution over " #spatial " spatial dimensions"};            \
    return def;                                                                                   \
  }                                                                                               \
  const OpDef& op_nn_conv##spatial##d_transpose() {                                               \
    static const OpDef def{.name = "nn.conv" #spatial "d_transpose",                              \
                           .args = {{"x"}, {"weight"}},                                           \
                           .attrs = conv_attrs(spatial, true),                                    \
                           .infer = infer_conv_transpose<spatial>,                                \
                           .lower = lower_conv_transpose<spatial>,                                \
                           .gradient = conv_transpose_gradient<spatial>,                          \
                           .doc = "transposed convolution over " #spatial " spatial dimensions"}; \
    return def;                                                                                   \
  }

CONVOLUTION(1)
CONVOLUTION(2)
CONVOLUTION(3)

}  // namespace repose
