// Exact contractions of quantised tensors, x = (q - zero point) * scale: what the operators of
// integers and those of floats between DequantizeLinear and QuantizeLinear share.
#pragma once

#include <vector>

#include "frontend/onnx/node_context.h"

namespace repose::onnx {

// Whether a zero point (null: none) is known to be 0.
bool is_zero(const NodeContext& c, const Operand& zero_point);
// round(x) + zero point, halves to even, saturated.
Operand saturated(Composite& m, const Operand& x, const Operand& zero, DType dtype);

// x as uint8 with a scale and a zero point that its range gives; 0 is exact.
struct ByRange {
  Operand value, scale, zero;
};
ByRange quantized_by_range(Composite& m, const Operand& x);

// ---- Contractions of integers, exact modulo 2^32
// -------------------------------------------------------

// Operands that a contraction of integers reads.
struct Factor {
  Operand value;
  Operand zero;  // null: 0
};

// What belongs to rows or columns of a matrix operand, as it broadcasts to the product: a scalar,
// one number for each of them, or of the operand's rank with 1 along the other dimension. `i`: the
// operand that `v` is, for messages.
Result<Operand> beside_product(NodeContext& c, const Operand& v, bool is_row, size_t i);
// A value for each output channel (or one for all), as it broadcasts to `rank` dimensions whose
// channels are dimension `at`.
Result<Operand> beside_channels(NodeContext& c, const Operand& v, int64_t rank, size_t at);
// sum over k of (a[m, k] - za[m]) * (b[k, n] - zb[n]). `zero_a`, `zero_b`: their operands.
Result<Operand> integer_product(NodeContext& c, const Factor& a, const Factor& b, size_t zero_a,
                                size_t zero_b);
// The same for the convolution that the node describes, whose padding is the zero point.
Result<Operand> integer_convolution(NodeContext& c, const Factor& x, const Factor& w);
// Sums of some scale as a tensor with scale and zero point (null: 0) of its own. Scales divide in
// float32.
Operand requantized(Composite& m, const Operand& sums, const Operand& scale, const Operand& to,
                    const Operand& zero, DType dtype);

// ---- Contractions of what DequantizeLinear gives
// --------------------------------------------------
//
// A contraction of two dequantised tensors is one of their integers, whose sums are scaled once:
//
//   before:  y = ((a - za) * sa) @ ((b - zb) * sb)
//   after:   y = ((a - za) @ (b - zb)) * (sa * sb)
//
// The importer notes what each dequantised value and each such y stands for, so that a bias whose
// scale is sa * sb joins the sums, and QuantizeLinear of y rounds once, as QLinearMatMul and
// QLinearConv do. See docs/adr/0057-exact-sums-between-quantised-tensors.md.

// What a float value of the graph stands for: (value - zero) * scale.
struct Quantized {
  Operand self;                // the float value
  Operand value;               // integers of 8 bits; of sums: of 32
  Operand zero;                // broadcasts to the value; null: 0
  Operand scale;               // broadcasts to the value
  int64_t axis = -1;           // along which scale and zero point vary; -1: they don't
  std::vector<Operand> given;  // numbers as the model has them, whose product the scale is
  int64_t most = 0;            // of sums: what no magnitude exceeds; else 0
};

// y turned by two exchanged dimensions, which stands for what x stands for, turned.
Result<void> note_transposed(NodeContext& c, const Operand& x, const Operand& turned);
// The contraction of two quantised values; null where they are not, or where scales vary along what
// is summed, or 32 bits may not hold the sums.
Result<Operand> quantized_product(NodeContext& c, const Operand& a, const Operand& b);
Result<Operand> quantized_convolution(NodeContext& c, const Operand& x, const Operand& w);
// Sums and a quantised bias of their scale, one value for each index of dimension `at`; null where
// that is not what they are.
Result<Operand> add_quantized(NodeContext& c, const Operand& y, const Operand& bias, size_t at);

}  // namespace repose::onnx
