// Axes that only the data tells, where ranks are known all the same: each of them is a symbol, and
// extents are expressions over these.
#pragma once

#include <vector>

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

class DataAxes {
 public:
  // The elements of `axes`, as many as its shape says, of a tensor of `rank` dimensions. That each
  // is one of its axes is checked when the model runs.
  static Result<DataAxes> make(NodeContext& c, const Operand& axes, int64_t rank);

  size_t size() const { return elements_.size(); }
  // Whether dimension d is named.
  Expr has(int64_t d) const;
  // What the list, one entry for each axis, says of dimension d; `absent` where it is not named.
  Expr value_at(int64_t d, const std::vector<Expr>& list, const Expr& absent) const;
  // How many dimensions before d are not named.
  Expr others_before(int64_t d) const;

 private:
  Expr names(size_t i, int64_t d) const;
  std::vector<Expr> elements_;
  int64_t rank_ = 0;
};

// x reduced along the axes, which stay with extent 1.
Result<Operand> reduce_along(NodeContext& c, const char* op, const Operand& x,
                             const DataAxes& axes);
// x without the axes, whose extents have to be 1; and with new ones of extent 1.
Result<Operand> squeeze_along(NodeContext& c, const Operand& x, const DataAxes& axes);
Result<Operand> unsqueeze_along(NodeContext& c, const Operand& x, const Operand& axes);

}  // namespace repose::onnx
