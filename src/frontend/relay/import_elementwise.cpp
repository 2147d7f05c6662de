// Elementwise operators, casts and reductions.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "frontend/relay/operator_table.h"

namespace repose::relay {

namespace {

Result<Operand> import_unary(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  return c.call(op, {x});
}

Result<Operand> import_binary(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(a, c.tensor(0));
  REPOSE_TRY(b, c.tensor(1));
  return c.call(op, {a, b});
}

// Marks without meaning for one device: the operand itself, of any type.
Result<Operand> import_identity(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  c.ignore({"virtual_device", "constrain_body", "constrain_result", "src_dev_type", "dst_dev_type",
            "device_type", "device_id"});
  return c.value(0);
}

Result<Operand> import_log2(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  Composite m(c);
  return m.result(m.multiply(m.unary("log", x), std::numbers::log2e));
}

Result<Operand> import_log10(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  Composite m(c);
  return m.result(m.multiply(m.unary("log", x), std::numbers::log10e));
}

Result<Operand> import_cast(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(dtype, c.dtype_named("dtype", c.dtype(x)));
  return dtype == c.dtype(x) ? Result<Operand>(x) : c.call(op, {x}, {{"dtype", Attr(dtype)}});
}

Result<Operand> import_cast_like(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(like, c.tensor(1));
  return c.cast(x, c.dtype(like));
}

Result<Operand> import_clip(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(low, c.number("a_min", -INFINITY));
  REPOSE_TRY(high, c.number("a_max", INFINITY));
  Composite m(c);
  return m.result(m.clip(x, low, high));
}

Result<Operand> import_where(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(3, 3));
  REPOSE_TRY(condition, c.tensor(0));
  REPOSE_TRY(a, c.tensor(1));
  REPOSE_TRY(b, c.tensor(2));
  Composite m(c);
  if (!c.dtype(condition).is_bool()) {
    return m.result(m.where(m.not_equal(condition, 0.0), a, b));
  }
  return m.result(m.where(condition, a, b));
}

// ---- Reductions

Result<Operand> import_reduction(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axes, c.reduced_axes(x));
  REPOSE_TRY(keepdims, c.boolean("keepdims", false));
  if (axes.empty()) return x;
  return c.call(op, {x}, {{"axis", Attr(axes)}, {"keepdims", Attr(keepdims)}});
}

// Of bools, as the smallest or largest of 0 and 1.
Result<Operand> import_bool_reduction(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axes, c.reduced_axes(x));
  REPOSE_TRY(keepdims, c.boolean("keepdims", false));
  Composite m(c);
  return m.result(m.cast(m.reduce(op, m.cast(x, dtypes::int8), axes, keepdims), dtypes::boolean));
}

// Relay's positions are int32.
Result<Operand> import_position(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axes, c.reduced_axes(x));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(keepdims, c.boolean("keepdims", false));
  REPOSE_TRY(last, c.boolean("select_last_index", false));
  const bool is_all = static_cast<int64_t>(axes.size()) == rank;
  if (axes.size() != 1 && !is_all) {
    return c.fail(DiagnosticKind::unsupported_feature, "{} axes of {}, expected one or all",
                  axes.size(), rank);
  }
  const Attr axis = axes.size() == 1 ? Attr(axes[0]) : Attr();
  REPOSE_TRY(
      found,
      c.call(op, {x}, {{"axis", axis}, {"keepdims", Attr(keepdims)}, {"select_last", Attr(last)}}));
  return c.cast(found, dtypes::int32);
}

// variance(x, mean): the mean is an operand.
Result<Operand> import_variance(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(mean, c.tensor(1));
  REPOSE_TRY(axes, c.reduced_axes(x));
  REPOSE_TRY(keepdims, c.boolean("keepdims", false));
  REPOSE_TRY(unbiased, c.boolean("unbiased", false));
  if (unbiased) return c.fail(DiagnosticKind::unsupported_feature, "the unbiased variance");
  Composite m(c);
  const Operand distance = m.subtract(x, mean);
  return m.result(m.mean(m.multiply(distance, distance), axes, keepdims));
}

}  // namespace

std::span<const RelayOperator> elementwise_operators() {
  static constexpr RelayOperator table[] = {
      {"abs", import_unary, "abs"},
      {"acos", import_unary, "acos"},
      {"acosh", import_unary, "acosh"},
      {"asin", import_unary, "asin"},
      {"asinh", import_unary, "asinh"},
      {"atan", import_unary, "atan"},
      {"atanh", import_unary, "atanh"},
      {"bitwise_not", import_unary, "bitwise_not"},
      {"ceil", import_unary, "ceil"},
      {"cos", import_unary, "cos"},
      {"cosh", import_unary, "cosh"},
      {"erf", import_unary, "erf"},
      {"exp", import_unary, "exp"},
      {"fast_erf", import_unary, "erf"},
      {"fast_exp", import_unary, "exp"},
      {"fast_tanh", import_unary, "tanh"},
      {"floor", import_unary, "floor"},
      {"isfinite", import_unary, "isfinite"},
      {"isinf", import_unary, "isinf"},
      {"isnan", import_unary, "isnan"},
      {"log", import_unary, "log"},
      {"log10", import_log10},
      {"log2", import_log2},
      {"logical_not", import_unary, "logical_not"},
      {"negative", import_unary, "negative"},
      {"nn.relu", import_unary, "nn.relu"},
      {"round", import_unary, "round"},
      {"rsqrt", import_unary, "rsqrt"},
      {"sigmoid", import_unary, "sigmoid"},
      {"sign", import_unary, "sign"},
      {"sin", import_unary, "sin"},
      {"sinh", import_unary, "sinh"},
      {"sqrt", import_unary, "sqrt"},
      {"tan", import_unary, "tan"},
      {"tanh", import_unary, "tanh"},
      {"trunc", import_unary, "trunc"},
      {"add", import_binary, "add"},
      {"bitwise_and", import_binary, "bitwise_and"},
      {"bitwise_or", import_binary, "bitwise_or"},
      {"bitwise_xor", import_binary, "bitwise_xor"},
      {"divide", import_binary, "divide"},
      {"equal", import_binary, "equal"},
      {"floor_divide", import_binary, "floor_divide"},
      {"floor_mod", import_binary, "floor_mod"},
      {"greater", import_binary, "greater"},
      {"greater_equal", import_binary, "greater_equal"},
      {"left_shift", import_binary, "left_shift"},
      {"less", import_binary, "less"},
      {"less_equal", import_binary, "less_equal"},
      {"logical_and", import_binary, "logical_and"},
      {"logical_or", import_binary, "logical_or"},
      {"logical_xor", import_binary, "logical_xor"},
      {"maximum", import_binary, "maximum"},
      {"minimum", import_binary, "minimum"},
      {"mod", import_binary, "mod"},
      {"multiply", import_binary, "multiply"},
      {"not_equal", import_binary, "not_equal"},
      {"power", import_binary, "power"},
      {"right_shift", import_binary, "right_shift"},
      {"subtract", import_binary, "subtract"},
      {"annotation.stop_fusion", import_identity},
      {"copy", import_identity},
      {"device_copy", import_identity},
      {"on_device", import_identity},
      {"cast", import_cast, "astype"},
      {"reinterpret", import_cast, "bitcast"},
      {"cast_like", import_cast_like},
      {"clip", import_clip},
      {"where", import_where},
  };
  return table;
}

std::span<const RelayOperator> reduction_operators() {
  static constexpr RelayOperator table[] = {
      {"all", import_bool_reduction, "min"}, {"any", import_bool_reduction, "max"},
      {"argmax", import_position, "argmax"}, {"argmin", import_position, "argmin"},
      {"max", import_reduction, "max"},      {"mean", import_reduction, "mean"},
      {"min", import_reduction, "min"},      {"prod", import_reduction, "prod"},
      {"sum", import_reduction, "sum"},      {"variance", import_variance},
  };
  return table;
}

}  // namespace repose::relay
