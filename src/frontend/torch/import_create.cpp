// New tensors.
#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// The shape that is an argument, or that of the argument `self`.
Result<Dims> shape_of(NodeContext& c) {
  if (c.has("size")) return c.sizes("size");
  if (c.has("self")) {
    REPOSE_TRY(like, c.tensor("self"));
    return c.shape(like);
  }
  return c.result_shape();
}

Result<Operand> filled(NodeContext& c, const Dims& shape, const Operand& value) {
  for (const Expr& d : shape) {
    auto stated = c.require(le(make_int(0), d), "a dimension of {0}", {d});
    if (!stated.ok()) return stated.errors();
  }
  return c.call("full", {graph::make_shape(shape), value});
}

Result<Operand> full(NodeContext& c) {
  REPOSE_TRY(shape, shape_of(c));
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(value, c.tensor_or_number("fill_value", dtype));
  REPOSE_TRY(fill, c.cast(value, dtype));
  return filled(c, shape, fill);
}

// The same for contents that anything may follow from (`empty`): zeros.
template <int number>
Result<Operand> constant(NodeContext& c) {
  REPOSE_TRY(shape, shape_of(c));
  REPOSE_TRY(dtype, c.result_dtype());
  return filled(c, shape, c.scalar(dtype, number));
}

Result<Operand> fill(NodeContext& c) {
  REPOSE_TRY(like, c.tensor("self"));
  REPOSE_TRY(shape, c.shape(like));
  REPOSE_TRY(value, c.tensor_or_number("value", c.dtype(like)));
  REPOSE_TRY(cast, c.cast(value, c.dtype(like)));
  REPOSE_TRY(scalar, c.reshape(cast, {}));
  return filled(c, shape, scalar);
}

Result<Operand> scalar_tensor(NodeContext& c) {
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(value, c.tensor_or_number("s", dtype));
  return c.cast(value, dtype);
}

bool is_float_argument(const NodeContext& c, const char* arg) {
  const Argument* a = c.find(arg);
  return a && a->kind == Argument::Kind::number;
}

// start, start + step, …: as many as PyTorch says.
Result<Operand> arange_of_floats(NodeContext& c, DType dtype) {
  REPOSE_TRY(shape, c.result_shape());
  REPOSE_TRY(start, c.number("start", 0));
  REPOSE_TRY(step, c.number("step", 1));
  Composite m(c);
  const DType wide = dtypes::float64;
  const Operand steps = m.arange(shape.empty() ? make_int(0) : shape[0], wide);
  return m.result(m.cast(m.add(m.multiply(steps, step), start), dtype));
}

Result<Operand> arange(NodeContext& c) {
  REPOSE_TRY(dtype, c.result_dtype());
  for (const char* arg : {"start", "end", "step"}) {
    if (is_float_argument(c, arg)) return arange_of_floats(c, dtype);
  }
  REPOSE_TRY(start, c.size("start", 0));
  REPOSE_TRY(end, c.size("end"));
  REPOSE_TRY(step, c.size("step", 1));
  REPOSE_TRY(y, c.call("arange",
                       {graph::make_prim(start), graph::make_prim(end), graph::make_prim(step)}));
  return c.cast(y, dtype);
}

Result<Operand> linspace(NodeContext& c) {
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(start, c.number("start", 0));
  REPOSE_TRY(end, c.number("end", 0));
  REPOSE_TRY(steps, c.size("steps"));
  Composite m(c);
  const DType wide = dtypes::float64;
  const Operand last = m.maximum(m.number(canonical(steps - 1), wide), 1.0);
  const Operand share = m.divide(m.arange(steps, wide), last);
  return m.result(m.cast(m.add(m.multiply(share, end - start), start), dtype));
}

Result<Operand> eye(NodeContext& c) {
  REPOSE_TRY(dtype, c.result_dtype());
  REPOSE_TRY(shape, c.result_shape());
  if (shape.size() != 2) return c.fail(DiagnosticKind::bad_model, "its result is no matrix");
  Composite m(c);
  const Operand rows = m.arange_along(shape[0], dtypes::int64, 0, 2);
  const Operand columns = m.arange_along(shape[1], dtypes::int64, 1, 2);
  return m.result(m.cast(m.equal(rows, columns), dtype));
}

template <Name op>
Result<Operand> triangle(NodeContext& c) {
  REPOSE_TRY(x, operand(c));
  REPOSE_TRY(diagonal, c.size("diagonal", 0));
  return c.call(op.chars, {x, graph::make_prim(diagonal)});
}

}  // namespace

std::span<const OperatorRow> create_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.arange.default", one<arange>},
      {"aten.arange.start", one<arange>},
      {"aten.arange.start_step", one<arange>},
      {"aten.empty.memory_format", one<constant<0>>},
      {"aten.empty_like.default", one<constant<0>>},
      {"aten.empty_permuted.default", one<constant<0>>},
      {"aten.eye.default", one<eye>},
      {"aten.eye.m", one<eye>},
      {"aten.fill.Scalar", one<fill>},
      {"aten.fill.Tensor", one<fill>},
      {"aten.full.default", one<full>},
      {"aten.full_like.default", one<full>},
      {"aten.linspace.default", one<linspace>},
      {"aten.new_empty.default", one<constant<0>>},
      {"aten.new_full.default", one<full>},
      {"aten.new_ones.default", one<constant<1>>},
      {"aten.new_zeros.default", one<constant<0>>},
      {"aten.ones.default", one<constant<1>>},
      {"aten.ones_like.default", one<constant<1>>},
      {"aten.scalar_tensor.default", one<scalar_tensor>},
      {"aten.tril.default", one<triangle<"tril">>},
      {"aten.triu.default", one<triangle<"triu">>},
      {"aten.zero.default", one<constant<0>>},
      {"aten.zeros.default", one<constant<0>>},
      {"aten.zeros_like.default", one<constant<0>>},
  };
  return rows;
}

}  // namespace repose::torch
