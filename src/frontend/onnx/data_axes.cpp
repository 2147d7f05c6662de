// Axes that only the data tells.
#include "frontend/onnx/data_axes.h"

namespace repose::onnx {

Result<DataAxes> DataAxes::make(NodeContext& c, const Operand& axes, int64_t rank) {
  DataAxes result;
  REPOSE_TRY(elements, c.elements(axes, "axes"));
  for (const Expr& e : elements) {
    auto inside = c.require(logical_and(le(make_int(-rank), e), lt(e, make_int(rank))),
                            "axis {0} of a tensor of rank {1}", {e, make_int(rank)});
    if (!inside.ok()) return inside.errors();
  }
  result.elements_ = elements;
  result.rank_ = rank;
  return result;
}

Expr DataAxes::names(size_t i, int64_t d) const {
  return logical_or(eq(elements_[i], make_int(d)), eq(elements_[i], make_int(d - rank_)));
}

Expr DataAxes::has(int64_t d) const {
  Expr any = make_bool(false);
  for (size_t i = 0; i < elements_.size(); ++i)
    any = i == 0 ? names(i, d) : logical_or(any, names(i, d));
  return any;
}

Expr DataAxes::value_at(int64_t d, const std::vector<Expr>& list, const Expr& absent) const {
  Expr value = absent;
  for (size_t i = 0; i < elements_.size(); ++i) value = make_select(names(i, d), list[i], value);
  return value;
}

Expr DataAxes::others_before(int64_t d) const {
  Expr count = make_int(0);
  for (int64_t e = 0; e < d; ++e) count = count + make_select(has(e), make_int(0), make_int(1));
  return count;
}

// Axis by axis: beside x its reduction, of extent 1, and of both together one or the other.
Result<Operand> reduce_along(NodeContext& c, const char* op, const Operand& x,
                             const DataAxes& axes) {
  REPOSE_TRY(dims, c.shape(x));
  Composite m(c);
  Operand y = x;
  for (int64_t d = 0; d < static_cast<int64_t>(dims.size()) && m.ok(); ++d) {
    const Expr is_named = axes.has(d), end = dims[static_cast<size_t>(d)] + 1;
    const Operand both = m.concat({m.reduce(op, y, {d}), y}, d);
    y = m.slice(both, d, make_select(is_named, make_int(0), make_int(1)),
                make_select(is_named, make_int(1), end));
  }
  return m.result(y);
}

Result<Operand> squeeze_along(NodeContext& c, const Operand& x, const DataAxes& axes) {
  REPOSE_TRY(dims, c.shape(x));
  const auto rank = static_cast<int64_t>(dims.size());
  Dims left;
  for (int64_t k = 0; k + static_cast<int64_t>(axes.size()) < rank; ++k) {
    Expr extent = make_int(0);  // of the dimension that is number k of those that stay
    for (int64_t d = 0; d < rank; ++d) {
      const Expr is_it = logical_and(make_not(axes.has(d)), eq(axes.others_before(d), make_int(k)));
      extent = make_select(is_it, dims[static_cast<size_t>(d)], extent);
    }
    left.push_back(simplify(extent, c.facts()));
  }
  return c.reshape(x, left);
}

Result<Operand> unsqueeze_along(NodeContext& c, const Operand& x, const Operand& axes) {
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(count, c.shape(axes));
  int64_t more = 1;
  if (count.size() > 1 || (count.size() == 1 && !as_const_int(count[0], &more)) ||
      more > max_rank) {
    return c.fail(
        DiagnosticKind::unsupported_feature,
        "`axes` has the shape {}, expected a known number of elements: it decides the rank",
        to_string(count));
  }
  const int64_t rank = static_cast<int64_t>(dims.size()) + more;
  REPOSE_TRY(added, DataAxes::make(c, axes, rank));
  Dims all;
  for (int64_t d = 0; d < rank; ++d) {
    Expr extent = make_int(1);
    for (size_t k = 0; k < dims.size(); ++k) {
      const Expr is_it = logical_and(make_not(added.has(d)),
                                     eq(added.others_before(d), make_int(static_cast<int64_t>(k))));
      extent = make_select(is_it, dims[k], extent);
    }
    all.push_back(simplify(extent, c.facts()));
  }
  return c.reshape(x, all);
}

}  // namespace repose::onnx
