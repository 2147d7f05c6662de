// Normalisations.
#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// first, first + 1, … before last
std::vector<int64_t> axes_between(int64_t first, int64_t last) {
  std::vector<int64_t> axes;
  for (int64_t a = first; a < last; ++a) axes.push_back(a);
  return axes;
}

// Does `weight` have the dimensions of x from `axis` on, so that it needs no broadcasting?
bool covers(const Dims& weight, const Dims& x, size_t axis) {
  if (weight.size() != x.size() - axis) return false;
  for (size_t i = 0; i < weight.size(); ++i) {
    if (!structural_equal(weight[i], x[axis + i])) return false;
  }
  return true;
}

// mean, and 1 / sqrt(variance + epsilon), in float32 at least.
Result<Values> statistics(NodeContext& c, const Operand& x, const std::vector<int64_t>& axes,
                          double epsilon) {
  const DType dtype = c.dtype(x);
  REPOSE_TRY(wide, c.cast(x, dtype.bits < 32 ? dtypes::float32 : dtype));
  const Attrs attrs{{"axis", axes}, {"keepdims", true}};
  REPOSE_TRY(mean, c.call("mean", {wide}, attrs));
  REPOSE_TRY(variance, c.call("variance", {wide}, attrs));
  REPOSE_TRY(shifted, c.call("add", {variance, c.scalar_like(variance, epsilon)}));
  REPOSE_TRY(inverse, c.call("rsqrt", {shifted}));
  return Values{mean, inverse};
}

Result<Values> layer_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(given, c.integer("axis", -1));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  const auto axes = axes_between(axis, static_cast<int64_t>(dims.size()));
  const Operand bias = c.optional(2);
  REPOSE_TRY(scale_dims, c.shape(scale));
  const size_t first = static_cast<size_t>(axis);
  bool fits = covers(scale_dims, dims, first) && c.dtype(scale) == c.dtype(x);
  if (bias) {
    REPOSE_TRY(bias_dims, c.shape(bias));
    fits = fits && covers(bias_dims, dims, first) && c.dtype(bias) == c.dtype(x);
  }
  Operand y;
  if (fits) {
    REPOSE_TRY(normal, c.call("nn.layer_norm", {x, scale, bias ? bias : scale},
                              {{"axes", axes}, {"epsilon", epsilon}, {"center", bias != nullptr}}));
    y = normal;
  } else {  // weights that broadcast
    REPOSE_TRY(s, statistics(c, x, axes, epsilon));
    REPOSE_TRY(wide, c.cast(x, c.dtype(s[0])));
    REPOSE_TRY(centred, c.call("subtract", {wide, s[0]}));
    REPOSE_TRY(scaled, c.call("multiply", {centred, s[1]}));
    REPOSE_TRY(normal, c.cast(scaled, c.dtype(scale)));
    REPOSE_TRY(weighted, c.call("multiply", {normal, scale}));
    y = weighted;
    if (bias) {
      REPOSE_TRY(moved, c.call("add", {y, bias}));
      y = moved;
    }
  }
  if (!c.wants(1) && !c.wants(2)) return Values{y};
  REPOSE_TRY(s, statistics(c, x, axes, epsilon));
  return Values{y, s[0], s[1]};
}

Result<Operand> rms_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(given, c.integer("axis", -1));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  const auto axes = axes_between(axis, static_cast<int64_t>(dims.size()));
  REPOSE_TRY(scale_dims, c.shape(scale));
  if (covers(scale_dims, dims, static_cast<size_t>(axis)) && c.dtype(scale) == c.dtype(x)) {
    return c.call("nn.rms_norm", {x, scale}, {{"axes", axes}, {"epsilon", epsilon}});
  }
  const DType dtype = c.dtype(x);
  REPOSE_TRY(wide, c.cast(x, dtype.bits < 32 ? dtypes::float32 : dtype));
  REPOSE_TRY(squares, c.call("square", {wide}));
  REPOSE_TRY(mean, c.call("mean", {squares}, {{"axis", axes}, {"keepdims", true}}));
  REPOSE_TRY(shifted, c.call("add", {mean, c.scalar_like(mean, epsilon)}));
  REPOSE_TRY(inverse, c.call("rsqrt", {shifted}));
  REPOSE_TRY(scaled, c.call("multiply", {wide, inverse}));
  REPOSE_TRY(normal, c.cast(scaled, c.dtype(scale)));
  return c.call("multiply", {normal, scale});
}

// The statistics of the batch instead of the given ones, and both mixed as the running ones.
Result<Values> batch_norm_in_training(NodeContext& c, const Operand& x, double epsilon) {
  REPOSE_TRY(momentum, c.number("momentum", 0.9));
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes = axes_between(0, rank);
  axes.erase(axes.begin() + 1);
  Values current;
  for (const char* op : {"mean", "variance"}) {
    const size_t i = 3 + current.size();
    REPOSE_TRY(running, c.input(i));
    const DType dtype = c.dtype(x), wide = dtype.bits < 32 ? dtypes::float32 : dtype;
    REPOSE_TRY(exact, c.cast(x, wide));
    REPOSE_TRY(value, c.call(op, {exact}, {{"axis", axes}}));
    REPOSE_TRY(cast, c.cast(value, c.dtype(running)));
    current.push_back(cast);
  }
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(bias, c.input(2));
  REPOSE_TRY(y, c.call("nn.batch_norm_inference", {x, scale, bias, current[0], current[1]},
                       {{"axis", 1}, {"epsilon", epsilon}}));
  Values results{y};
  for (size_t i = 0; i < 2; ++i) {
    REPOSE_TRY(running, c.input(3 + i));
    REPOSE_TRY(old_part, c.call("multiply", {running, c.scalar_like(running, momentum)}));
    REPOSE_TRY(new_part, c.call("multiply", {current[i], c.scalar_like(running, 1 - momentum)}));
    REPOSE_TRY(mixed, c.call("add", {old_part, new_part}));
    results.push_back(mixed);
  }
  return results;
}

Result<Values> batch_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(training, c.flag("training_mode", false));
  REPOSE_TRY(is_test, c.flag("is_test", c.opset() >= 7));
  if (!is_test) {
    return c.fail(DiagnosticKind::unsupported_feature, "training before operator set 7");
  }
  REPOSE_TRY(spatial, c.flag("spatial", true));
  REPOSE_TRY(rank, c.rank(x));
  if (!spatial) return c.fail(DiagnosticKind::unsupported_feature, "attribute `spatial` is 0");
  if (rank < 2) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 2",
                  rank);
  }
  if (training) return batch_norm_in_training(c, x, epsilon);
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(bias, c.input(2));
  REPOSE_TRY(mean, c.input(3));
  REPOSE_TRY(variance, c.input(4));
  REPOSE_TRY(y, c.call("nn.batch_norm_inference", {x, scale, bias, mean, variance},
                       {{"axis", 1}, {"epsilon", epsilon}}));
  return Values{y};
}

Result<Operand> instance_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(bias, c.input(2));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(rank, c.rank(x));
  return c.call("nn.instance_norm", {x, scale, bias},
                {{"channel_axis", 1}, {"axes", axes_between(2, rank)}, {"epsilon", epsilon}});
}

// A weight per group as a weight per channel.
Result<Operand> spread_over_channels(NodeContext& c, const Operand& weight, const Expr& channels,
                                     int64_t groups) {
  const Expr count = make_int(groups);
  const Expr members = simplify(floor_div(channels, count), c.facts());
  REPOSE_TRY(column, c.reshape(weight, {count, make_int(1)}));
  REPOSE_TRY(all, c.call("broadcast_to", {column, graph::make_shape({count, members})}));
  return c.reshape(all, {channels});
}

// Weights are one per group before operator set 21.
Result<Operand> group_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(scale, c.input(1));
  REPOSE_TRY(bias, c.input(2));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(groups, c.integer("num_groups"));
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() < 2 || groups < 1) {
    return c.fail(DiagnosticKind::bad_argument, "{} groups of a tensor of rank {}", groups,
                  dims.size());
  }
  Operand gamma = scale, beta = bias;
  if (c.opset() < 21) {
    REPOSE_TRY(wide_scale, spread_over_channels(c, scale, dims[1], groups));
    REPOSE_TRY(wide_bias, spread_over_channels(c, bias, dims[1], groups));
    gamma = wide_scale;
    beta = wide_bias;
  }
  return c.call("nn.group_norm", {x, gamma, beta},
                {{"num_groups", groups},
                 {"channel_axis", 1},
                 {"axes", axes_between(2, static_cast<int64_t>(dims.size()))},
                 {"epsilon", epsilon}});
}

// (x - mean) / (standard deviation + 1e-9)
Result<Operand> mean_variance_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(given, c.integers("axes"));
  const Attrs attrs{{"axis", given ? *given : std::vector<int64_t>{0, 2, 3}}, {"keepdims", true}};
  REPOSE_TRY(mean, c.call("mean", {x}, attrs));
  REPOSE_TRY(centred, c.call("subtract", {x, mean}));
  REPOSE_TRY(deviation, c.call("std", {x}, attrs));
  REPOSE_TRY(divisor, c.call("add", {deviation, c.scalar_like(x, 1e-9)}));
  return c.call("divide", {centred, divisor});
}

// x / max(norm, tiny) would depart from ONNX where the norm is 0: there it gives 0.
Result<Operand> lp_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(p, c.integer("p", 2));
  if (p != 1 && p != 2) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `p` is {}, expected 1 or 2", p);
  }
  REPOSE_TRY(terms, c.call(p == 1 ? "abs" : "square", {x}));
  REPOSE_TRY(total,
             c.call("sum", {terms}, {{"axis", std::vector<int64_t>{axis}}, {"keepdims", true}}));
  Operand norm = total;
  if (p == 2) {
    REPOSE_TRY(root, c.call("sqrt", {total}));
    norm = root;
  }
  REPOSE_TRY(is_zero, c.call("equal", {norm, c.scalar_like(norm, 0)}));
  REPOSE_TRY(divisor, c.call("where", {is_zero, c.scalar_like(norm, 1), norm}));
  return c.call("divide", {x, divisor});
}

// x / (bias + alpha / size * the sum of squares of `size` channels around)^beta
Result<Operand> local_response_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(size, c.integer("size"));
  REPOSE_TRY(alpha, c.number("alpha", 1e-4));
  REPOSE_TRY(beta, c.number("beta", 0.75));
  REPOSE_TRY(bias, c.number("bias", 1));
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() < 2) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 2",
                  dims.size());
  }
  if (size < 1 || size > 65536) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `size` is {}", size);
  }
  Composite m(c);
  Expr inner = make_int(1);
  for (size_t d = 2; d < dims.size(); ++d) inner = inner * dims[d];
  // Channels as the rows of an image; padding counts as 0. A pool has at least one window: where
  // there may be no channels, it gets one more, of which nothing is taken.
  const Operand image =
      m.reshape(m.unary("square", x), {dims[0], make_int(1), dims[1], canonical(inner)});
  const int64_t more = prove(le(make_int(1), dims[1]), c.facts()) == Truth::yes ? 0 : 1;
  Operand mean = m.call("nn.avg_pool2d", {image},
                        {{"pool_size", std::vector<int64_t>{size, 1}},
                         {"padding", std::vector<int64_t>{(size - 1) / 2, 0, size / 2 + more, 0}},
                         {"count_include_pad", true}});
  if (more) mean = m.slice(mean, 2, make_int(0), dims[1]);
  const Operand total = m.add(m.multiply(m.reshape(mean, dims), alpha), bias);
  return m.result(m.divide(x, m.power(total, beta)));
}

}  // namespace

std::span<const OperatorRow> norm_operators() {
  static constexpr OperatorRow rows[] = {
      {"BatchNormalization", 1, batch_norm},
      {"GroupNormalization", 18, one<group_norm>},
      {"InstanceNormalization", 1, one<instance_norm>},
      {"LRN", 1, one<local_response_norm>},
      {"LayerNormalization", 17, layer_norm},
      {"LpNormalization", 1, one<lp_norm>},
      {"MeanVarianceNormalization", 9, one<mean_variance_norm>},
      {"RMSNormalization", 23, one<rms_norm>},
  };
  return rows;
}

}  // namespace repose::onnx
