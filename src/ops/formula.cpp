// Expressions of calls, written as formulas.
#include "ops/formula.h"

namespace repose {

namespace {

Formula compare(const OpDef& op, const Formula& a, const Formula& b) {
  return {graph::make_op_call(op, {a, b}), dtypes::boolean};
}

Formula constant_like(const Formula& x, double value) {
  return scalar_constant(x.dtype(), value);
}

}  // namespace

Formula::Formula(graph::Value value) : value_(std::move(value)) {
  const TensorTypeNode* t = graph::tensor_of(value_);
  REPOSE_CHECK(t, "a formula begins with typed tensors");
  dtype_ = t->dtype;
}

Formula apply_op(const OpDef& op, const Formula& x, Attrs attrs) {
  return {graph::make_op_call(op, {x}, std::move(attrs)), x.dtype()};
}
Formula apply_op(const OpDef& op, const Formula& x, const Formula& y) {
  return {graph::make_op_call(op, {x, y}), x.dtype()};
}

Formula operator+(const Formula& a, const Formula& b) {
  return apply_op(op_add(), a, b);
}
Formula operator-(const Formula& a, const Formula& b) {
  return apply_op(op_subtract(), a, b);
}
Formula operator*(const Formula& a, const Formula& b) {
  return apply_op(op_multiply(), a, b);
}
Formula operator/(const Formula& a, const Formula& b) {
  return apply_op(op_divide(), a, b);
}
Formula operator-(const Formula& a) {
  return apply_op(op_negative(), a);
}
Formula operator+(const Formula& a, double b) {
  return a + constant_like(a, b);
}
Formula operator-(const Formula& a, double b) {
  return a - constant_like(a, b);
}
Formula operator*(const Formula& a, double b) {
  return a * constant_like(a, b);
}
Formula operator/(const Formula& a, double b) {
  return a / constant_like(a, b);
}
Formula operator-(double a, const Formula& b) {
  return constant_like(b, a) - b;
}
Formula operator/(double a, const Formula& b) {
  return constant_like(b, a) / b;
}

Formula operator<(const Formula& a, const Formula& b) {
  return compare(op_less(), a, b);
}
Formula operator<(const Formula& a, double b) {
  return a < constant_like(a, b);
}
Formula operator>(const Formula& a, double b) {
  return constant_like(a, b) < a;
}
Formula is_equal(const Formula& a, const Formula& b) {
  return compare(op_equal(), a, b);
}
Formula is_equal(const Formula& a, double b) {
  return is_equal(a, constant_like(a, b));
}
Formula both(const Formula& a, const Formula& b) {
  return compare(op_logical_and(), a, b);
}
Formula choose(const Formula& condition, const Formula& a, const Formula& b) {
  return {graph::make_op_call(op_where(), {condition, a, b}), a.dtype()};
}

Formula number_of(const Expr& size, DType dtype) {
  int64_t known = 0;
  if (as_const_int(size, &known)) return scalar_constant(dtype, static_cast<double>(known));
  const graph::Value tensor =
      graph::make_op_call(op_shape_to_tensor(), {graph::make_shape({size})});
  return {converted(reshaped(tensor, {}), dtype), dtype};
}

Formula sum_over(const Formula& x, const std::vector<int>& axes) {
  const std::vector<int64_t> list(axes.begin(), axes.end());
  return apply_op(op_sum(), x, Attrs{{"axis", Attr(list)}, {"keepdims", Attr(true)}});
}

Formula mean_over(const Formula& x, const std::vector<int>& axes, const Dims& shape) {
  return sum_over(x, axes) / number_of(extent_of(shape, axes), x.dtype());
}

Formula broadcast(const Formula& x, const Dims& shape) {
  return {graph::make_op_call(op_broadcast_to(), {x, graph::make_shape(shape)}), x.dtype()};
}

}  // namespace repose
