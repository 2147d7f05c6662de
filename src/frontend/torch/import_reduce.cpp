// Reductions, orders, and running sums.
#include <cmath>
#include <limits>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// The axes of an argument, which may be one number, a list or nothing: all.
Result<std::vector<int64_t>> axes_of(NodeContext& c, const Operand& x, const char* arg = "dim") {
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integers(arg));
  std::vector<int64_t> axes;
  if (given.empty()) {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
    return axes;
  }
  if (rank == 0) return axes;  // -1 and 0 are allowed of a scalar
  for (int64_t a : given) {
    REPOSE_TRY(axis, c.axis(a, rank));
    axes.push_back(axis);
  }
  return axes;
}

struct Reduction {
  Operand x;
  std::vector<int64_t> axes;
  bool keep;
};

Result<Reduction> reduction_of(NodeContext& c, const Operand& x) {
  REPOSE_TRY(axes, axes_of(c, x));
  REPOSE_TRY(keep, c.flag("keepdim", false));
  return Reduction{x, axes, keep};
}

Operand reduced(Composite& m, const char* op, const Reduction& r, const Operand& x) {
  return r.axes.empty() ? x : m.reduce(op, x, r.axes, r.keep);
}

template <Name op>
Result<Operand> reduce(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(r, reduction_of(c, x));
  Composite m(c);
  return m.result(reduced(m, op.chars, r, x));
}

// any, all: the largest or smallest truth value.
template <Name op>
Result<Operand> reduce_truths(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("self"));
  REPOSE_TRY(r, reduction_of(c, given));
  Composite m(c);
  const Operand x = m.cast(m.cast(given, dtypes::boolean), dtypes::int32);
  return m.result(m.cast(reduced(m, op.chars, r, x), dtypes::boolean));
}

// What the sum of squares is divided by: the number of elements less `correction`.
Result<Operand> variance_of(NodeContext& c, Composite& m, const Reduction& r) {
  REPOSE_TRY(unbiased, c.flag("unbiased", true));
  REPOSE_TRY(correction, c.number("correction", unbiased ? 1 : 0));
  const Operand y =
      r.axes.empty() ? m.multiply(r.x, 0.0) : m.reduce("variance", r.x, r.axes, r.keep);
  if (correction == 0) return m.result(y);
  Expr count = make_int(1);
  const Dims dims = m.shape(r.x);
  for (int64_t a : r.axes) count = count * dims[static_cast<size_t>(a)];
  const Operand n = m.number(canonical(count), m.dtype(r.x));
  const Operand divisor = m.maximum(m.subtract(n, correction), 0.0);
  return m.result(m.multiply(y, m.divide(n, divisor)));
}

template <bool is_root>
Result<Operand> variance(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(r, reduction_of(c, x));
  Composite m(c);
  REPOSE_TRY(y, variance_of(c, m, r));
  return m.result(is_root ? m.unary("sqrt", y) : y);
}

template <bool is_root>
Result<Values> variance_and_mean(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(r, reduction_of(c, x));
  Composite m(c);
  REPOSE_TRY(y, variance_of(c, m, r));
  return m.results({is_root ? m.unary("sqrt", y) : y, reduced(m, "mean", r, x)});
}

// Along one axis: the extreme, and where it is.
template <Name op, Name arg_op>
Result<Values> extreme_of_axis(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(keep, c.flag("keepdim", false));
  REPOSE_TRY(rank, c.rank(x));
  Composite m(c);
  if (rank == 0) return m.results({x, m.scalar(dtypes::int64, 0)});
  const Operand y = m.reduce(op.chars, x, {axis}, keep);
  if (c.num_outputs() < 2 || !c.result_meta(1)) return m.results({y});
  const Operand places = m.call(arg_op.chars, {x}, {{"axis", axis}, {"keepdims", keep}});
  return m.results({y, m.cast(places, dtypes::int64)});
}

template <Name op>
Result<Operand> place_of_extreme(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(keep, c.flag("keepdim", false));
  REPOSE_TRY(rank, c.rank(x));
  Attrs attrs{{"keepdims", keep}};
  Operand of = x;
  if (c.has("dim") && rank > 0) {
    REPOSE_TRY(axis, c.integer("dim"));
    attrs.set("axis", axis);
  } else if (rank == 0) {
    return c.scalar(dtypes::int64, 0);
  }
  REPOSE_TRY(y, c.call(op.chars, {of}, std::move(attrs)));
  return c.cast(y, dtypes::int64);
}

Result<Operand> log_sum_exp(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(r, reduction_of(c, x));
  Composite m(c);
  const Operand most = m.max(x, r.axes, true);
  const Operand base = m.where(m.unary("isfinite", most), most, 0.0);
  const Operand total = m.sum(m.unary("exp", m.subtract(x, base)), r.axes, true);
  const Operand y = m.add(m.unary("log", total), base);
  return m.result(r.keep ? y : m.squeeze(y, r.axes));
}

Result<Operand> norm_of(NodeContext& c, const char* order_arg) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(r, reduction_of(c, x));
  REPOSE_TRY(order, c.number(order_arg, 2));
  Composite m(c);
  const Operand size = m.unary("abs", x);
  if (std::isinf(order)) return m.result(reduced(m, order > 0 ? "max" : "min", r, size));
  if (order == 0) {
    return m.result(reduced(m, "sum", r, m.cast(m.not_equal(x, 0.0), m.dtype(x))));
  }
  if (order == 1) return m.result(reduced(m, "sum", r, size));
  if (order == 2) return m.result(m.unary("sqrt", reduced(m, "sum", r, m.unary("square", x))));
  return m.result(m.power(reduced(m, "sum", r, m.power(size, order)), 1 / order));
}

Result<Operand> vector_norm(NodeContext& c) {
  return norm_of(c, "ord");
}
Result<Operand> p_norm(NodeContext& c) {
  return norm_of(c, "p");
}

template <Name op>
Result<Operand> running(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(rank, c.rank(x));
  if (rank == 0) return x;
  return c.call(op.chars, {x}, {{"axis", axis}});
}

Result<Operand> count_nonzero(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(axes, axes_of(c, x));
  Composite m(c);
  const Operand ones = m.cast(m.cast(x, dtypes::boolean), dtypes::int64);
  return m.result(axes.empty() ? ones : m.sum(ones, axes, false));
}

// ---- Orders

Result<Values> ordered(NodeContext& c, const Operand& x, int64_t given, const Expr& count,
                       bool largest) {
  REPOSE_TRY(rank, c.rank(x));
  Composite m(c);
  if (rank == 0) return m.results({x, m.scalar(dtypes::int64, 0)});
  REPOSE_TRY(axis, c.axis(given, rank));
  const bool is_truth = c.dtype(x).is_bool();
  const Operand keys = is_truth ? m.cast(x, dtypes::uint8) : x;
  auto parts = m.call_tuple("topk", {keys, graph::make_prim(count)},
                            {{"axis", axis}, {"largest", largest}}, 2);
  return m.results({m.cast(parts[0], c.dtype(x)), m.cast(parts[1], dtypes::int64)});
}

Result<Values> topk(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(count, c.size("k"));
  REPOSE_TRY(axis, c.integer("dim", -1));
  REPOSE_TRY(largest, c.flag("largest", true));
  return ordered(c, x, axis, count, largest);
}

Result<Values> sort(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(given, c.integer("dim", -1));
  REPOSE_TRY(descending, c.flag("descending", false));
  REPOSE_TRY(dims, c.shape(x));
  if (dims.empty()) return ordered(c, x, 0, make_int(1), true);
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  return ordered(c, x, axis, dims[static_cast<size_t>(axis)], descending);
}

Result<Operand> argsort(NodeContext& c) {
  REPOSE_TRY(parts, sort(c));
  return parts[1];
}

}  // namespace

std::span<const OperatorRow> reduce_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.all.default", one<reduce_truths<"min">>},
      {"aten.all.dim", one<reduce_truths<"min">>},
      {"aten.all.dims", one<reduce_truths<"min">>},
      {"aten.amax.default", one<reduce<"max">>},
      {"aten.amin.default", one<reduce<"min">>},
      {"aten.any.default", one<reduce_truths<"max">>},
      {"aten.any.dim", one<reduce_truths<"max">>},
      {"aten.any.dims", one<reduce_truths<"max">>},
      {"aten.argmax.default", one<place_of_extreme<"argmax">>},
      {"aten.argmin.default", one<place_of_extreme<"argmin">>},
      {"aten.argsort.default", one<argsort>},
      {"aten.argsort.stable", one<argsort>},
      {"aten.count_nonzero.default", one<count_nonzero>},
      {"aten.count_nonzero.dim_IntList", one<count_nonzero>},
      {"aten.cumprod.default", one<running<"cumprod">>},
      {"aten.cumsum.default", one<running<"cumsum">>},
      {"aten.linalg_vector_norm.default", one<vector_norm>},
      {"aten.logsumexp.default", one<log_sum_exp>},
      {"aten.max.default", one<reduce<"max">>},
      {"aten.max.dim", extreme_of_axis<"max", "argmax">},
      {"aten.mean.default", one<reduce<"mean">>},
      {"aten.mean.dim", one<reduce<"mean">>},
      {"aten.min.default", one<reduce<"min">>},
      {"aten.min.dim", extreme_of_axis<"min", "argmin">},
      {"aten.norm.ScalarOpt_dim", one<p_norm>},
      {"aten.prod.default", one<reduce<"prod">>},
      {"aten.prod.dim_int", one<reduce<"prod">>},
      {"aten.sort.default", sort},
      {"aten.sort.stable", sort},
      {"aten.std.correction", one<variance<true>>},
      {"aten.std.default", one<variance<true>>},
      {"aten.std.dim", one<variance<true>>},
      {"aten.std_mean.correction", variance_and_mean<true>},
      {"aten.sum.default", one<reduce<"sum">>},
      {"aten.sum.dim_IntList", one<reduce<"sum">>},
      {"aten.topk.default", topk},
      {"aten.var.correction", one<variance<false>>},
      {"aten.var.default", one<variance<false>>},
      {"aten.var.dim", one<variance<false>>},
      {"aten.var_mean.correction", variance_and_mean<false>},
      {"aten.var_mean.default", variance_and_mean<false>},
      {"aten.var_mean.dim", variance_and_mean<false>},
  };
  return rows;
}

}  // namespace repose::torch
