// Matrix products, convolutions and pooling.
#include <algorithm>
#include <limits>

#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// ---- Matrix products
// -----------------------------------------------------------------------------

Result<Operand> matmul(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  return c.call("matmul", {a, b});
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
    factors[i] = turned;
  }
  REPOSE_TRY(alpha, c.number("alpha", 1));
  REPOSE_TRY(beta, c.number("beta", 1));
  REPOSE_TRY(y, c.call("matmul", {factors[0], factors[1]}));
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
  REPOSE_TRY(addend, broadcast_addend(c, bias, y));
  return c.call("add", {y, addend});
}

// An 8-bit operand minus its zero point, in int32. A zero point of rank 1 has one value for each
// index of `axis`.
Result<Operand> centred(NodeContext& c, size_t operand, size_t zero_point, int64_t axis) {
  REPOSE_TRY(x, c.input(operand));
  REPOSE_TRY(wide, c.cast(x, dtypes::int32));
  if (!c.has(zero_point)) return wide;
  REPOSE_TRY(zero, c.cast(c.optional(zero_point), dtypes::int32));
  REPOSE_TRY(dims, c.shape(zero));
  if (dims.size() == 1) {
    REPOSE_TRY(rank, c.rank(x));
    REPOSE_TRY(at, c.axis(axis, rank));
    Dims spread(static_cast<size_t>(rank), make_int(1));
    spread[static_cast<size_t>(at)] = dims[0];
    REPOSE_TRY(aligned, c.reshape(zero, spread));
    zero = aligned;
  }
  return c.call("subtract", {wide, zero});
}

Result<Operand> matmul_integer(NodeContext& c) {
  REPOSE_TRY(left, c.input(0));
  REPOSE_TRY(left_rank, c.rank(left));
  REPOSE_TRY(a, centred(c, 0, 2, left_rank > 1 ? -2 : -1));
  REPOSE_TRY(b, centred(c, 1, 3, -1));
  return c.call("matmul", {a, b});
}

// ---- Windows
// -------------------------------------------------------------------------------------

// Paddings, strides and the like beyond this are refused: sums of them stay in 64 bits.
constexpr int64_t largest_attribute = int64_t{1} << 31;

struct Window {
  size_t spatial = 0;
  Dims extents;  // of the operand
  Dims kernel;
  std::vector<int64_t> strides, dilations;
  Dims before, after;  // paddings

  Expr span(size_t d) const { return canonical((kernel[d] - 1) * dilations[d] + 1); }
};

// `count` values from `least` on, one for each dimension, of an attribute; `absent` if there is
// none.
Result<std::vector<int64_t>> window_attr(NodeContext& c, const char* name, size_t count,
                                         int64_t least, int64_t absent) {
  REPOSE_TRY(given, c.integers(name));
  if (!given) return std::vector<int64_t>(count, absent);
  if (given->size() != count) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` has {} values, expected {}", name,
                  given->size(), count);
  }
  for (int64_t v : *given) {
    if (v >= least && v <= largest_attribute) continue;
    return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` has the value {}", name, v);
  }
  return *given;
}

// What keeps the output at ceil(extent / stride): (ceil(d / s) - 1) * s + span - d, at least 0.
void pad_same(Window& w, const Facts& facts, bool is_lower) {
  for (size_t d = 0; d < w.spatial; ++d) {
    const Expr stride = make_int(w.strides[d]), extent = w.extents[d];
    const Expr needed = (ceil_div(extent, stride) - 1) * stride + w.span(d) - extent;
    const Expr total = simplify(max(needed, make_int(0)), facts);
    const Expr half = simplify(floor_div(total, make_int(2)), facts);
    const Expr rest = simplify(total - half, facts);
    w.before.push_back(is_lower ? rest : half);
    w.after.push_back(is_lower ? half : rest);
  }
}

// Reads strides, dilations and paddings; the kernel's extents are given.
Result<Window> window_of(NodeContext& c, const Dims& x, Dims kernel) {
  Window w;
  w.spatial = kernel.size();
  w.kernel = std::move(kernel);
  if (x.size() != w.spatial + 2 || w.spatial < 1 || w.spatial > 3) {
    return c.fail(DiagnosticKind::rank_mismatch,
                  "operand 0 has rank {} and the window has {} dimensions; 1, 2 and 3 spatial "
                  "dimensions are supported",
                  x.size(), w.spatial);
  }
  w.extents.assign(x.begin() + 2, x.end());
  REPOSE_TRY(strides, window_attr(c, "strides", w.spatial, 1, 1));
  REPOSE_TRY(dilations, window_attr(c, "dilations", w.spatial, 1, 1));
  w.strides = strides;
  w.dilations = dilations;
  REPOSE_TRY(mode, c.string("auto_pad", "NOTSET"));
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    pad_same(w, c.facts(), mode == "SAME_LOWER");
    return w;
  }
  if (mode != "NOTSET" && mode != "VALID" && !mode.empty()) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `auto_pad` is \"{}\"", printable(mode));
  }
  REPOSE_TRY(pads, window_attr(c, "pads", 2 * w.spatial, -largest_attribute, 0));
  for (size_t d = 0; d < w.spatial; ++d) {
    w.before.push_back(make_int(mode == "VALID" ? 0 : pads[d]));
    w.after.push_back(make_int(mode == "VALID" ? 0 : pads[d + w.spatial]));
  }
  return w;
}

// The paddings as attributes: all begins, then all ends. Nothing where they are not constant or
// negative.
std::optional<std::vector<int64_t>> constant_padding(const Window& w) {
  std::vector<int64_t> result;
  for (const Dims* side : {&w.before, &w.after}) {
    for (const Expr& p : *side) {
      int64_t value = 0;
      if (!as_const_int(p, &value) || value < 0) return std::nullopt;
      result.push_back(value);
    }
  }
  return result;
}

// The operand with the padding added to it, for paddings that are no constants.
Result<Operand> padded(NodeContext& c, const Operand& x, const Window& w, const Operand& fill) {
  Dims widths(4, make_int(0));
  for (size_t d = 0; d < w.spatial; ++d) {
    widths.push_back(w.before[d]);
    widths.push_back(w.after[d]);
  }
  return c.call("nn.pad", {x, graph::make_shape(widths), fill});
}

std::string with_rank(const char* op, size_t spatial) {
  return fmt::format("{}{}d", op, spatial);
}

// ---- Convolutions
// --------------------------------------------------------------------------------

Result<Operand> add_bias(NodeContext& c, const Operand& y, const Operand& bias) {
  if (!bias) return y;
  REPOSE_TRY(rank, c.rank(y));
  REPOSE_TRY(dims, c.shape(bias));
  if (dims.size() != 1) {
    return c.fail(DiagnosticKind::rank_mismatch, "the bias has rank {}, expected 1", dims.size());
  }
  REPOSE_TRY(y_dims, c.shape(y));
  auto same = c.require(eq(dims[0], y_dims[1]),
                        "the bias has {0} elements, the result {1} channels", {dims[0], y_dims[1]});
  if (!same.ok()) return same.errors();
  Dims shape(static_cast<size_t>(rank), make_int(1));
  shape[1] = dims[0];
  REPOSE_TRY(column, c.reshape(bias, shape));
  return c.call("add", {y, column});
}

// The kernel's extents: those of the weight, which `kernel_shape` may only repeat.
Result<Dims> kernel_of(NodeContext& c, const Operand& weight) {
  REPOSE_TRY(dims, c.shape(weight));
  if (dims.size() < 3) {
    return c.fail(DiagnosticKind::rank_mismatch, "the weight has rank {}, expected at least 3",
                  dims.size());
  }
  Dims kernel(dims.begin() + 2, dims.end());
  REPOSE_TRY(given, window_attr(c, "kernel_shape", kernel.size(), 1, 0));
  for (size_t d = 0; d < kernel.size(); ++d) {
    if (given[d] == 0) continue;
    auto same = c.require(eq(kernel[d], make_int(given[d])),
                          "the weight has the extent {0}, `kernel_shape` says {1}",
                          {kernel[d], make_int(given[d])});
    if (!same.ok()) return same.errors();
  }
  return kernel;
}

Result<Operand> convolve(NodeContext& c, Operand x, const Operand& weight, const Operand& bias) {
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(kernel, kernel_of(c, weight));
  REPOSE_TRY(groups, c.integer("group", 1));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  auto padding = constant_padding(w);
  if (!padding) {
    REPOSE_TRY(wide, padded(c, x, w, c.scalar_like(x, 0)));
    x = wide;
    padding = std::vector<int64_t>(2 * w.spatial, 0);
  }
  REPOSE_TRY(y, c.call(with_rank("nn.conv", w.spatial), {x, weight},
                       {{"strides", w.strides},
                        {"padding", *padding},
                        {"dilation", w.dilations},
                        {"groups", groups}}));
  return add_bias(c, y, bias);
}

Result<Operand> conv(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  return convolve(c, x, weight, c.optional(2));
}

Result<Operand> conv_integer(NodeContext& c) {
  REPOSE_TRY(x, centred(c, 0, 2, 1));
  REPOSE_TRY(weight, centred(c, 1, 3, 0));
  return convolve(c, x, weight, nullptr);
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

// ---- Pooling
// -------------------------------------------------------------------------------------

struct Pool {
  Operand x;
  Window window;
  Attrs attrs;  // without padding
};

Result<Pool> pool_of(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(extents, c.integers("kernel_shape"));
  if (!extents) return c.fail(DiagnosticKind::bad_attribute, "attribute `kernel_shape` is missing");
  REPOSE_TRY(checked, window_attr(c, "kernel_shape", extents->size(), 1, 1));
  Dims kernel;
  for (int64_t e : checked) kernel.push_back(make_int(e));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  REPOSE_TRY(round_up, c.flag("ceil_mode", false));
  Attrs attrs{{"pool_size", checked},
              {"strides", w.strides},
              {"dilation", w.dilations},
              {"ceil_mode", round_up}};
  return Pool{x, w, attrs};
}

Result<Operand> pooled(NodeContext& c, const char* op, const Pool& p, const Operand& x,
                       const std::vector<int64_t>& padding, bool count_padding) {
  Attrs attrs = p.attrs;
  attrs.set("padding", padding);
  attrs.set("count_include_pad", count_padding);
  return c.call(with_rank(op, p.window.spatial), {x}, std::move(attrs));
}

double smallest(DType dtype) {
  if (dtype.is_float()) return -std::numeric_limits<double>::infinity();
  return dtype.is_sint() ? -static_cast<double>(uint64_t{1} << (dtype.bits - 1)) : 0;
}

Result<Operand> max_pool(NodeContext& c) {
  if (c.wants(1)) {
    return c.fail(DiagnosticKind::unsupported_feature, "its result 1 (indices) is not supported");
  }
  REPOSE_TRY(p, pool_of(c));
  if (auto padding = constant_padding(p.window)) {
    return pooled(c, "nn.max_pool", p, p.x, *padding, false);
  }
  REPOSE_TRY(wide, padded(c, p.x, p.window, c.scalar_like(p.x, smallest(c.dtype(p.x)))));
  return pooled(c, "nn.max_pool", p, wide, std::vector<int64_t>(2 * p.window.spatial, 0), false);
}

// With paddings that are no constants and don't count: the mean over the padded operand, divided
// by the share of the window that lies inside.
Result<Operand> average_pool(NodeContext& c) {
  REPOSE_TRY(p, pool_of(c));
  REPOSE_TRY(count_padding, c.flag("count_include_pad", false));
  if (auto padding = constant_padding(p.window)) {
    return pooled(c, "nn.avg_pool", p, p.x, *padding, count_padding);
  }
  const Operand zero = c.scalar_like(p.x, 0);
  const std::vector<int64_t> none(2 * p.window.spatial, 0);
  REPOSE_TRY(wide, padded(c, p.x, p.window, zero));
  REPOSE_TRY(mean, pooled(c, "nn.avg_pool", p, wide, none, false));
  if (count_padding) return mean;
  Dims shape{make_int(1), make_int(1)};
  shape.insert(shape.end(), p.window.extents.begin(), p.window.extents.end());
  REPOSE_TRY(ones, c.call("ones", {graph::make_shape(shape)}, {{"dtype", c.dtype(p.x)}}));
  REPOSE_TRY(wide_ones, padded(c, ones, p.window, zero));
  REPOSE_TRY(share, pooled(c, "nn.avg_pool", p, wide_ones, none, false));
  return c.call("divide", {mean, share});
}

template <bool is_max>
Result<Operand> global_pool(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes;
  for (int64_t a = 2; a < rank; ++a) axes.push_back(a);
  return c.call(is_max ? "max" : "mean", {x}, {{"axis", axes}, {"keepdims", true}});
}

}  // namespace

std::span<const OperatorRow> nn_operators() {
  static constexpr OperatorRow rows[] = {
      {"AveragePool", 7, one<average_pool>},
      {"Conv", 1, one<conv>},
      {"ConvInteger", 10, one<conv_integer>},
      {"ConvTranspose", 1, one<conv_transpose>},
      {"Gemm", 7, one<gemm>},
      {"GlobalAveragePool", 1, one<global_pool<false>>},
      {"GlobalMaxPool", 1, one<global_pool<true>>},
      {"MatMul", 1, one<matmul>},
      {"MatMulInteger", 10, one<matmul_integer>},
      {"MaxPool", 1, one<max_pool>},
  };
  return rows;
}

}  // namespace repose::onnx
