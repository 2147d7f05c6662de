// Reductions over some axes of a tensor and what is computed from them per slice.
#include "ops/rows.h"

#include <algorithm>

namespace repose {

bool RowAxes::is_reduced(int dim) const {
  return std::find(axes.begin(), axes.end(), dim) != axes.end();
}

Dims RowAxes::kept_shape() const {
  return kept(shape);
}
Dims RowAxes::extents() const {
  return reduced(shape);
}

te::Indices RowAxes::kept(const te::Indices& i) const {
  te::Indices result;
  for (size_t d = 0; d < i.size(); ++d) {
    if (!is_reduced(static_cast<int>(d))) result.push_back(i[d]);
  }
  return result;
}

te::Indices RowAxes::reduced(const te::Indices& i) const {
  te::Indices result;
  for (int a : axes) result.push_back(i[static_cast<size_t>(a)]);
  return result;
}

te::Indices RowAxes::full(const te::Indices& kept, const te::Indices& reduced) const {
  te::Indices result;
  size_t next_kept = 0, next_reduced = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    result.push_back(is_reduced(static_cast<int>(d)) ? reduced[next_reduced++] : kept[next_kept++]);
  }
  return result;
}

te::Tensor reduce_rows(const RowAxes& rows, te::Reducer reducer,
                       const std::function<Expr(const te::Indices&)>& f, std::string name) {
  return te::reduce(
      rows.kept_shape(), reducer, rows.extents(),
      [&](const te::Indices& i, const te::Indices& k) { return f(rows.full(i, k)); },
      std::move(name));
}

te::Tensor mean_of_rows(const RowAxes& rows, const std::function<Expr(const te::Indices&)>& f,
                        const std::string& name) {
  te::Tensor total = reduce_rows(rows, te::Reducer::sum, f, name + "_sum");
  const Expr count = make_cast(total.dtype(), rows.count());
  return te::compute(
      total.shape(),
      [&](const te::Indices& i) { return make_binary(ExprKind::div, total(i), count); }, name);
}

}  // namespace repose
