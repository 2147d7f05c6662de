// Tensors made from attributes, shapes and numbers.
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

template <class T, class Make>
Operand constant_list(const std::vector<T>& values, DType dtype, const Make& make) {
  auto array = make_array({static_cast<int64_t>(values.size())}, dtype);
  for (size_t i = 0; i < values.size(); ++i) array->store(static_cast<int64_t>(i), make(values[i]));
  return graph::make_constant(Array(array));
}

Scalar int_scalar(int64_t v) {
  return Scalar::of_int(v, dtypes::int64);
}
Scalar float_scalar(float v) {
  return Scalar::of_float(static_cast<double>(v), dtypes::float32);
}

Result<Operand> constant(NodeContext& c) {
  for (const char* name : {"value", "value_float", "value_floats", "value_int", "value_ints"}) {
    const Attribute* a = c.find(name);
    if (!a) continue;
    if (const Tensor* t = a->tensor()) {
      REPOSE_TRY(value, make_constant_of(c.model(), *t));
      const std::string label(c.node().outputs.empty() ? "" : c.node().outputs[0]);
      return graph::make_constant(graph::as<graph::ConstantNode>(value)->data, printable(label));
    }
    if (const auto* v = a->get<float>())
      return graph::make_constant(make_scalar_array(float_scalar(*v)));
    if (const auto* v = a->get<int64_t>())
      return graph::make_constant(make_scalar_array(int_scalar(*v)));
    if (const auto* v = a->get<std::vector<float>>()) {
      return constant_list(*v, dtypes::float32, float_scalar);
    }
    if (const auto* v = a->get<std::vector<int64_t>>()) {
      return constant_list(*v, dtypes::int64, int_scalar);
    }
    return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is of kind `{}`", name,
                  attribute_kind_name(a->kind));
  }
  for (const char* name : {"sparse_value", "value_string", "value_strings"}) {
    if (!c.find(name)) continue;
    return c.fail(DiagnosticKind::unsupported_feature, "attribute `{}` is not supported", name);
  }
  return c.fail(DiagnosticKind::bad_attribute, "has no value");
}

Result<Operand> constant_of_shape(NodeContext& c) {
  REPOSE_TRY(shape, c.input(0));
  REPOSE_TRY(elements, c.elements(shape, "shape"));
  Operand fill = c.scalar(dtypes::float32, 0);
  if (const Attribute* a = c.find("value")) {
    const Tensor* t = a->tensor();
    if (!t) return c.fail(DiagnosticKind::bad_attribute, "attribute `value` is no tensor");
    REPOSE_TRY(value, make_constant_of(c.model(), *t));
    const Array& array = graph::as<graph::ConstantNode>(value)->data;
    if (array->num_elements() != 1) {
      return c.fail(DiagnosticKind::bad_attribute, "attribute `value` has {} elements, expected 1",
                    array->num_elements());
    }
    fill = graph::make_constant(make_scalar_array(array->load(0)));
  }
  return c.call("full", {graph::make_shape(elements), fill});
}

// A number as an expression: a known one, or an integer bound by a match_cast; null for a float
// that only the data can tell.
Result<Expr> number_of(NodeContext& c, size_t i, const char* what) {
  REPOSE_TRY(v, c.input(i));
  if (Expr known = c.known_scalar(v)) {
    if (!c.dtype(v).is_float()) return known;
    return is_constant(known) ? Result<Expr>(known) : Result<Expr>(Expr());
  }
  if (c.dtype(v).is_float()) return Expr();
  REPOSE_TRY(elements, c.elements(v, what));
  if (elements.size() == 1) return elements[0];
  return c.fail(DiagnosticKind::bad_argument, "`{}` has {} elements, expected 1", what,
                elements.size());
}

// ceil(distance / delta) as an int64.
Result<Operand> count_of_steps(NodeContext& c, const Operand& start, const Operand& limit,
                               const Operand& delta) {
  // Floats as the operator `arange` counts constants: the quotient of float32 may lose a step.
  const bool is_float = c.dtype(start).is_float();
  const DType wide = is_float ? dtypes::float64 : dtypes::int64;
  REPOSE_TRY(first, c.cast(start, wide));
  REPOSE_TRY(last, c.cast(limit, wide));
  REPOSE_TRY(step, c.cast(delta, wide));
  if (is_float) {
    REPOSE_TRY(distance, c.call("subtract", {last, first}));
    REPOSE_TRY(steps, c.call("divide", {distance, step}));
    REPOSE_TRY(whole, c.call("ceil", {steps}));
    return c.cast(whole, dtypes::int64);
  }
  REPOSE_TRY(distance, c.call("subtract", {first, last}));
  REPOSE_TRY(steps, c.call("floor_divide", {distance, step}));
  return c.call("negative", {steps});
}

// start + i * delta for i below a number that a match_cast binds.
Result<Operand> range_of_data(NodeContext& c) {
  Operand numbers[3];
  for (size_t i = 0; i < 3; ++i) {
    REPOSE_TRY(v, c.input(i));
    REPOSE_TRY(scalar, c.reshape(v, {}));
    numbers[i] = scalar;
  }
  const auto& [start, limit, delta] = numbers;
  REPOSE_TRY(count, count_of_steps(c, start, limit, delta));
  REPOSE_TRY(elements, c.elements(count, "count"));
  REPOSE_TRY(places, c.call("arange", {graph::make_prim(elements[0])}));
  REPOSE_TRY(positions, c.cast(places, c.dtype(start)));
  REPOSE_TRY(offsets, c.call("multiply", {positions, delta}));
  return c.call("add", {offsets, start});
}

Result<Operand> range(NodeContext& c) {
  REPOSE_TRY(first, c.input(0));
  REPOSE_TRY(start, number_of(c, 0, "start"));
  REPOSE_TRY(limit, number_of(c, 1, "limit"));
  REPOSE_TRY(delta, number_of(c, 2, "delta"));
  if (!start || !limit || !delta) return range_of_data(c);
  const Expr zero = make_int(0);
  const bool is_data = !delta->dtype.is_float() && !is_constant(delta) &&
                       prove(lt(zero, delta), c.facts()) != Truth::yes &&
                       prove(lt(delta, zero), c.facts()) != Truth::yes;
  if (is_data) {  // up or down
    auto ok = c.require(ne(delta, zero), "`delta` is {0}", {delta});
    if (!ok.ok()) return ok.errors();
    return range_of_data(c);
  }
  return c.call("arange",
                {graph::make_prim(start), graph::make_prim(limit), graph::make_prim(delta)},
                {{"dtype", c.dtype(first)}});
}

// 0, 1, … as a column or a row.
Result<Operand> positions(NodeContext& c, const Expr& extent, bool is_column) {
  REPOSE_TRY(list, c.call("arange", {graph::make_prim(extent)}));
  return c.call("expand_dims", {list}, {{"axis", std::vector<int64_t>{is_column ? 1 : 0}}});
}

Result<Operand> eye_like(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(k, c.integer("k", 0));
  REPOSE_TRY(type, c.integer("dtype", 0));
  DType dtype = c.dtype(x);
  if (c.find("dtype")) {
    REPOSE_TRY(given, dtype_of(static_cast<DataType>(type), c.span(), "`EyeLike`"));
    dtype = given;
  }
  if (dims.size() != 2) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected 2", dims.size());
  }
  REPOSE_TRY(rows, positions(c, dims[0], true));
  REPOSE_TRY(columns, positions(c, dims[1], false));
  const Operand offset = graph::make_constant(make_scalar_array(int_scalar(k)));
  REPOSE_TRY(diagonal, c.call("add", {rows, offset}));
  REPOSE_TRY(mask, c.call("equal", {diagonal, columns}));
  return c.cast(mask, dtype);
}

}  // namespace

std::span<const OperatorRow> create_operators() {
  static constexpr OperatorRow rows[] = {
      {"Constant", 1, one<constant>},
      {"ConstantOfShape", 9, one<constant_of_shape>},
      {"EyeLike", 9, one<eye_like>},
      {"Range", 11, one<range>},
  };
  return rows;
}

}  // namespace repose::onnx
