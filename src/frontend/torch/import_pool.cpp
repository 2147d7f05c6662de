// Pooling.
#include <algorithm>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

struct Pool {
  Operand x;  // with a batch
  bool is_unbatched = false;
  std::vector<int64_t> kernel, padding;
  Attrs attrs;
};

Result<std::vector<int64_t>> extents_of(NodeContext& c, const char* arg, size_t count,
                                        const std::vector<int64_t>& absent) {
  REPOSE_TRY(given, c.integers(arg));
  if (given.empty()) return absent;
  if (given.size() == 1) given.resize(count, given[0]);
  if (given.size() != count) {
    return c.fail(DiagnosticKind::bad_argument, "argument `{}` has {} elements, expected {}", arg,
                  given.size(), count);
  }
  for (int64_t v : given) {
    if (v >= 0 && v <= (int64_t{1} << 31)) continue;
    return c.fail(DiagnosticKind::bad_argument, "argument `{}` has the value {}", arg, v);
  }
  return given;
}

Result<Operand> batched(NodeContext& c, const Operand& x, size_t spatial, bool* is_unbatched) {
  REPOSE_TRY(rank, c.rank(x));
  *is_unbatched = rank == static_cast<int64_t>(spatial) + 1;
  Composite m(c);
  return m.result(*is_unbatched ? m.unsqueeze(x, {0}) : x);
}

Result<Pool> pool_of(NodeContext& c, size_t spatial) {
  Pool p;
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(batch, batched(c, x, spatial, &p.is_unbatched));
  p.x = batch;
  REPOSE_TRY(kernel, extents_of(c, "kernel_size", spatial, {}));
  if (kernel.size() != spatial) {
    return c.fail(DiagnosticKind::wrong_arity, "argument `kernel_size` is missing");
  }
  REPOSE_TRY(strides, extents_of(c, "stride", spatial, kernel));
  REPOSE_TRY(dilation, extents_of(c, "dilation", spatial, std::vector<int64_t>(spatial, 1)));
  REPOSE_TRY(padding, extents_of(c, "padding", spatial, std::vector<int64_t>(spatial, 0)));
  REPOSE_TRY(round_up, c.flag("ceil_mode", false));
  p.kernel = kernel;
  p.padding = padding;
  std::vector<int64_t> sides = padding;
  sides.insert(sides.end(), padding.begin(), padding.end());
  p.attrs = {{"pool_size", kernel},
             {"strides", strides},
             {"dilation", dilation},
             {"padding", sides},
             {"ceil_mode", round_up}};
  return p;
}

Result<Values> finished(NodeContext& c, const Pool& p, Values results) {
  Composite m(c);
  for (Operand& y : results) y = p.is_unbatched ? m.squeeze(y, {0}) : y;
  return m.results(results);
}

template <size_t spatial>
Result<Values> max_pool(NodeContext& c) {
  REPOSE_TRY(p, pool_of(c, spatial));
  if (c.result_meta(1)) {
    REPOSE_TRY(both, c.call_tuple(fmt::format("nn.max_pool_indices{}d", spatial), {p.x}, p.attrs));
    // Places within one image, not among all.
    Composite m(c);
    const Dims dims = m.shape(p.x);
    Expr image = make_int(1);
    for (size_t i = 2; i < dims.size(); ++i) image = image * dims[i];
    const Operand size = m.number(canonical(image), dtypes::int64);
    REPOSE_TRY(places, m.result(m.floor_mod(m.cast(both[1], dtypes::int64), size)));
    return finished(c, p, {both[0], places});
  }
  REPOSE_TRY(y, c.call(fmt::format("nn.max_pool{}d", spatial), {p.x}, p.attrs));
  return finished(c, p, {y});
}

template <size_t spatial>
Result<Values> average_pool(NodeContext& c) {
  REPOSE_TRY(p, pool_of(c, spatial));
  REPOSE_TRY(count_padding, c.flag("count_include_pad", true));
  p.attrs.set("count_include_pad", count_padding);
  REPOSE_TRY(y, c.call(fmt::format("nn.avg_pool{}d", spatial), {p.x}, p.attrs));
  if (!c.has("divisor_override")) return finished(c, p, {y});
  REPOSE_TRY(divisor, c.integer("divisor_override"));
  if (!count_padding || divisor == 0) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "`divisor_override` without `count_include_pad`, or of 0");
  }
  double share = 1.0 / static_cast<double>(divisor);
  for (int64_t e : p.kernel) share *= static_cast<double>(e);
  Composite m(c);
  REPOSE_TRY(scaled, m.result(m.multiply(y, share)));
  return finished(c, p, {scaled});
}

template <size_t spatial>
Result<Values> adaptive_average_pool(NodeContext& c) {
  Pool p;
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(batch, batched(c, x, spatial, &p.is_unbatched));
  REPOSE_TRY(shape, c.result_shape());
  REPOSE_TRY(dims, c.shape(batch));
  if (shape.size() < spatial || dims.size() < spatial) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected at least {}",
                  dims.size(), spatial);
  }
  std::vector<int64_t> extents, axes;
  bool is_mean = true, is_same = true;
  for (size_t d = 0; d < spatial; ++d) {
    const Expr& extent = shape[shape.size() - spatial + d];
    const size_t axis = dims.size() - spatial + d;
    is_same = is_same && prove_equal(extent, dims[axis], c.facts()) == Truth::yes;
    is_mean = is_mean && is_const_int(extent, 1);
    extents.push_back(0);
    axes.push_back(static_cast<int64_t>(axis));
    if (!as_const_int(extent, &extents.back()) && !is_same) {
      return c.fail(DiagnosticKind::unsupported_feature, "its output size `{}` is no constant",
                    to_string(extent));
    }
  }
  if (is_same) return finished(c, p, {batch});
  Composite m(c);
  const Operand y = is_mean ? m.mean(batch, axes)
                            : m.call(fmt::format("nn.adaptive_avg_pool{}d", spatial).c_str(),
                                     {batch}, {{"output_size", extents}});
  REPOSE_TRY(value, m.result(y));
  return finished(c, p, {value});
}

// Of one element: the largest. Others have windows of different sizes.
template <size_t spatial>
Result<Values> adaptive_max_pool(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(extents, c.integers("output_size"));
  REPOSE_TRY(rank, c.rank(x));
  for (int64_t e : extents) {
    if (e != 1) return c.fail(DiagnosticKind::unsupported_feature, "an output size of {}", e);
  }
  std::vector<int64_t> axes;
  for (int64_t i = rank - static_cast<int64_t>(spatial); i < rank; ++i)
    axes.push_back(std::max<int64_t>(i, 0));
  Composite m(c);
  return m.results({m.max(x, axes)});
}

}  // namespace

std::span<const OperatorRow> pool_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten._adaptive_avg_pool2d.default", adaptive_average_pool<2>},
      {"aten._adaptive_avg_pool3d.default", adaptive_average_pool<3>},
      {"aten.adaptive_avg_pool1d.default", adaptive_average_pool<1>},
      {"aten.adaptive_avg_pool2d.default", adaptive_average_pool<2>},
      {"aten.adaptive_avg_pool3d.default", adaptive_average_pool<3>},
      {"aten.adaptive_max_pool1d.default", adaptive_max_pool<1>},
      {"aten.adaptive_max_pool2d.default", adaptive_max_pool<2>},
      {"aten.avg_pool1d.default", average_pool<1>},
      {"aten.avg_pool2d.default", average_pool<2>},
      {"aten.avg_pool3d.default", average_pool<3>},
      {"aten.max_pool1d.default", max_pool<1>},
      {"aten.max_pool2d.default", max_pool<2>},
      {"aten.max_pool2d_with_indices.default", max_pool<2>},
      {"aten.max_pool3d.default", max_pool<3>},
      {"aten.max_pool3d_with_indices.default", max_pool<3>},
  };
  return rows;
}

}  // namespace repose::torch
