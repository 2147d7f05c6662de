// Normalisations.
#include <algorithm>
#include <numeric>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

std::vector<int64_t> last_axes(size_t rank, size_t count) {
  std::vector<int64_t> axes(std::min(rank, count));
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(rank - axes.size()));
  return axes;
}

// An argument, or ones (zeros) in its place.
Result<Operand> weight_or(NodeContext& c, const char* arg, const Dims& dims, DType dtype,
                          double absent) {
  REPOSE_TRY(given, c.optional_tensor(arg));
  if (given) return c.cast(given, dtype);
  return c.call("full", {graph::make_shape(dims), c.scalar(dtype, absent)});
}

struct Statistics {
  Operand mean, inverse;
};

// mean, and 1 / sqrt(variance + eps), in float32 at least.
Statistics statistics_of(Composite& m, const Operand& x, const std::vector<int64_t>& axes,
                         double eps) {
  const Operand wide = m.dtype(x).bits < 32 ? m.cast(x, dtypes::float32) : x;
  const Operand variance = m.reduce("variance", wide, axes);
  return {m.mean(wide, axes), m.unary("rsqrt", m.add(variance, eps))};
}

Result<Values> layer_norm(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(normalized, c.sizes("normalized_shape"));
  REPOSE_TRY(eps, c.number("eps", 1e-5));
  REPOSE_TRY(dims, c.shape(x));
  const auto axes = last_axes(dims.size(), normalized.size());
  REPOSE_TRY(scale, weight_or(c, "weight", normalized, c.dtype(x), 1));
  REPOSE_TRY(bias, weight_or(c, "bias", normalized, c.dtype(x), 0));
  REPOSE_TRY(y, c.call("nn.layer_norm", {x, scale, bias},
                       {{"axes", axes}, {"epsilon", eps}, {"center", c.has("bias")}}));
  if (!c.result_meta(1)) return Values{y};
  Composite m(c);
  const Statistics s = statistics_of(m, x, axes, eps);
  return m.results({y, s.mean, s.inverse});
}

Result<Operand> rms_norm(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(normalized, c.sizes("normalized_shape"));
  const double least =
      c.dtype(x) == dtypes::float64 ? 2.220446049250313e-16 : 1.1920928955078125e-7;
  REPOSE_TRY(eps, c.number("eps", least));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(scale, weight_or(c, "weight", normalized, c.dtype(x), 1));
  return c.call("nn.rms_norm", {x, scale},
                {{"axes", last_axes(dims.size(), normalized.size())}, {"epsilon", eps}});
}

Result<Values> group_norm(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(groups, c.integer(c.has("num_groups") ? "num_groups" : "group"));
  REPOSE_TRY(eps, c.number("eps", 1e-5));
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() < 2 || groups < 1) {
    return c.fail(DiagnosticKind::bad_argument, "{} groups of a tensor of rank {}", groups,
                  dims.size());
  }
  REPOSE_TRY(scale, weight_or(c, "weight", {dims[1]}, c.dtype(x), 1));
  REPOSE_TRY(bias, weight_or(c, "bias", {dims[1]}, c.dtype(x), 0));
  REPOSE_TRY(y, c.call("nn.group_norm", {x, scale, bias},
                       {{"num_groups", groups},
                        {"channel_axis", 1},
                        {"axes", last_axes(dims.size(), dims.size() - 2)},
                        {"epsilon", eps}}));
  return Values{y};
}

// With the running statistics.
Result<Values> batch_norm(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(eps, c.number("eps", 1e-5));
  REPOSE_TRY(is_training, c.flag("training", false));
  REPOSE_TRY(dims, c.shape(x));
  if (is_training) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "training is not supported: export the module after `.eval()`");
  }
  if (dims.size() < 2) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 2",
                  dims.size());
  }
  REPOSE_TRY(scale, weight_or(c, "weight", {dims[1]}, c.dtype(x), 1));
  REPOSE_TRY(bias, weight_or(c, "bias", {dims[1]}, c.dtype(x), 0));
  REPOSE_TRY(given_mean, c.tensor("running_mean"));
  REPOSE_TRY(given_variance, c.tensor("running_var"));
  REPOSE_TRY(mean, c.cast(given_mean, c.dtype(x)));
  REPOSE_TRY(variance, c.cast(given_variance, c.dtype(x)));
  REPOSE_TRY(y, c.call("nn.batch_norm_inference", {x, scale, bias, mean, variance},
                       {{"axis", 1}, {"epsilon", eps}}));
  return Values{y};
}

Result<Values> instance_norm(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(eps, c.number("eps", 1e-5));
  REPOSE_TRY(of_input, c.flag("use_input_stats", true));
  if (!of_input) return batch_norm(c);
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() < 3) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least 3",
                  dims.size());
  }
  REPOSE_TRY(scale, weight_or(c, "weight", {dims[1]}, c.dtype(x), 1));
  REPOSE_TRY(bias, weight_or(c, "bias", {dims[1]}, c.dtype(x), 0));
  REPOSE_TRY(y, c.call("nn.instance_norm", {x, scale, bias},
                       {{"channel_axis", 1},
                        {"axes", last_axes(dims.size(), dims.size() - 2)},
                        {"epsilon", eps}}));
  return Values{y};
}

// v times g / the norm of v over all axes but `dim`.
Result<Operand> weight_norm(NodeContext& c) {
  REPOSE_TRY(v, c.tensor("v"));
  REPOSE_TRY(g, c.tensor("g"));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(rank, c.rank(v));
  REPOSE_TRY(axis, c.axis(given, rank));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i) {
    if (i != axis) axes.push_back(i);
  }
  Composite m(c);
  const Operand norm = m.unary("sqrt", m.sum(m.unary("square", v), axes));
  return m.result(m.multiply(v, m.divide(g, norm)));
}

}  // namespace

std::span<const OperatorRow> norm_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten._native_batch_norm_legit_no_training.default", batch_norm},
      {"aten._weight_norm.default", one<weight_norm>},
      {"aten._weight_norm_interface.default", one<weight_norm>},
      {"aten.batch_norm.default", batch_norm},
      {"aten.group_norm.default", group_norm},
      {"aten.instance_norm.default", instance_norm},
      {"aten.layer_norm.default", layer_norm},
      {"aten.native_group_norm.default", group_norm},
      {"aten.native_layer_norm.default", layer_norm},
      {"aten.rms_norm.default", one<rms_norm>},
  };
  return rows;
}

}  // namespace repose::torch
