// Operators of networks: products, convolutions, pools, normalisations.
#include <algorithm>

#include "frontend/relay/operator_table.h"

namespace repose::relay {

namespace {

// Attributes of the same name and meaning, with Relay's defaults.
Result<Operand> import_softmax(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axis, c.integer("axis", -1));
  return c.call(op, {x}, {{"axis", Attr(axis)}});
}

Result<Operand> import_leaky_relu(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(alpha, c.number("alpha", 0.01));
  return c.call(op, {x}, {{"alpha", Attr(alpha)}});
}

Result<Operand> import_prelu(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(slope, c.tensor(1));
  REPOSE_TRY(axis, c.integer("axis", 1));
  return c.call(op, {x, slope}, {{"axis", Attr(axis)}});
}

// ---- Products

// The last two dimensions exchanged.
Operand swap_last(Composite& m, const Operand& x, int64_t rank) {
  std::vector<int64_t> axes;
  for (int64_t d = 0; d < rank; ++d) axes.push_back(d);
  if (rank >= 2)
    std::swap(axes[static_cast<size_t>(rank - 1)], axes[static_cast<size_t>(rank - 2)]);
  return m.permute(x, axes);
}

Result<Operand> product(RelayCall& c, bool transpose_a, bool transpose_b) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(a, c.tensor(0));
  REPOSE_TRY(b, c.tensor(1));
  REPOSE_TRY(rank_a, c.rank(a));
  REPOSE_TRY(rank_b, c.rank(b));
  REPOSE_TRY(out, c.dtype_named("out_dtype", dtypes::none));
  c.ignore({"units", "auto_scheduler_rewritten_layout", "meta_schedule_original_shape"});
  Composite m(c);
  const Operand left = transpose_a ? swap_last(m, a, rank_a) : a;
  const Operand right = transpose_b ? swap_last(m, b, rank_b) : b;
  Attrs attrs;
  if (out) attrs.set("out_dtype", Attr(out));
  return m.result(m.call("matmul", {left, right}, attrs));
}

// The weight of a dense layer is (units, inputs).
Result<Operand> import_dense(RelayCall& c, const char*) {
  return product(c, false, true);
}

Result<Operand> import_matmul(RelayCall& c, const char*) {
  REPOSE_TRY(transpose_a, c.boolean("transpose_a", false));
  REPOSE_TRY(transpose_b, c.boolean("transpose_b", false));
  return product(c, transpose_a, transpose_b);
}

Result<Operand> import_batch_matmul(RelayCall& c, const char*) {
  REPOSE_TRY(transpose_a, c.boolean("transpose_a", false));
  REPOSE_TRY(transpose_b, c.boolean("transpose_b", true));
  return product(c, transpose_a, transpose_b);
}

Result<Operand> import_bias_add(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(bias, c.tensor(1));
  REPOSE_TRY(given, c.integer("axis", 1));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(axis, c.axis(given, rank));
  std::vector<int64_t> behind;
  for (int64_t d = axis + 1; d < rank; ++d) behind.push_back(d - axis);
  Composite m(c);
  return m.result(m.add(x, behind.empty() ? bias : m.unsqueeze(bias, behind)));
}

// ---- Windows

// The letters of a layout that stand for the dimensions of a window.
int64_t spatial_rank(const std::string& op) {
  return op.find("1d") != std::string::npos ? 1 : op.find("2d") != std::string::npos ? 2 : 3;
}
std::string default_layout(int64_t spatial) {
  return spatial == 1 ? "NCW" : spatial == 2 ? "NCHW" : "NCDHW";
}

Result<Operand> import_convolution(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(weight, c.tensor(1));
  const int64_t spatial = spatial_rank(op);
  const bool is_transposed = std::string_view(op).ends_with("transpose");
  const auto count = static_cast<size_t>(spatial);
  const std::string letters = default_layout(spatial).substr(2);
  REPOSE_TRY(strides, c.integers("strides", std::vector<int64_t>(count, 1)));
  REPOSE_TRY(padding, c.integers("padding", std::vector<int64_t>(count, 0)));
  REPOSE_TRY(dilation, c.integers("dilation", std::vector<int64_t>(count, 1)));
  REPOSE_TRY(groups, c.integer("groups", 1));
  REPOSE_TRY(layout, c.text("data_layout", default_layout(spatial)));
  REPOSE_TRY(kernel, c.text("kernel_layout", (is_transposed ? "IO" : "OI") + letters));
  REPOSE_TRY(result, c.text("out_layout", ""));
  REPOSE_TRY(dtype, c.dtype_named("out_dtype", dtypes::none));
  c.ignore({"channels", "kernel_size", "auto_scheduler_rewritten_layout",
            "meta_schedule_original_shape"});
  Attrs attrs{{"strides", Attr(strides)},    {"padding", Attr(padding)},
              {"dilation", Attr(dilation)},  {"groups", Attr(groups)},
              {"data_layout", Attr(layout)}, {"kernel_layout", Attr(kernel)}};
  if (!result.empty()) attrs.set("out_layout", Attr(result));
  if (dtype) attrs.set("out_dtype", Attr(dtype));
  if (is_transposed) {
    REPOSE_TRY(more, c.integers("output_padding", std::vector<int64_t>(count, 0)));
    attrs.set("output_padding", Attr(more));
  }
  return c.call(op, {x, weight}, std::move(attrs));
}

Result<Operand> import_pool(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  const int64_t spatial = spatial_rank(op);
  const auto count = static_cast<size_t>(spatial);
  REPOSE_TRY(size, c.integers("pool_size"));
  REPOSE_TRY(strides, c.integers("strides", std::vector<int64_t>(count, 1)));
  REPOSE_TRY(dilation, c.integers("dilation", std::vector<int64_t>(count, 1)));
  REPOSE_TRY(padding, c.integers("padding", std::vector<int64_t>(count, 0)));
  REPOSE_TRY(layout, c.text("layout", default_layout(spatial)));
  REPOSE_TRY(result, c.text("out_layout", ""));
  REPOSE_TRY(ceil_mode, c.boolean("ceil_mode", false));
  REPOSE_TRY(counts, c.boolean("count_include_pad", false));
  if (size.empty()) return c.fail(DiagnosticKind::bad_attribute, "there is no `pool_size`");
  Attrs attrs{{"pool_size", Attr(size)},          {"strides", Attr(strides)},
              {"dilation", Attr(dilation)},       {"padding", Attr(padding)},
              {"layout", Attr(layout)},           {"ceil_mode", Attr(ceil_mode)},
              {"count_include_pad", Attr(counts)}};
  if (!result.empty()) attrs.set("out_layout", Attr(result));
  return c.call(op, {x}, std::move(attrs));
}

Result<Operand> import_adaptive_pool(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(size, c.integers("output_size"));
  REPOSE_TRY(layout, c.text("layout", default_layout(spatial_rank(op))));
  c.ignore({"out_layout"});
  Attrs attrs{{"layout", Attr(layout)}};
  if (!size.empty()) attrs.set("output_size", Attr(size));
  return c.call(op, {x}, std::move(attrs));
}

// One window over all spatial dimensions, which stay as ones.
Result<Operand> import_global_pool(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(layout, c.text("layout", default_layout(spatial_rank(c.op()))));
  c.ignore({"out_layout"});
  if (static_cast<int64_t>(layout.size()) != rank) {
    return c.fail(DiagnosticKind::rank_mismatch, "an operand of rank {} has layout {}", rank,
                  layout);
  }
  std::vector<int64_t> axes;
  for (int64_t d = 0; d < rank; ++d) {
    const char letter = layout[static_cast<size_t>(d)];
    if (letter != 'N' && letter != 'C') axes.push_back(d);
  }
  return c.call(op, {x}, {{"axis", Attr(axes)}, {"keepdims", Attr(true)}});
}

// ---- Normalisations

struct Normalised {
  Values operands;
  Attrs attrs;
};
// x and weights; epsilon, center and scale.
Result<Normalised> normalised(RelayCall& c, size_t count) {
  Normalised n;
  REPOSE_REQUIRE(c.require_operands(count, count));
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(operand, c.tensor(i));
    n.operands.push_back(operand);
  }
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(center, c.boolean("center", true));
  REPOSE_TRY(scale, c.boolean("scale", true));
  n.attrs = {{"epsilon", Attr(epsilon)}, {"center", Attr(center)}, {"scale", Attr(scale)}};
  return n;
}

Result<Operand> import_batch_norm(RelayCall& c, const char* op) {
  REPOSE_TRY(n, normalised(c, 5));
  REPOSE_TRY(axis, c.integer("axis", 1));
  n.attrs.set("axis", Attr(axis));
  n.attrs.set("training", Attr(false));
  return c.call(op, n.operands, n.attrs);
}

Result<Operand> import_layer_norm(RelayCall& c, const char* op) {
  REPOSE_TRY(n, normalised(c, 3));
  REPOSE_TRY(axis, c.integer("axis", -1));
  n.attrs.set("axes", Attr(std::vector<int64_t>{axis}));
  return c.call(op, n.operands, n.attrs);
}

// Over all dimensions but the batch and the channels; of groups of channels where `num_groups` is
// given.
Result<Operand> import_channel_norm(RelayCall& c, const char* op) {
  REPOSE_TRY(n, normalised(c, 3));
  REPOSE_TRY(given, c.integer("axis", 1));
  REPOSE_TRY(rank, c.rank(n.operands[0]));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(groups, c.integer("num_groups", 0));
  std::vector<int64_t> axes;
  for (int64_t d = 1; d < rank; ++d) {
    if (d != axis) axes.push_back(d);
  }
  if (groups != 0) n.attrs.set("num_groups", Attr(groups));
  n.attrs.set("channel_axis", Attr(axis));
  n.attrs.set("axes", Attr(axes));
  return c.call(op, n.operands, n.attrs);
}

Result<Operand> import_dropout(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(rate, c.number("rate", 0.5));
  return c.call(op, {x}, {{"rate", Attr(rate)}});
}

// Widths are pairs; the fill is an attribute of old versions, an operand of newer ones.
Result<Operand> import_pad(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(mode, c.text("pad_mode", "constant"));
  REPOSE_TRY(value, c.number("pad_value", 0));
  REPOSE_TRY(pairs, c.pairs("pad_width"));
  if (static_cast<int64_t>(pairs.size()) != 2 * rank) {
    return c.fail(DiagnosticKind::bad_attribute,
                  "`pad_width` has {} numbers for an operand of rank {}, expected {}", pairs.size(),
                  rank, 2 * rank);
  }
  Dims widths;
  for (const int64_t w : pairs) widths.push_back(make_int(w));
  Values operands{x, graph::make_shape(std::move(widths))};
  if (c.num_operands() > 1) {
    REPOSE_TRY(fill, c.tensor(1));
    REPOSE_TRY(cast, c.cast(fill, c.dtype(x)));
    operands.push_back(cast);
  }
  const std::string name = mode == "edge" ? "replicate" : mode;
  return c.call(op, std::move(operands), {{"pad_mode", Attr(name)}, {"pad_value", Attr(value)}});
}

Result<Operand> import_resize(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(size, c.sizes("size", 1));
  REPOSE_TRY(layout, c.text("layout", "NCHW"));
  REPOSE_TRY(method, c.text("method", "linear"));
  REPOSE_TRY(mode, c.text("coordinate_transformation_mode", "half_pixel"));
  REPOSE_TRY(rounding, c.text("rounding_method", ""));
  REPOSE_TRY(alpha, c.number("cubic_alpha", -0.5));
  REPOSE_TRY(exclude, c.integer("cubic_exclude", 0));
  c.ignore({"roi"});  // of a mode that `image.resize2d` refuses
  REPOSE_TRY(outside, c.number("extrapolation_value", 0));
  Attrs attrs{{"layout", Attr(layout)},
              {"method", Attr(method)},
              {"coordinate_transformation_mode", Attr(mode)},
              {"cubic_alpha", Attr(alpha)},
              {"cubic_exclude", Attr(exclude)},
              {"extrapolation_value", Attr(outside)}};
  if (!rounding.empty()) attrs.set("rounding_method", Attr(rounding));
  return c.call(op, {x, graph::make_shape(size)}, std::move(attrs));
}

}  // namespace

std::span<const RelayOperator> network_operators() {
  static constexpr RelayOperator table[] = {
      {"image.resize2d", import_resize, "image.resize2d"},
      {"nn.adaptive_avg_pool1d", import_adaptive_pool, "nn.adaptive_avg_pool1d"},
      {"nn.adaptive_avg_pool2d", import_adaptive_pool, "nn.adaptive_avg_pool2d"},
      {"nn.adaptive_avg_pool3d", import_adaptive_pool, "nn.adaptive_avg_pool3d"},
      {"nn.avg_pool1d", import_pool, "nn.avg_pool1d"},
      {"nn.avg_pool2d", import_pool, "nn.avg_pool2d"},
      {"nn.avg_pool3d", import_pool, "nn.avg_pool3d"},
      {"nn.batch_matmul", import_batch_matmul},
      {"nn.batch_norm", import_batch_norm, "nn.batch_norm"},
      {"nn.bias_add", import_bias_add},
      {"nn.conv1d", import_convolution, "nn.conv1d"},
      {"nn.conv1d_transpose", import_convolution, "nn.conv1d_transpose"},
      {"nn.conv2d", import_convolution, "nn.conv2d"},
      {"nn.conv2d_transpose", import_convolution, "nn.conv2d_transpose"},
      {"nn.conv3d", import_convolution, "nn.conv3d"},
      {"nn.conv3d_transpose", import_convolution, "nn.conv3d_transpose"},
      {"nn.dense", import_dense},
      {"nn.dropout", import_dropout, "nn.dropout"},
      {"nn.fast_softmax", import_softmax, "nn.softmax"},
      {"nn.global_avg_pool1d", import_global_pool, "mean"},
      {"nn.global_avg_pool2d", import_global_pool, "mean"},
      {"nn.global_avg_pool3d", import_global_pool, "mean"},
      {"nn.global_max_pool1d", import_global_pool, "max"},
      {"nn.global_max_pool2d", import_global_pool, "max"},
      {"nn.global_max_pool3d", import_global_pool, "max"},
      {"nn.group_norm", import_channel_norm, "nn.group_norm"},
      {"nn.instance_norm", import_channel_norm, "nn.instance_norm"},
      {"nn.layer_norm", import_layer_norm, "nn.layer_norm"},
      {"nn.leaky_relu", import_leaky_relu, "nn.leakyrelu"},
      {"nn.log_softmax", import_softmax, "nn.log_softmax"},
      {"nn.matmul", import_matmul},
      {"nn.max_pool1d", import_pool, "nn.max_pool1d"},
      {"nn.max_pool2d", import_pool, "nn.max_pool2d"},
      {"nn.max_pool3d", import_pool, "nn.max_pool3d"},
      {"nn.pad", import_pad, "nn.pad"},
      {"nn.prelu", import_prelu, "nn.prelu"},
      {"nn.softmax", import_softmax, "nn.softmax"},
  };
  return table;
}

}  // namespace repose::relay
