// Expressions of calls, written as formulas: x * (1 - x). What gradients and compositions are made
// of.
#pragma once

#include "ops/composite.h"

namespace repose {

// A float tensor, or the bools of a comparison: a typed value, or a call within calls that nobody
// has typed yet. Arithmetic on it makes calls, whose operands broadcast; numbers take its dtype.
class Formula {
 public:
  Formula(graph::Value value);  // NOLINT: implicit on purpose; a typed tensor
  Formula(graph::Value value, DType dtype) : value_(std::move(value)), dtype_(dtype) {}
  operator graph::Value() const { return value_; }  // NOLINT: implicit on purpose
  const graph::Value& value() const { return value_; }
  DType dtype() const { return dtype_; }

 private:
  graph::Value value_;
  DType dtype_;
};

// op(x, more…), of x's dtype.
Formula apply_op(const OpDef& op, const Formula& x, Attrs attrs = {});
Formula apply_op(const OpDef& op, const Formula& x, const Formula& y);

Formula operator+(const Formula& a, const Formula& b);
Formula operator-(const Formula& a, const Formula& b);
Formula operator*(const Formula& a, const Formula& b);
Formula operator/(const Formula& a, const Formula& b);
Formula operator-(const Formula& a);
Formula operator+(const Formula& a, double b);
Formula operator-(const Formula& a, double b);
Formula operator*(const Formula& a, double b);
Formula operator/(const Formula& a, double b);
Formula operator-(double a, const Formula& b);
Formula operator/(double a, const Formula& b);
// Bools, by element.
Formula operator<(const Formula& a, const Formula& b);
Formula operator<(const Formula& a, double b);
Formula operator>(const Formula& a, double b);
Formula is_equal(const Formula& a, const Formula& b);
Formula is_equal(const Formula& a, double b);
Formula both(const Formula& a, const Formula& b);
Formula choose(const Formula& condition, const Formula& a, const Formula& b);

// A number that dimensions give, as a tensor of rank 0.
Formula number_of(const Expr& size, DType dtype);
// Sums and means over `axes`, which stay as dimensions of extent 1.
Formula sum_over(const Formula& x, const std::vector<int>& axes);
Formula mean_over(const Formula& x, const std::vector<int>& axes, const Dims& shape);
Formula broadcast(const Formula& x, const Dims& shape);

}  // namespace repose
