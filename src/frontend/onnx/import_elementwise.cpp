// Elementwise arithmetic, comparison and logic. Operands broadcast; where ONNX lets dtypes differ,
// casts are inserted.
#include <cmath>
#include <limits>

#include "frontend/onnx/casts.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

// ---- One operand
// ---------------------------------------------------------------------------------

template <const char* (*op)()>
Result<Operand> unary(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return c.call(op(), {x});
}

#define OP_NAME(name, text) \
  const char* name() {      \
    return text;            \
  }

OP_NAME(op_abs, "abs")
OP_NAME(op_acos, "acos")
OP_NAME(op_acosh, "acosh")
OP_NAME(op_asin, "asin")
OP_NAME(op_asinh, "asinh")
OP_NAME(op_atan, "atan")
OP_NAME(op_atanh, "atanh")
OP_NAME(op_bitwise_not, "bitwise_not")
OP_NAME(op_ceil, "ceil")
OP_NAME(op_cos, "cos")
OP_NAME(op_cosh, "cosh")
OP_NAME(op_erf, "erf")
OP_NAME(op_exp, "exp")
OP_NAME(op_floor, "floor")
OP_NAME(op_isnan, "isnan")
OP_NAME(op_log, "log")
OP_NAME(op_negative, "negative")
OP_NAME(op_not, "logical_not")
OP_NAME(op_round, "round")
OP_NAME(op_sigmoid, "sigmoid")
OP_NAME(op_sign, "sign")
OP_NAME(op_sin, "sin")
OP_NAME(op_sinh, "sinh")
OP_NAME(op_sqrt, "sqrt")
OP_NAME(op_tan, "tan")
OP_NAME(op_tanh, "tanh")

OP_NAME(op_add, "add")
OP_NAME(op_subtract, "subtract")
OP_NAME(op_multiply, "multiply")
OP_NAME(op_divide, "divide")
OP_NAME(op_maximum, "maximum")
OP_NAME(op_minimum, "minimum")
OP_NAME(op_equal, "equal")
OP_NAME(op_less, "less")
OP_NAME(op_less_equal, "less_equal")
OP_NAME(op_greater, "greater")
OP_NAME(op_greater_equal, "greater_equal")
OP_NAME(op_and, "logical_and")
OP_NAME(op_or, "logical_or")
OP_NAME(op_xor, "logical_xor")
OP_NAME(op_bitwise_and, "bitwise_and")
OP_NAME(op_bitwise_or, "bitwise_or")
OP_NAME(op_bitwise_xor, "bitwise_xor")

Result<Operand> reciprocal(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return c.call("divide", {c.scalar_like(x, 1), x});
}

Result<Operand> is_inf(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(negative, c.flag("detect_negative", true));
  REPOSE_TRY(positive, c.flag("detect_positive", true));
  if (negative && positive) return c.call("isinf", {x});
  const double infinity = std::numeric_limits<double>::infinity();
  if (positive || negative) {
    return c.call("equal", {x, c.scalar_like(x, positive ? infinity : -infinity)});
  }
  REPOSE_TRY(shape, c.shape(x));
  return c.call("zeros", {graph::make_shape(shape)}, {{"dtype", dtypes::boolean}});
}

// Not of strings.
Result<Operand> cast(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(to, c.integer("to"));
  if (to < 0 || to > std::numeric_limits<int32_t>::max()) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `to` is {}, which is no type", to);
  }
  REPOSE_TRY(dtype, dtype_of(static_cast<DataType>(to), c.span(), "`Cast`"));
  REPOSE_TRY(options, cast_options(c));
  Composite m(c);
  return m.result(convert(m, x, dtype, options));
}

// The type by its name in the standard.
Result<Operand> cast_to_name(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(name, c.string("to", ""));
  static constexpr std::pair<std::string_view, DType> types[] = {
      {"BOOL", dtypes::boolean},    {"DOUBLE", dtypes::float64}, {"FLOAT", dtypes::float32},
      {"FLOAT16", dtypes::float16}, {"INT16", dtypes::int16},    {"INT32", dtypes::int32},
      {"INT64", dtypes::int64},     {"INT8", dtypes::int8},      {"UINT16", dtypes::uint16},
      {"UINT32", dtypes::uint32},   {"UINT64", dtypes::uint64},  {"UINT8", dtypes::uint8}};
  for (const auto& [called, dtype] : types) {
    if (called == name) return c.cast(x, dtype);
  }
  return c.fail(DiagnosticKind::bad_attribute,
                "attribute `to` is \"{}\", expected the name of a type of numbers",
                printable(name));
}

// bool counts as an integer of 8 bits.
Result<Operand> bit_cast(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(to, c.integer("to"));
  REPOSE_TRY(dtype, dtype_of(static_cast<DataType>(to), c.span(), "`BitCast`"));
  REPOSE_TRY(x, c.cast(given, c.dtype(given).is_bool() ? dtypes::uint8 : c.dtype(given)));
  if (c.dtype(x).bits != dtype.bits) {
    return c.fail(DiagnosticKind::dtype_mismatch, "{} has not the width of {}",
                  c.dtype(given).to_string(), dtype.to_string());
  }
  if (!dtype.is_bool()) return c.call("bitcast", {x}, {{"dtype", dtype}});
  REPOSE_TRY(bits, c.call("bitcast", {x}, {{"dtype", dtypes::uint8}}));
  return c.cast(bits, dtype);
}

Result<Operand> cast_like(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(like, c.input(1));
  REPOSE_TRY(options, cast_options(c));
  Composite m(c);
  return m.result(convert(m, x, c.dtype(like), options));
}

// ---- Two operands and more
// -----------------------------------------------------------------------

template <const char* (*op)()>
Result<Operand> binary(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  return c.call(op(), {a, b});
}

template <const char* (*op)()>
Result<Operand> variadic(NodeContext& c) {
  REPOSE_TRY(operands, c.all_inputs());
  Operand result = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    REPOSE_TRY(next, c.call(op(), {result, operands[i]}));
    result = next;
  }
  return result;
}

Result<Operand> mean(NodeContext& c) {
  REPOSE_TRY(sum, variadic<op_add>(c));
  const double count = static_cast<double>(c.num_inputs());
  return count <= 1 ? Result<Operand>(sum) : c.call("divide", {sum, c.scalar_like(sum, count)});
}

// The base has the result's dtype. An integer base with a float exponent computes in float64.
// Before operator set 7 the second operand broadcasts only where `broadcast` says so; its
// dimensions are those from `axis` on, or the last ones.
Result<Operand> second_operand(NodeContext& c) {
  REPOSE_TRY(b, c.input(1));
  REPOSE_TRY(broadcast, c.flag("broadcast", false));
  if (c.opset() >= 7 || !broadcast || !c.find("axis")) return b;
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(rank, c.rank(a));
  REPOSE_TRY(given, c.integer("axis"));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(dims, c.shape(b));
  if (axis + static_cast<int64_t>(dims.size()) > rank) {
    return c.fail(DiagnosticKind::rank_mismatch,
                  "operand 1 of rank {} from axis {} on is beyond operand 0 of rank {}",
                  dims.size(), axis, rank);
  }
  dims.resize(static_cast<size_t>(rank - axis), make_int(1));
  return c.reshape(b, dims);
}

template <const char* (*op)()>
Result<Operand> binary_by_axis(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, second_operand(c));
  return c.call(op(), {a, b});
}

Result<Operand> power(NodeContext& c) {
  REPOSE_TRY(base, c.input(0));
  REPOSE_TRY(exponent, second_operand(c));
  const DType dtype = c.dtype(base);
  const bool widen = dtype.is_data_int() && c.dtype(exponent).is_float();
  const DType common = widen ? dtypes::float64 : dtype;
  REPOSE_TRY(a, c.cast(base, common));
  REPOSE_TRY(b, c.cast(exponent, common));
  REPOSE_TRY(y, c.call("power", {a, b}));
  return c.cast(y, dtype);
}

Result<Operand> modulo(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  REPOSE_TRY(like_c, c.flag("fmod", false));
  return c.call(like_c ? "mod" : "floor_mod", {a, b});
}

// A count that is negative or not below the width leaves nothing but copies of the sign bit: for a
// signed right shift as a shift by the width less 1, otherwise 0.
Result<Operand> bit_shift(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  REPOSE_TRY(direction, c.string("direction", ""));
  if (direction != "LEFT" && direction != "RIGHT") {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `direction` is \"{}\", expected \"LEFT\" or \"RIGHT\"",
                  printable(direction));
  }
  const bool is_left = direction == "LEFT";
  const DType dtype = c.dtype(b);
  REPOSE_TRY(fits, c.call("less", {b, c.scalar(dtype, dtype.bits)}));
  if (dtype.is_sint()) {
    REPOSE_TRY(counts, c.call("greater_equal", {b, c.scalar(dtype, 0)}));
    REPOSE_TRY(both, c.call("logical_and", {fits, counts}));
    fits = both;
  }
  if (!is_left && dtype.is_sint()) {
    REPOSE_TRY(count, c.call("where", {fits, b, c.scalar(dtype, dtype.bits - 1)}));
    return c.call("right_shift", {a, count});
  }
  REPOSE_TRY(shifted, c.call(is_left ? "left_shift" : "right_shift", {a, b}));
  return c.call("where", {fits, shifted, c.scalar(c.dtype(a), 0)});
}

Result<Operand> where(NodeContext& c) {
  REPOSE_TRY(condition, c.input(0));
  REPOSE_TRY(a, c.input(1));
  REPOSE_TRY(b, c.input(2));
  return c.call("where", {condition, a, b});
}

// A bound of Clip: known, or a tensor of one element.
Result<Operand> clip_by(NodeContext& c, const Operand& x, const Operand& bound, const char* op) {
  REPOSE_TRY(scalar, c.reshape(bound, {}));
  return c.call(op, {x, scalar});
}

Result<Operand> clip_to(NodeContext& c, const Operand& x, const Operand& low, const Operand& high) {
  auto value_of = [&](const Operand& bound) {
    const Expr e = bound ? c.known_scalar(bound) : nullptr;
    return e && is_constant(e) ? make_cast(c.dtype(x), e) : Expr();
  };
  const Expr least = value_of(low), most = value_of(high);
  if (least && (!high || most)) {
    std::vector<Operand> args{x, graph::make_prim(least)};
    if (high) args.push_back(graph::make_prim(most));
    return c.call("clip", std::move(args));
  }
  Operand y = x;
  if (low) {
    REPOSE_TRY(above, clip_by(c, y, low, "maximum"));
    y = above;
  }
  return high ? clip_by(c, y, high, "minimum") : Result<Operand>(y);
}

Result<Operand> clip(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return clip_to(c, x, c.optional(1), c.optional(2));
}

Result<Operand> clip_by_attributes(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(low, c.number("min", 0));
  REPOSE_TRY(high, c.number("max", 0));
  return clip_to(c, x, c.find("min") ? c.scalar_like(x, low) : nullptr,
                 c.find("max") ? c.scalar_like(x, high) : nullptr);
}

Result<Operand> identity(NodeContext& c) {
  return c.input(0);
}

// A tensor is always there; an optional value without one is an operand that is omitted.
Result<Operand> has_element(NodeContext& c) {
  return c.scalar(dtypes::boolean, c.has(0) ? 1 : 0);
}

}  // namespace

std::span<const OperatorRow> elementwise_operators() {
  static constexpr OperatorRow rows[] = {
      {"Abs", 1, one<unary<op_abs>>},
      {"Acos", 7, one<unary<op_acos>>},
      {"Acosh", 9, one<unary<op_acosh>>},
      {"Add", 1, one<binary_by_axis<op_add>>},
      {"Add", 7, one<binary<op_add>>},
      {"And", 1, one<binary_by_axis<op_and>>},
      {"And", 7, one<binary<op_and>>},
      {"Asin", 7, one<unary<op_asin>>},
      {"Asinh", 9, one<unary<op_asinh>>},
      {"Atan", 7, one<unary<op_atan>>},
      {"Atanh", 9, one<unary<op_atanh>>},
      {"BitCast", 26, one<bit_cast>},
      {"BitShift", 11, one<bit_shift>},
      {"BitwiseAnd", 18, one<binary<op_bitwise_and>>},
      {"BitwiseNot", 18, one<unary<op_bitwise_not>>},
      {"BitwiseOr", 18, one<binary<op_bitwise_or>>},
      {"BitwiseXor", 18, one<binary<op_bitwise_xor>>},
      {"Cast", 1, one<cast_to_name>},
      {"Cast", 6, one<cast>},
      {"CastLike", 15, one<cast_like>},
      {"Ceil", 1, one<unary<op_ceil>>},
      {"Clip", 1, one<clip_by_attributes>},
      {"Clip", 11, one<clip>},
      {"Cos", 7, one<unary<op_cos>>},
      {"Cosh", 9, one<unary<op_cosh>>},
      {"Div", 1, one<binary_by_axis<op_divide>>},
      {"Div", 7, one<binary<op_divide>>},
      {"Equal", 1, one<binary_by_axis<op_equal>>},
      {"Equal", 7, one<binary<op_equal>>},
      {"Erf", 9, one<unary<op_erf>>},
      {"Exp", 1, one<unary<op_exp>>},
      {"Floor", 1, one<unary<op_floor>>},
      {"Greater", 1, one<binary_by_axis<op_greater>>},
      {"Greater", 7, one<binary<op_greater>>},
      {"GreaterOrEqual", 12, one<binary<op_greater_equal>>},
      {"Identity", 1, one<identity>},
      {"IsInf", 10, one<is_inf>},
      {"IsNaN", 9, one<unary<op_isnan>>},
      {"Less", 1, one<binary_by_axis<op_less>>},
      {"Less", 7, one<binary<op_less>>},
      {"LessOrEqual", 12, one<binary<op_less_equal>>},
      {"Log", 1, one<unary<op_log>>},
      {"Max", 1, one<variadic<op_maximum>>},
      {"Mean", 1, one<mean>},
      {"Min", 1, one<variadic<op_minimum>>},
      {"Mod", 10, one<modulo>},
      {"Mul", 1, one<binary_by_axis<op_multiply>>},
      {"Mul", 7, one<binary<op_multiply>>},
      {"Neg", 1, one<unary<op_negative>>},
      {"Not", 1, one<unary<op_not>>},
      {"Optional", 15, one<identity>},
      {"OptionalGetElement", 15, one<identity>},
      {"OptionalHasElement", 15, one<has_element>},
      {"Or", 1, one<binary_by_axis<op_or>>},
      {"Or", 7, one<binary<op_or>>},
      {"Pow", 1, one<power>},
      {"Reciprocal", 1, one<reciprocal>},
      {"Round", 11, one<unary<op_round>>},
      {"Sigmoid", 1, one<unary<op_sigmoid>>},
      {"Sign", 9, one<unary<op_sign>>},
      {"Sin", 7, one<unary<op_sin>>},
      {"Sinh", 9, one<unary<op_sinh>>},
      {"Sqrt", 1, one<unary<op_sqrt>>},
      {"Sub", 1, one<binary_by_axis<op_subtract>>},
      {"Sub", 7, one<binary<op_subtract>>},
      {"Sum", 1, one<variadic<op_add>>},
      {"Tan", 7, one<unary<op_tan>>},
      {"Tanh", 1, one<unary<op_tanh>>},
      {"Where", 9, one<where>},
      {"Xor", 1, one<binary_by_axis<op_xor>>},
      {"Xor", 7, one<binary<op_xor>>},
  };
  return rows;
}

}  // namespace repose::onnx
