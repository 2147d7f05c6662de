// Matrix products and convolutions.
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/quantized.h"
#include "frontend/onnx/windows.h"

namespace repose::onnx {
namespace {

// ---- Matrix products
// -----------------------------------------------------------------------------

Result<Operand> product(NodeContext& c, const Operand& a, const Operand& b) {
  REPOSE_TRY(exact, quantized_product(c, a, b));
  return exact ? exact : c.call("matmul", {a, b});
}

Result<Operand> matmul(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  return product(c, a, b);
}

Result<Operand> determinant(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return c.call("determinant", {x});
}

// The addend of a product, one way: its dimensions are those of the product or 1.
Result<Operand> broadcast_addend(NodeContext& c, const Operand& addend, const Operand& product) {
  REPOSE_TRY(have, c.shape(addend));
  REPOSE_TRY(want, c.shape(product));
  if (have.size() > want.size()) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 2 has rank {}, expected at most {}",
                  have.size(), want.size());
  }
  const Expr one = make_int(1);
  bool is_plain = true;  // the sum has the product's shape
  for (size_t i = 0; i < have.size(); ++i) {
    const Expr& d = have[i];
    const Expr& w = want[i + want.size() - have.size()];
    is_plain = is_plain && (prove_equal(d, w, c.facts()) == Truth::yes ||
                            prove_equal(d, one, c.facts()) == Truth::yes);
    auto ok = c.require(logical_or(eq(d, one), eq(d, w)),
                        "operand 2 has {0} where the product has {1}", {d, w});
    if (!ok.ok()) return ok.errors();
  }
  if (is_plain) return addend;
  return c.call("broadcast_to", {addend, graph::make_shape(want)});
}

// alpha * a * b + beta * c, a and b transposed as asked.
Result<Operand> gemm(NodeContext& c) {
  Operand factors[2];
  for (size_t i = 0; i < 2; ++i) {
    REPOSE_TRY(x, c.input(i));
    REPOSE_TRY(rank, c.rank(x));
    REPOSE_TRY(transposed, c.flag(i == 0 ? "transA" : "transB", false));
    factors[i] = x;
    if (rank != 2) {
      return c.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected 2", i, rank);
    }
    if (!transposed) continue;
    REPOSE_TRY(turned, c.call("permute_dims", {x}));
    if (auto noted = note_transposed(c, x, turned); !noted.ok()) return noted.errors();
    factors[i] = turned;
  }
  REPOSE_TRY(alpha, c.number("alpha", 1));
  REPOSE_TRY(beta, c.number("beta", 1));
  REPOSE_TRY(y, product(c, factors[0], factors[1]));
  if (alpha != 1) {
    REPOSE_TRY(scaled, c.call("multiply", {y, c.scalar_like(y, alpha)}));
    y = scaled;
  }
  if (!c.has(2)) return y;
  Operand bias = c.optional(2);
  if (beta != 1) {
    REPOSE_TRY(scaled, c.call("multiply", {bias, c.scalar_like(bias, beta)}));
    bias = scaled;
  }
  REPOSE_TRY(exact, add_quantized(c, y, bias, 1));
  if (exact) return exact;
  REPOSE_TRY(addend, broadcast_addend(c, bias, y));
  return c.call("add", {y, addend});
}

// ---- Convolutions
// --------------------------------------------------------------------------------

Result<Operand> conv(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(y, quantized_convolution(c, x, weight));
  if (!y) {
    REPOSE_TRY(plain, convolve(c, x, weight));
    y = plain;
  }
  REPOSE_TRY(exact, add_quantized(c, y, c.optional(2), 1));
  return exact ? exact : add_bias(c, y, c.optional(2));
}

// What is cut off a transposed convolution at both sides (negative: zeros are added): as given, or
// so that the output has the extents that `output_shape` or `auto_pad` ask for.
struct Crop {
  Dims before, after;
};

Result<Crop> crop_of(NodeContext& c, const Window& w, const std::vector<int64_t>& output_padding) {
  REPOSE_TRY(mode, c.string("auto_pad", "NOTSET"));
  REPOSE_TRY(output, c.integers("output_shape"));
  const bool is_same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
  if (!output && !is_same) return Crop{w.before, w.after};
  if (output && output->size() < w.spatial) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `output_shape` has {} values",
                  output->size());
  }
  Crop crop;
  for (size_t d = 0; d < w.spatial; ++d) {
    const Expr wanted =
        output ? make_int((*output)[output->size() - w.spatial + d]) : w.extents[d] * w.strides[d];
    const Expr whole = (w.extents[d] - 1) * w.strides[d] + output_padding[d] + w.span(d);
    const Expr total = simplify(whole - wanted, c.facts());
    const Expr cut = max(total, make_int(0)), half = floor_div(cut, make_int(2));
    crop.before.push_back(simplify(mode == "SAME_UPPER" ? half : cut - half, c.facts()));
    crop.after.push_back(simplify(total - crop.before.back(), c.facts()));
  }
  return crop;
}

Result<Operand> conv_transpose(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(kernel, kernel_of(c, weight));
  REPOSE_TRY(groups, c.integer("group", 1));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  REPOSE_TRY(output_padding, window_attr(c, "output_padding", w.spatial, 0, 0));
  REPOSE_TRY(crop, crop_of(c, w, output_padding));
  w.before = crop.before;
  w.after = crop.after;
  const auto padding = constant_padding(w);
  REPOSE_TRY(y, c.call(fmt::format("nn.conv{}d_transpose", w.spatial), {x, weight},
                       {{"strides", w.strides},
                        {"padding", padding ? *padding : std::vector<int64_t>(2 * w.spatial, 0)},
                        {"output_padding", output_padding},
                        {"dilation", w.dilations},
                        {"groups", groups}}));
  if (padding) return add_bias(c, y, c.optional(2));
  for (Dims* side : {&w.before, &w.after}) {
    for (Expr& e : *side) e = canonical(make_int(0) - e);
  }
  REPOSE_TRY(cropped, padded(c, y, w, c.scalar_like(y, 0)));
  return add_bias(c, cropped, c.optional(2));
}

}  // namespace

std::span<const OperatorRow> nn_operators() {
  static constexpr OperatorRow rows[] = {
      {"Conv", 1, one<conv>},        {"ConvTranspose", 1, one<conv_transpose>},
      {"Det", 11, one<determinant>}, {"Gemm", 1, one<gemm>},
      {"MatMul", 1, one<matmul>},
  };
  return rows;
}

}  // namespace repose::onnx
