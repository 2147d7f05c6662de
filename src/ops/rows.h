// Reductions over some axes of a tensor and what is computed from them per slice: shared by
// reduce.cpp, softmax.cpp, norm.cpp.
#pragma once

#include "ops/type_rules.h"

namespace repose {

// Which dimensions a reduction runs over. `i` stands for indices of the full shape, `kept` for
// those of the dimensions that are not reduced, in order.
struct RowAxes {
  Dims shape;
  std::vector<int> axes;  // ascending

  bool is_reduced(int dim) const;
  Dims kept_shape() const;
  Dims extents() const;
  Expr count() const { return extent_of(shape, axes); }
  te::Indices kept(const te::Indices& i) const;                                 // of full indices
  te::Indices reduced(const te::Indices& i) const;                              // of full indices
  te::Indices full(const te::Indices& kept, const te::Indices& reduced) const;  // both together
};

// reducer over the reduced axes of f(full indices); the result has the kept dimensions.
te::Tensor reduce_rows(const RowAxes& rows, te::Reducer reducer,
                       const std::function<Expr(const te::Indices&)>& f, std::string name);

// Mean of f, as two stages (sum, then the quotient).
te::Tensor mean_of_rows(const RowAxes& rows, const std::function<Expr(const te::Indices&)>& f,
                        const std::string& name);

}  // namespace repose
