// Matrix products and convolutions.
#include <algorithm>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// ---- Matrix products

Result<Operand> matmul(NodeContext& c, const char* a, const char* b) {
  REPOSE_TRY(x, c.tensor(a));
  REPOSE_TRY(y, c.tensor(b));
  return c.call("matmul", {x, y});
}
template <Name b>
Result<Operand> product(NodeContext& c) {
  return matmul(c, "self", b.chars);
}

Result<Operand> linear(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(weight, c.tensor("weight"));
  REPOSE_TRY(bias, c.optional_tensor("bias"));
  Composite m(c);
  const Operand y = m.matmul(x, m.permute(weight, {1, 0}));
  return m.result(bias ? m.add(y, bias) : y);
}

// beta * self + alpha * a * b
template <Name a, Name b>
Result<Operand> add_product(NodeContext& c) {
  REPOSE_TRY(addend, c.tensor("self"));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  REPOSE_TRY(beta, c.number("beta", 1));
  REPOSE_TRY(y, matmul(c, a.chars, b.chars));
  Composite m(c);
  const Operand scaled = alpha == 1 ? y : m.multiply(y, alpha);
  if (beta == 0) return m.result(scaled);
  return m.result(m.add(scaled, beta == 1 ? addend : m.multiply(addend, beta)));
}

Result<Operand> outer(NodeContext& c) {
  REPOSE_TRY(a, c.tensor("self"));
  REPOSE_TRY(b, c.tensor("vec2"));
  Composite m(c);
  return m.result(m.multiply(m.unsqueeze(a, {1}), b));
}

// ---- Convolutions

// Paddings, strides and the like beyond this are refused: sums of them stay in 64 bits.
constexpr int64_t largest_attribute = int64_t{1} << 31;

// A constant per spatial dimension; one stands for all.
Result<std::vector<int64_t>> per_dimension(NodeContext& c, const char* arg, size_t count,
                                           int64_t absent) {
  REPOSE_TRY(given, c.integers(arg));
  if (given.empty()) given = {absent};
  if (given.size() == 1) given.resize(count, given[0]);
  if (given.size() != count) {
    return c.fail(DiagnosticKind::bad_argument, "argument `{}` has {} elements, expected {}", arg,
                  given.size(), count);
  }
  for (int64_t v : given) {
    if (v >= 0 && v <= largest_attribute) continue;
    return c.fail(DiagnosticKind::bad_argument, "argument `{}` has the value {}", arg, v);
  }
  return given;
}

struct Convolution {
  Operand x, weight, bias;
  size_t spatial = 0;
  std::vector<int64_t> strides, padding, dilation;  // padding: both sides
  int64_t groups = 1;
  bool is_unbatched = false;
};

Result<Convolution> convolution_of(NodeContext& c) {
  Convolution v;
  REPOSE_TRY(x, c.tensor("input"));
  REPOSE_TRY(weight, c.tensor("weight"));
  REPOSE_TRY(bias, c.optional_tensor("bias"));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(rank, c.rank(weight));
  if (rank < 3 || rank > 5) {
    return c.fail(DiagnosticKind::rank_mismatch, "the weight has rank {}, expected 3 to 5", rank);
  }
  v.spatial = static_cast<size_t>(rank - 2);
  v.is_unbatched = dims.size() == v.spatial + 1;
  Composite m(c);
  REPOSE_TRY(batch, m.result(v.is_unbatched ? m.unsqueeze(x, {0}) : x));
  v.x = batch;
  v.weight = weight;
  v.bias = bias;
  REPOSE_TRY(strides, per_dimension(c, "stride", v.spatial, 1));
  REPOSE_TRY(dilation, per_dimension(c, "dilation", v.spatial, 1));
  REPOSE_TRY(groups, c.integer("groups", 1));
  v.strides = strides;
  v.dilation = dilation;
  v.groups = groups;
  const Argument* padding = c.find("padding");
  if (padding && padding->kind == Argument::Kind::string) return v;  // by name: padding_by_name
  REPOSE_TRY(sides, per_dimension(c, "padding", v.spatial, 0));
  v.padding = sides;
  v.padding.insert(v.padding.end(), sides.begin(), sides.end());
  return v;
}

Result<Operand> finish(NodeContext& c, const Convolution& v, const Operand& y) {
  Composite m(c);
  Operand result = y;
  if (v.bias) {
    Dims shape(v.spatial + 2, make_int(1));
    shape[1] = m.shape(v.bias, 1, 2)[0];
    result = m.add(y, m.reshape(v.bias, shape));
  }
  return m.result(v.is_unbatched ? m.squeeze(result, {0}) : result);
}

Result<Operand> convolve(NodeContext& c, const Convolution& v) {
  REPOSE_TRY(y, c.call(fmt::format("nn.conv{}d", v.spatial), {v.x, v.weight},
                       {{"strides", v.strides},
                        {"padding", v.padding},
                        {"dilation", v.dilation},
                        {"groups", v.groups}}));
  return finish(c, v, y);
}

Result<Operand> convolve_transposed(NodeContext& c, const Convolution& v) {
  REPOSE_TRY(extra, per_dimension(c, "output_padding", v.spatial, 0));
  REPOSE_TRY(y, c.call(fmt::format("nn.conv{}d_transpose", v.spatial), {v.x, v.weight},
                       {{"strides", v.strides},
                        {"padding", v.padding},
                        {"output_padding", extra},
                        {"dilation", v.dilation},
                        {"groups", v.groups}}));
  return finish(c, v, y);
}

Result<Operand> conv(NodeContext& c) {
  REPOSE_TRY(v, convolution_of(c));
  return convolve(c, v);
}

Result<Operand> conv_transpose(NodeContext& c) {
  REPOSE_TRY(v, convolution_of(c));
  return convolve_transposed(c, v);
}

// "valid": none; "same": what keeps the extent, the odd one at the end.
Result<Operand> conv_by_name(NodeContext& c) {
  REPOSE_TRY(v, convolution_of(c));
  REPOSE_TRY(mode, c.string("padding", "valid"));
  REPOSE_TRY(dims, c.shape(v.weight));
  v.padding.assign(2 * v.spatial, 0);
  for (size_t d = 0; d < v.spatial && mode == "same"; ++d) {
    int64_t extent = 0;
    if (!as_const_int(dims[d + 2], &extent)) {
      return c.fail(DiagnosticKind::unsupported_feature, "the kernel's extents are not constant");
    }
    if (extent > largest_attribute) {
      return c.fail(DiagnosticKind::too_large, "a kernel of {} elements", extent);
    }
    const int64_t total = v.dilation[d] * (extent - 1);
    v.padding[d] = total / 2;
    v.padding[d + v.spatial] = total - total / 2;
  }
  return convolve(c, v);
}

Result<Operand> convolution(NodeContext& c) {
  REPOSE_TRY(v, convolution_of(c));
  REPOSE_TRY(is_transposed, c.flag("transposed", false));
  return is_transposed ? convolve_transposed(c, v) : convolve(c, v);
}

// PyTorch lets spaces stand anywhere in the subscripts.
Result<Operand> einsum(NodeContext& c) {
  REPOSE_TRY(given, c.string("equation", ""));
  REPOSE_TRY(operands, c.tensors("tensors"));
  std::string subscripts = given;
  std::erase(subscripts, ' ');
  if (std::find(operands.begin(), operands.end(), nullptr) != operands.end()) {
    return c.fail(DiagnosticKind::bad_argument, "an operand is None");
  }
  return c.call("einsum", {graph::make_tuple(operands)}, {{"subscripts", subscripts}});
}

}  // namespace

std::span<const OperatorRow> nn_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.addmm.default", one<add_product<"mat1", "mat2">>},
      {"aten.baddbmm.default", one<add_product<"batch1", "batch2">>},
      {"aten.bmm.default", one<product<"mat2">>},
      {"aten.conv1d.default", one<conv>},
      {"aten.conv1d.padding", one<conv_by_name>},
      {"aten.conv2d.default", one<conv>},
      {"aten.conv2d.padding", one<conv_by_name>},
      {"aten.conv3d.default", one<conv>},
      {"aten.conv3d.padding", one<conv_by_name>},
      {"aten.conv_transpose1d.default", one<conv_transpose>},
      {"aten.conv_transpose2d.input", one<conv_transpose>},
      {"aten.conv_transpose3d.input", one<conv_transpose>},
      {"aten.convolution.default", one<convolution>},
      {"aten.dot.default", one<product<"tensor">>},
      {"aten.einsum.default", one<einsum>},
      {"aten.linear.default", one<linear>},
      {"aten.matmul.default", one<product<"other">>},
      {"aten.mm.default", one<product<"mat2">>},
      {"aten.mv.default", one<product<"vec">>},
      {"aten.outer.default", one<outer>},
  };
  return rows;
}

}  // namespace repose::torch
