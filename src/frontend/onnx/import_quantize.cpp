// Quantised tensors: x = (q - zero point) * scale. Contractions of integers are the operators of
// floats with 32-bit accumulators, which wrap: what a zero point adds to a sum is taken away again
// exactly.
#include <limits>

#include "frontend/common/composite.h"
#include "frontend/onnx/attention.h"
#include "frontend/onnx/casts.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/quantized.h"
#include "frontend/onnx/tensor_data.h"
#include "frontend/onnx/windows.h"

namespace repose::onnx {
namespace {

// ---- Scales and zero points
// ----------------------------------------------------------------------

// Which elements of a tensor share a scale: all, those of one index along `axis`, or blocks of
// `block` elements along it.
struct Granularity {
  int64_t axis = 1;
  int64_t block = 0;
};

Result<Granularity> granularity_of(NodeContext& c) {
  REPOSE_TRY(axis, c.integer("axis", 1));
  REPOSE_TRY(block, c.integer("block_size", 0));
  if (block < 0 || block > std::numeric_limits<int32_t>::max()) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `block_size` is {}", block);
  }
  return Granularity{axis, block};
}

// A scale or zero point (operand `i`) so that it broadcasts to `x`.
Result<Operand> spread(NodeContext& c, size_t i, const Operand& x, const Granularity& g) {
  REPOSE_TRY(v, c.input(i));
  REPOSE_TRY(have, c.shape(v));
  REPOSE_TRY(dims, c.shape(x));
  const int64_t rank = static_cast<int64_t>(dims.size());
  if (have.empty()) return v;
  if (g.block == 0 && have.size() == 1 && is_const_int(have[0], 1)) return c.reshape(v, {});
  REPOSE_TRY(given, c.axis(g.axis, rank));
  const size_t axis = static_cast<size_t>(given);
  if (g.block == 0) {
    if (have.size() != 1) {
      return c.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected 0 or 1", i,
                    have.size());
    }
    auto same = c.require(eq(have[0], dims[axis]),
                          fmt::format("operand {} has {{0}} elements, axis {} has {{1}}", i, axis),
                          {have[0], dims[axis]});
    if (!same.ok()) return same.errors();
    Dims column(dims.size(), make_int(1));
    column[axis] = have[0];
    return c.reshape(v, column);
  }
  if (have.size() != dims.size()) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected {}", i,
                  have.size(), rank);
  }
  const Expr blocks = simplify(ceil_div(dims[axis], make_int(g.block)), c.facts());
  auto same =
      c.require(eq(have[axis], blocks),
                fmt::format("operand {} has {{0}} blocks along axis {}, expected {{1}}", i, axis),
                {have[axis], blocks});
  if (!same.ok()) return same.errors();
  // Each element as often as the block is long; the last block may be shorter.
  return c.call("resize",
                {v, graph::make_prim(dims[axis]), graph::make_prim(make_int(g.block)),
                 graph::make_prim(make_int(1))},
                {{"axis", given},
                 {"method", "nearest"},
                 {"coordinates", "asymmetric"},
                 {"rounding", "floor"}});
}

// The dtype that an attribute names; `absent` where it is 0 or missing.
Result<DType> dtype_attr(NodeContext& c, const char* name, DType absent) {
  REPOSE_TRY(type, c.integer(name, 0));
  if (type == 0) return absent;
  return dtype_of(static_cast<DataType>(type), c.span(), fmt::format("attribute `{}`", name));
}

// ---- Single tensors
// ------------------------------------------------------------------------------

Result<Operand> quantize_linear(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(g, granularity_of(c));
  REPOSE_TRY(scale, spread(c, 1, x, g));
  REPOSE_TRY(dtype, dtype_attr(c, "output_dtype", dtypes::uint8));
  Operand zero;
  if (c.has(2)) {
    REPOSE_TRY(given, spread(c, 2, x, g));
    zero = given;
    dtype = c.dtype(given);
  }
  if (!dtype.is_tiny_float() && (!dtype.is_data_int() || dtype.bits > 16)) {
    return c.fail(DiagnosticKind::dtype_mismatch,
                  "the result is to have dtype {}, expected an integer of at most 16 bits or a "
                  "float of at most 8",
                  dtype.to_string());
  }
  if (const Quantized* sums = c.quantized(x); sums && sums->most > 0 && dtype.is_data_int()) {
    Composite m(c);
    return m.result(requantized(m, sums->value, sums->scale, scale, zero, dtype));
  }
  REPOSE_TRY(options, cast_options(c));
  REPOSE_TRY(precision, dtype_attr(c, "precision", c.dtype(scale)));
  if (!precision.is_float()) precision = dtypes::float32;
  Composite m(c);
  const Operand quotient = m.divide(m.cast(x, precision), m.cast(scale, precision));
  if (!dtype.is_tiny_float()) return m.result(saturated(m, quotient, zero, dtype));
  const Operand y = zero ? m.add(quotient, m.cast(zero, precision)) : quotient;
  return m.result(convert(m, y, dtype, options));
}

Result<Operand> dequantize_linear(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(g, granularity_of(c));
  REPOSE_TRY(scale, spread(c, 1, x, g));
  REPOSE_TRY(dtype, dtype_attr(c, "output_dtype", c.dtype(scale)));
  const bool is_float = c.dtype(x).is_tiny_float();
  if (!c.dtype(x).is_data_int() && !is_float) {
    return c.fail(DiagnosticKind::dtype_mismatch,
                  "operand 0 has dtype {}, expected an integer or a float of at most 8 bits",
                  c.dtype(x).to_string());
  }
  Composite m(c);
  const DType wide = dtype == dtypes::float64 ? dtype : dtypes::float32;
  const DType exact = is_float ? wide : dtypes::int32;
  Operand centred = m.cast(x, exact), zero;
  if (c.has(2) && !is_zero(c, c.optional(2))) {
    zero = m.take(spread(c, 2, x, g));
    centred = m.subtract(centred, m.cast(zero, exact));
  }
  const Operand factor = m.cast(scale, wide);
  const Operand y = m.cast(m.multiply(m.cast(centred, wide), factor), dtype);
  if (!m.ok() || is_float || wide != dtypes::float32 || g.block != 0) return m.result(y);
  REPOSE_TRY(rank, c.rank(scale));
  REPOSE_TRY(axis, rank == 0 ? Result<int64_t>(-1) : c.axis(g.axis, rank));
  c.note_quantized({y, x, zero, factor, axis, {c.optional(1)}});
  return y;
}

// To uint8, by a scale and a zero point for which 0 is exact and the range of x (with 0) just fits.
Result<Values> dynamic_quantize_linear(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  Composite m(c);
  const ByRange y = quantized_by_range(m, x);
  return m.results({y.value, y.scale, y.zero});
}

// ---- Contractions
// --------------------------------------------------------------------------------

Result<Factor> factor_of(NodeContext& c, size_t value, size_t zero) {
  REPOSE_TRY(v, c.input(value));
  const DType dtype = c.dtype(v);
  if (!dtype.is_data_int() || dtype.bits != 8) {
    return c.fail(DiagnosticKind::dtype_mismatch, "operand {} has dtype {}, expected int8 or uint8",
                  value, dtype.to_string());
  }
  Factor f{v, nullptr};
  if (c.has(zero) && !is_zero(c, c.optional(zero))) f.zero = c.optional(zero);
  return f;
}

Result<Operand> matmul_integer(NodeContext& c) {
  REPOSE_TRY(a, factor_of(c, 0, 2));
  REPOSE_TRY(b, factor_of(c, 1, 3));
  return integer_product(c, a, b, 2, 3);
}

Result<Operand> conv_integer(NodeContext& c) {
  REPOSE_TRY(x, factor_of(c, 0, 2));
  REPOSE_TRY(w, factor_of(c, 1, 3));
  return integer_convolution(c, x, w);
}

// In float32.
Operand scale_of_product(Composite& m, const Operand& a, const Operand& b) {
  return m.multiply(m.cast(a, dtypes::float32), m.cast(b, dtypes::float32));
}

Result<Operand> qlinear_matmul(NodeContext& c) {
  REPOSE_TRY(a, factor_of(c, 0, 2));
  REPOSE_TRY(b, factor_of(c, 3, 5));
  REPOSE_TRY(sum, integer_product(c, a, b, 2, 5));
  Operand beside[4];  // scales of a, b and y, zero point of y
  const size_t operands[] = {1, 4, 6, 7};
  for (size_t i = 0; i < 4; ++i) {
    REPOSE_TRY(v, c.input(operands[i]));
    REPOSE_TRY(placed, beside_product(c, v, i != 1, operands[i]));
    beside[i] = placed;
  }
  Composite m(c);
  const Operand scale = scale_of_product(m, beside[0], beside[1]);
  return m.result(requantized(m, sum, scale, beside[2], beside[3], m.dtype(beside[3])));
}

Result<Operand> qlinear_conv(NodeContext& c) {
  REPOSE_TRY(x, factor_of(c, 0, 2));
  REPOSE_TRY(w, factor_of(c, 3, 5));
  REPOSE_TRY(sum, integer_convolution(c, x, w));
  REPOSE_TRY(biased, add_bias(c, sum, c.optional(8)));
  REPOSE_TRY(rank, c.rank(sum));
  Operand beside[4];
  const size_t operands[] = {1, 4, 6, 7};
  for (size_t i = 0; i < 4; ++i) {
    REPOSE_TRY(v, c.input(operands[i]));
    REPOSE_TRY(placed, beside_channels(c, v, rank, 1));
    beside[i] = placed;
  }
  Composite m(c);
  const Operand scale = scale_of_product(m, beside[0], beside[1]);
  return m.result(requantized(m, biased, scale, beside[2], beside[3], m.dtype(beside[3])));
}

// ---- com.microsoft
// -------------------------------------------------------------------------------

// (q - zero point) * scale of operands i, i + 1 and i + 2, each of one scale.
Operand dequantized(NodeContext& c, Composite& m, size_t i) {
  const Operand x = m.take(c.input(i)), scale = m.take(c.input(i + 1));
  Operand centred = m.cast(x, dtypes::int32);
  if (c.has(i + 2) && !is_zero(c, c.optional(i + 2))) {
    centred = m.subtract(centred, m.cast(m.reshape(c.optional(i + 2), {}), dtypes::int32));
  }
  return m.multiply(m.cast(centred, dtypes::float32), m.reshape(scale, {}));
}

// x by the scale and zero point in operands i and i + 1.
Operand quantized(NodeContext& c, Composite& m, const Operand& x, size_t i, DType dtype) {
  const Operand scale = m.reshape(m.take(c.input(i)), {});
  const Operand zero = c.has(i + 1) ? m.reshape(c.optional(i + 1), {}) : nullptr;
  return saturated(m, m.divide(x, scale), zero, zero ? m.dtype(zero) : dtype);
}

// alpha * a * b + c, requantised where a scale is given, else as a float. The bias has the scale of
// the product.
Result<Operand> quantized_gemm(NodeContext& c) {
  REPOSE_TRY(a, factor_of(c, 0, 2));
  REPOSE_TRY(b, factor_of(c, 3, 5));
  REPOSE_TRY(turns_a, c.flag("transA", false));
  REPOSE_TRY(turns_b, c.flag("transB", false));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  Composite m(c);
  if (turns_a) a.value = m.permute(a.value, {1, 0});
  if (turns_b) b.value = m.permute(b.value, {1, 0});
  if (!m.ok()) return m.result(nullptr);
  REPOSE_TRY(product, integer_product(c, a, b, 2, 5));
  REPOSE_TRY(of_a, c.input(1));
  REPOSE_TRY(of_b, c.input(4));
  REPOSE_TRY(scale_a, beside_product(c, of_a, true, 1));
  REPOSE_TRY(scale_b, beside_product(c, of_b, false, 4));
  const Operand sums = c.has(6) ? m.add(product, c.optional(6)) : product;
  Operand scale = scale_of_product(m, scale_a, scale_b);
  if (alpha != 1) scale = m.multiply(scale, alpha);
  if (!c.has(7)) return m.result(m.multiply(m.cast(sums, dtypes::float32), scale));
  const Operand to = m.reshape(c.optional(7), {});
  const Operand zero = c.has(8) ? m.reshape(c.optional(8), {}) : nullptr;
  return m.result(requantized(m, sums, scale, to, zero, zero ? m.dtype(zero) : m.dtype(a.value)));
}

Result<Operand> qlinear_softmax(NodeContext& c) {
  REPOSE_TRY(opset, c.integer("opset"));
  REPOSE_TRY(axis, c.integer("axis", opset < 13 ? 1 : -1));
  Composite m(c);
  const Operand x = dequantized(c, m, 0);
  if (!m.ok()) return m.result(nullptr);
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(last, c.axis(axis, rank));
  if (opset < 13 && last != rank - 1) {
    return c.fail(
        DiagnosticKind::unsupported_feature,
        "of operator set {}, along axis {} of {}: before operator set 13 that is all axes "
        "from there on",
        opset, axis, rank);
  }
  const Operand y = m.call("nn.softmax", {x}, {{"axis", last}});
  return m.result(quantized(c, m, y, 3, m.dtype(c.optional(0))));
}

Result<Operand> qlinear_where(NodeContext& c) {
  REPOSE_TRY(condition, c.input(0));
  Composite m(c);
  const Operand a = dequantized(c, m, 1), b = dequantized(c, m, 4);
  return m.result(quantized(c, m, m.where(condition, a, b), 7, m.dtype(c.optional(1))));
}

const char* op_add() {
  return "add";
}
const char* op_multiply() {
  return "multiply";
}
const char* op_sigmoid() {
  return "sigmoid";
}

template <const char* (*op)()>
Result<Operand> qlinear_binary(NodeContext& c) {
  Composite m(c);
  const Operand a = dequantized(c, m, 0), b = dequantized(c, m, 3);
  return m.result(quantized(c, m, m.binary(op(), a, b), 6, m.dtype(c.optional(0))));
}

template <const char* (*op)()>
Result<Operand> qlinear_unary(NodeContext& c) {
  Composite m(c);
  const Operand x = dequantized(c, m, 0);
  return m.result(quantized(c, m, m.unary(op(), x), 3, m.dtype(c.optional(0))));
}

Result<Operand> qlinear_leaky_relu(NodeContext& c) {
  REPOSE_TRY(alpha, c.number("alpha", 0.01));
  Composite m(c);
  const Operand x = dequantized(c, m, 0);
  const Operand y = m.call("nn.leakyrelu", {x}, {{"alpha", alpha}});
  return m.result(quantized(c, m, y, 3, m.dtype(c.optional(0))));
}

Result<Operand> qlinear_global_average_pool(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(rank, c.rank(given));
  REPOSE_TRY(last, c.flag("channels_last", false));
  std::vector<int64_t> axes;
  for (int64_t a = last ? 1 : 2; a < (last ? rank - 1 : rank); ++a) axes.push_back(a);
  Composite m(c);
  return m.result(quantized(c, m, m.mean(dequantized(c, m, 0), axes), 3, c.dtype(given)));
}

// The parts, each with a scale of its own, side by side.
Result<Operand> qlinear_concat(NodeContext& c) {
  REPOSE_TRY(axis, c.integer("axis"));
  if (c.num_inputs() < 5 || (c.num_inputs() - 2) % 3 != 0) {
    return c.fail(DiagnosticKind::wrong_arity, "{} operands, expected 2 and 3 for each part",
                  c.num_inputs());
  }
  Composite m(c);
  std::vector<Operand> parts;
  for (size_t i = 2; i < c.num_inputs(); i += 3) parts.push_back(dequantized(c, m, i));
  return m.result(quantized(c, m, m.concat(parts, axis), 0, m.dtype(c.optional(2))));
}

// The product of a quantised a and b as a float: scales multiply, a bias is added.
Operand float_product(NodeContext& c, Composite& m, const Operand& sum, const Operand& scale_a,
                      const Operand& scale_b, size_t bias) {
  const Operand scale = m.multiply(scale_a, scale_b);
  const Operand y = m.multiply(m.cast(sum, m.dtype(scale)), scale);
  return c.has(bias) ? m.add(y, c.optional(bias)) : y;
}

Result<Operand> matmul_integer_to_float(NodeContext& c) {
  REPOSE_TRY(a, factor_of(c, 0, 4));
  REPOSE_TRY(b, factor_of(c, 1, 5));
  REPOSE_TRY(sum, integer_product(c, a, b, 4, 5));
  REPOSE_TRY(of_a, c.input(2));
  REPOSE_TRY(of_b, c.input(3));
  REPOSE_TRY(scale_a, beside_product(c, of_a, true, 2));
  REPOSE_TRY(scale_b, beside_product(c, of_b, false, 3));
  Composite m(c);
  return m.result(float_product(c, m, sum, scale_a, scale_b, 6));
}

Result<Operand> dynamic_quantize_matmul(NodeContext& c) {
  REPOSE_TRY(a, dynamic_quantize_linear(c));
  REPOSE_TRY(b, factor_of(c, 1, 3));
  REPOSE_TRY(sum, integer_product(c, {a[0], a[2]}, b, 0, 3));
  REPOSE_TRY(of_b, c.input(2));
  REPOSE_TRY(scale_b, beside_product(c, of_b, false, 2));
  Composite m(c);
  return m.result(float_product(c, m, sum, a[1], scale_b, 4));
}

Result<Values> quantized_attention(NodeContext& c) {
  REPOSE_TRY(a, factor_of(c, 0, 6));
  REPOSE_TRY(b, factor_of(c, 1, 7));
  REPOSE_TRY(of_a, c.input(3));
  REPOSE_TRY(of_b, c.input(4));
  REPOSE_TRY(sum, integer_product(c, a, b, 6, 7));
  REPOSE_TRY(scale_a, beside_product(c, of_a, true, 3));
  REPOSE_TRY(scale_b, beside_product(c, of_b, false, 4));
  Composite m(c);
  REPOSE_TRY(projected, m.result(float_product(c, m, sum, scale_a, scale_b, 2)));
  return attend_projected(c, projected, 5, 8, 0);
}

}  // namespace

std::span<const OperatorRow> microsoft_quantize_operators() {
  static constexpr OperatorRow rows[] = {
      {"DequantizeLinear", 1, one<dequantize_linear>},
      {"DynamicQuantizeMatMul", 1, one<dynamic_quantize_matmul>},
      {"MatMulIntegerToFloat", 1, one<matmul_integer_to_float>},
      {"QAttention", 1, quantized_attention},
      {"QGemm", 1, one<quantized_gemm>},
      {"QLinearAdd", 1, one<qlinear_binary<op_add>>},
      {"QLinearConcat", 1, one<qlinear_concat>},
      {"QLinearGlobalAveragePool", 1, one<qlinear_global_average_pool>},
      {"QLinearLeakyRelu", 1, one<qlinear_leaky_relu>},
      {"QLinearMul", 1, one<qlinear_binary<op_multiply>>},
      {"QLinearSigmoid", 1, one<qlinear_unary<op_sigmoid>>},
      {"QLinearSoftmax", 1, one<qlinear_softmax>},
      {"QLinearWhere", 1, one<qlinear_where>},
      {"QuantizeLinear", 1, one<quantize_linear>},
  };
  return rows;
}

std::span<const OperatorRow> quantize_operators() {
  static constexpr OperatorRow rows[] = {
      {"ConvInteger", 10, one<conv_integer>},
      {"DequantizeLinear", 10, one<dequantize_linear>},
      {"DynamicQuantizeLinear", 11, dynamic_quantize_linear},
      {"MatMulInteger", 10, one<matmul_integer>},
      {"QLinearConv", 10, one<qlinear_conv>},
      {"QLinearMatMul", 10, one<qlinear_matmul>},
      {"QuantizeLinear", 10, one<quantize_linear>},
  };
  return rows;
}

}  // namespace repose::onnx
