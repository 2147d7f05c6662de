// Normalisations. float16 and bfloat16 compute in float32; the variance is the mean of (x -
// mean)^2.
//   nn.layer_norm: (x - mean) / sqrt(variance + epsilon) * gamma + beta, over `axes`.
//   nn.rms_norm: x / sqrt(mean of x^2 + epsilon) * weight, over `axes`.
//     C1: x, and the weights, are floats of one dtype; each axis is one of x's, given once.
//     C2: the weights have x's dimensions at `axes`, in order.
//     C3: the result has x's shape and dtype. `scale` and `center` say whether gamma and beta
//         count.
//   nn.group_norm: layer normalisation over (channels of a group, `axes`), each of `num_groups`
//       groups on its own.
//   nn.instance_norm: each channel on its own, over `axes`.
//     C4: `channel_axis` is an axis of x and none of `axes`; gamma and beta have its extent.
//     C5: `num_groups` divides the number of channels.
#include <algorithm>

#include "ops/gradient.h"
#include "ops/rows.h"

namespace repose {

namespace {

std::vector<int> ascending(const graph::CallNode& call, int rank) {
  return axes_of(call, "axes", rank);
}

// The weights (operands from 1 on) have the dimensions `dims`, and all operands one dtype.
Result<void> check_weights(InferContext& context, const graph::CallNode& call, const Dims& dims) {
  for (size_t w = 1; w < call.args.size(); ++w) {
    REPOSE_REQUIRE(require_rank(context, call, w, static_cast<int>(dims.size())));
    REPOSE_TRY(t, tensor_arg(context, call, w));
    if (!t->shape) continue;
    for (size_t d = 0; d < dims.size(); ++d) {  // C2, C4
      REPOSE_REQUIRE(require_equal(context, call.op->name, (*t->shape)[d],
                                   fmt::format("dimension {} of operand {}", d, w), dims[d],
                                   "the normalised dimension of operand 0"));
    }
  }
  return {};
}

Result<DType> check_dtypes(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  for (size_t w = 1; w < call.args.size(); ++w) {
    auto same = common_dtype(context, call, 0, w);
    if (!same.ok()) return same.errors();
  }
  return dtype;
}

Type same_type(const TensorTypeNode& x, DType dtype) {
  return x.shape ? tensor_like(x, *x.shape, dtype) : ranked_like(x, x.rank, dtype);
}

Result<Type> infer_layer_norm(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, check_dtypes(context, call));
  if (x->rank >= 0) {
    REPOSE_TRY(axes,
               normalize_axes(context, call.op->name, call.attrs.get_ints("axes"), x->rank, false));
    if (x->shape) {
      REPOSE_REQUIRE(check_weights(context, call, RowAxes{*x->shape, axes}.extents()));
    }
  }
  return same_type(*x, dtype);  // C3
}

Result<Type> infer_channel_norm(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, check_dtypes(context, call));
  if (x->rank < 0) return same_type(*x, dtype);
  REPOSE_TRY(channel,
             normalize_axis(context, call.op->name, call.attrs.get_int("channel_axis"), x->rank));
  std::vector<int64_t> axes = call.attrs.get_ints("axes");
  axes.push_back(channel);  // C4: given once, together with the others
  auto unique = normalize_axes(context, call.op->name, axes, x->rank, false);
  if (!unique.ok()) return unique.errors();
  if (!x->shape) return same_type(*x, dtype);
  const Expr& channels = (*x->shape)[static_cast<size_t>(channel)];
  REPOSE_REQUIRE(check_weights(context, call, {channels}));
  if (call.attrs.find("num_groups")) {  // C5
    const int64_t groups = call.attrs.get_int("num_groups");
    if (groups < 1) {
      return error(DiagnosticKind::bad_attribute, context.span(),
                   "`nn.group_norm`: {} groups, expected at least 1", groups);
    }
    REPOSE_REQUIRE(context.require(
        eq(floor_mod(channels, make_int(groups)), make_int(0)),
        fmt::format("`nn.group_norm`: {{0}} channels are not divided by {} groups", groups),
        {channels}));
  }
  return same_type(*x, dtype);
}

// 1 / sqrt(mean of f^2 + epsilon), per row.
te::Tensor reciprocal_deviation(const RowAxes& rows,
                                const std::function<Expr(const te::Indices&)>& f, double epsilon) {
  te::Tensor squares = reduce_rows(
      rows, te::Reducer::sum,
      [&](const te::Indices& i) {
        const Expr value = f(i);
        return value * value;
      },
      "norm_squares");
  const DType wide = squares.dtype();
  const Expr count = make_cast(wide, rows.count());
  return te::compute(
      squares.shape(),
      [&](const te::Indices& i) {
        return make_call(Intrinsic::rsqrt,
                         make_binary(ExprKind::div, squares(i), count) + make_float(epsilon, wide));
      },
      "norm_rstd");
}

std::vector<te::Tensor> layer_norm_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const RowAxes rows{x.shape(), ascending(call, x.rank())};
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  auto element = [&](const te::Indices& i) { return make_cast(wide, x(i)); };
  te::Tensor mean = mean_of_rows(rows, element, "norm_mean");
  auto centered = [&](const te::Indices& i) { return element(i) - mean(rows.kept(i)); };
  te::Tensor rstd = reciprocal_deviation(rows, centered, call.attrs.get_float("epsilon"));
  const bool scale = call.attrs.get_bool("scale"), center = call.attrs.get_bool("center");
  return {te::compute(
      x.shape(),
      [&](const te::Indices& i) {
        Expr y = centered(i) * rstd(rows.kept(i));
        if (scale) y = y * make_cast(wide, in[1](rows.reduced(i)));
        if (center) y = y + make_cast(wide, in[2](rows.reduced(i)));
        return make_cast(dtype, y);
      },
      "layer_norm")};
}

std::vector<te::Tensor> rms_norm_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const RowAxes rows{x.shape(), ascending(call, x.rank())};
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  auto element = [&](const te::Indices& i) { return make_cast(wide, x(i)); };
  te::Tensor rstd = reciprocal_deviation(rows, element, call.attrs.get_float("epsilon"));
  return {te::compute(
      x.shape(),
      [&](const te::Indices& i) {
        return make_cast(dtype,
                         element(i) * rstd(rows.kept(i)) * make_cast(wide, in[1](rows.reduced(i))));
      },
      "rms_norm")};
}

size_t channel_axis(const graph::CallNode& call, int rank) {
  const int64_t axis = call.attrs.get_int("channel_axis");
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

// (x - mean) * rstd * gamma[c] + beta[c] over `axes`, the statistics those of `rows` at `index` of
// the element.
te::Tensor scaled_by_channel(const graph::CallNode& call, const std::vector<te::Tensor>& in,
                             const RowAxes& rows,
                             const std::function<Expr(const te::Indices&)>& element,
                             const std::function<te::Indices(const te::Indices&)>& index,
                             std::string name) {
  const te::Tensor& x = in[0];
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  const size_t channel = channel_axis(call, x.rank());
  te::Tensor mean = mean_of_rows(rows, element, "norm_mean");
  auto centered = [&](const te::Indices& i) { return element(i) - mean(rows.kept(i)); };
  te::Tensor rstd = reciprocal_deviation(rows, centered, call.attrs.get_float("epsilon"));
  const bool scale = call.attrs.get_bool("scale"), center = call.attrs.get_bool("center");
  return te::compute(
      x.shape(),
      [&](const te::Indices& i) {
        const te::Indices row = rows.kept(index(i));
        Expr y = (make_cast(wide, x(i)) - mean(row)) * rstd(row);
        if (scale) y = y * make_cast(wide, in[1](i[channel]));
        if (center) y = y + make_cast(wide, in[2](i[channel]));
        return make_cast(dtype, y);
      },
      std::move(name));
}

std::vector<te::Tensor> instance_norm_rule(const graph::CallNode& call,
                                           const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const RowAxes rows{x.shape(), ascending(call, x.rank())};
  const DType wide = accumulator_dtype(x.dtype());
  return {scaled_by_channel(
      call, in, rows, [&](const te::Indices& i) { return make_cast(wide, x(i)); },
      [](const te::Indices& i) { return i; }, "instance_norm")};
}

// The channel dimension c is seen as (group, channel in the group): c = group * size + member.
RowAxes rows_of_groups(const graph::CallNode& call, const Dims& shape) {
  const int rank = static_cast<int>(shape.size());
  const size_t channel = channel_axis(call, rank);
  const Expr groups = make_int(call.attrs.get_int("num_groups"));
  RowAxes rows{shape, {}};
  rows.shape[channel] = groups;
  rows.shape.insert(rows.shape.begin() + static_cast<int64_t>(channel) + 1,
                    canonical(floor_div(shape[channel], groups)));
  rows.axes.push_back(static_cast<int>(channel) + 1);
  for (int a : ascending(call, rank)) {
    rows.axes.push_back(a > static_cast<int>(channel) ? a + 1 : a);
  }
  std::sort(rows.axes.begin(), rows.axes.end());
  return rows;
}

std::vector<te::Tensor> group_norm_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const size_t channel = channel_axis(call, x.rank());
  const RowAxes rows = rows_of_groups(call, x.shape());
  const Expr& size = rows.shape[channel + 1];
  const DType wide = accumulator_dtype(x.dtype());
  auto element = [&](const te::Indices& i) {
    te::Indices source = i;
    source[channel] = i[channel] * size + i[channel + 1];
    source.erase(source.begin() + static_cast<int64_t>(channel) + 1);
    return make_cast(wide, x(std::move(source)));
  };
  auto index = [&](const te::Indices& i) {
    te::Indices grouped = i;
    grouped[channel] = floor_div(i[channel], size);
    grouped.insert(grouped.begin() + static_cast<int64_t>(channel) + 1,
                   floor_mod(i[channel], size));
    return grouped;
  };
  return {scaled_by_channel(call, in, rows, element, index, "group_norm")};
}

// The normalisations as formulas, which have gradients: over `axes` of x, which has the shape.
Formula normalized(const Formula& x, const std::vector<int>& axes, const Dims& shape,
                   double epsilon) {
  const Formula centered = x - mean_over(x, axes, shape);
  const Formula variance = mean_over(centered * centered, axes, shape);
  return centered * apply_op(op_rsqrt(), variance + epsilon);
}

// A weight along `axes` of x, as a tensor that broadcasts to it.
Formula along(const graph::Value& weight, const std::vector<int>& axes, const Dims& shape) {
  Dims ones(shape.size(), make_int(1));
  for (int a : axes) ones[static_cast<size_t>(a)] = shape[static_cast<size_t>(a)];
  return {reshaped(weight, ones), graph::tensor_of(weight)->dtype};
}

Formula scaled_and_centered(const graph::CallNode& call, Formula y, const std::vector<int>& axes) {
  const Dims& shape = shape_of_arg(call, 0);
  if (call.attrs.get_bool("scale")) y = y * along(call.args[1], axes, shape);
  if (call.attrs.get_bool("center")) y = y + along(call.args[2], axes, shape);
  return y;
}

Result<graph::Value> compose_layer_norm(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const std::vector<int> axes = ascending(call, static_cast<int>(shape.size()));
  const Formula y = normalized(call.args[0], axes, shape, call.attrs.get_float("epsilon"));
  return graph::Value(scaled_and_centered(call, y, axes));
}

Result<graph::Value> compose_rms_norm(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const std::vector<int> axes = ascending(call, static_cast<int>(shape.size()));
  const Formula x = call.args[0];
  const Formula scale = mean_over(x * x, axes, shape) + call.attrs.get_float("epsilon");
  return graph::Value(x * apply_op(op_rsqrt(), scale) * along(call.args[1], axes, shape));
}

Result<graph::Value> compose_instance_norm(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const int rank = static_cast<int>(shape.size());
  const Formula y =
      normalized(call.args[0], ascending(call, rank), shape, call.attrs.get_float("epsilon"));
  return graph::Value(scaled_and_centered(call, y, {static_cast<int>(channel_axis(call, rank))}));
}

Result<graph::Value> compose_group_norm(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const int rank = static_cast<int>(shape.size());
  const size_t channel = channel_axis(call, rank);
  const RowAxes rows = rows_of_groups(call, shape);
  const Formula x = call.args[0], grouped(reshaped(x, rows.shape), x.dtype());
  const Formula y = normalized(grouped, rows.axes, rows.shape, call.attrs.get_float("epsilon"));
  return graph::Value(
      scaled_and_centered(call, {reshaped(y, shape), x.dtype()}, {static_cast<int>(channel)}));
}

}  // namespace

const OpDef& op_nn_layer_norm() {
  static const OpDef def{.name = "nn.layer_norm",
                         .args = {{"x"}, {"gamma"}, {"beta"}},
                         .attrs = {{"axes", AttrKind::integers},
                                   {"epsilon", AttrKind::number, Attr(1e-5)},
                                   {"center", AttrKind::boolean, Attr(true)},
                                   {"scale", AttrKind::boolean, Attr(true)}},
                         .infer = infer_layer_norm,
                         .lower = te::lower<layer_norm_rule>,
                         .gradient = composed_gradient<compose_layer_norm>,
                         .doc = "(x - mean) / sqrt(variance + epsilon) * gamma + beta over `axes`"};
  return def;
}

const OpDef& op_nn_rms_norm() {
  static const OpDef def{
      .name = "nn.rms_norm",
      .args = {{"x"}, {"weight"}},
      .attrs = {{"axes", AttrKind::integers}, {"epsilon", AttrKind::number, Attr(1e-5)}},
      .infer = infer_layer_norm,
      .lower = te::lower<rms_norm_rule>,
      .gradient = composed_gradient<compose_rms_norm>,
      .doc = "x / sqrt(mean of x^2 + epsilon) * weight over `axes`"};
  return def;
}

const OpDef& op_nn_group_norm() {
  static const OpDef def{.name = "nn.group_norm",
                         .args = {{"x"}, {"gamma"}, {"beta"}},
                         .attrs = {{"num_groups", AttrKind::integer},
                                   {"channel_axis", AttrKind::integer},
                                   {"axes", AttrKind::integers},
                                   {"epsilon", AttrKind::number, Attr(1e-5)},
                                   {"center", AttrKind::boolean, Attr(true)},
                                   {"scale", AttrKind::boolean, Attr(true)}},
                         .infer = infer_channel_norm,
                         .lower = te::lower<group_norm_rule>,
                         .gradient = composed_gradient<compose_group_norm>,
                         .doc =
                             "layer normalisation over the channels of a group and `axes`, per "
                             "group; gamma and beta per channel"};
  return def;
}

const OpDef& op_nn_instance_norm() {
  static const OpDef def{.name = "nn.instance_norm",
                         .args = {{"x"}, {"gamma"}, {"beta"}},
                         .attrs = {{"channel_axis", AttrKind::integer},
                                   {"axes", AttrKind::integers},
                                   {"epsilon", AttrKind::number, Attr(1e-5)},
                                   {"center", AttrKind::boolean, Attr(true)},
                                   {"scale", AttrKind::boolean, Attr(true)}},
                         .infer = infer_channel_norm,
                         .lower = te::lower<instance_norm_rule>,
                         .gradient = composed_gradient<compose_instance_norm>,
                         .doc =
                             "layer normalisation over `axes`, per channel; gamma and beta per "
                             "channel"};
  return def;
}

}  // namespace repose
