// Pooling, and what undoes it.
#include <limits>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/windows.h"

namespace repose::onnx {
namespace {

struct Pool {
  Operand x;
  Window window;
  Attrs attrs;  // without padding
};

Result<Pool> pool_of(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(kernel, kernel_of_attribute(c));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  REPOSE_TRY(round_up, c.flag("ceil_mode", false));
  std::vector<int64_t> extents;
  for (const Expr& e : kernel) extents.push_back(as<IntImmNode>(e)->value);
  Attrs attrs{{"pool_size", extents},
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

// Places in a padded operand as places in the operand: the part within an image is taken apart,
// from the dimension whose neighbours lie side by side on.
Operand places_without_padding(Composite& m, const Operand& places, const Window& w,
                               bool column_major) {
  const DType t = dtypes::int64;
  Operand rest = places, place = m.scalar(t, 0);
  Expr stride = make_int(1);
  for (size_t k = 0; k < w.spatial; ++k) {
    const size_t d = column_major ? k : w.spatial - 1 - k;
    const Operand extent = m.number(canonical(w.extents[d] + w.before[d] + w.after[d]), t);
    Operand at = m.subtract(m.floor_mod(rest, extent), m.number(w.before[d], t));
    // Padding wins where all elements of a window are as small.
    at = m.minimum(m.maximum(at, 0.0), m.number(canonical(w.extents[d] - 1), t));
    place = m.add(place, m.multiply(at, m.number(canonical(stride), t)));
    rest = m.floor_divide(rest, extent);
    stride = stride * w.extents[d];
  }
  return m.add(place, m.multiply(rest, m.number(canonical(stride), t)));
}

Result<Values> max_pool_indices(NodeContext& c, const Pool& p) {
  REPOSE_TRY(column_major, c.integer("storage_order", 0));
  const auto padding = constant_padding(p.window);
  const std::string op = with_rank("nn.max_pool_indices", p.window.spatial);
  Attrs attrs = p.attrs;
  attrs.set("column_major", column_major != 0);
  attrs.set("padding", padding.value_or(std::vector<int64_t>(2 * p.window.spatial, 0)));
  if (padding) return c.call_tuple(op, {p.x}, std::move(attrs));
  REPOSE_TRY(wide, padded(c, p.x, p.window, c.scalar_like(p.x, smallest(c.dtype(p.x)))));
  REPOSE_TRY(y, c.call_tuple(op, {wide}, std::move(attrs)));
  Composite m(c);
  return m.results({y[0], places_without_padding(m, y[1], p.window, column_major != 0)});
}

Result<Values> max_pool(NodeContext& c) {
  REPOSE_TRY(p, pool_of(c));
  if (c.wants(1)) return max_pool_indices(c, p);
  const auto padding = constant_padding(p.window);
  if (padding) {
    REPOSE_TRY(y, pooled(c, "nn.max_pool", p, p.x, *padding, false));
    return Values{y};
  }
  REPOSE_TRY(wide, padded(c, p.x, p.window, c.scalar_like(p.x, smallest(c.dtype(p.x)))));
  const std::vector<int64_t> none(2 * p.window.spatial, 0);
  REPOSE_TRY(y, pooled(c, "nn.max_pool", p, wide, none, false));
  return Values{y};
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

Result<std::vector<int64_t>> spatial_axes(NodeContext& c, const Operand& x) {
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes;
  for (int64_t a = 2; a < rank; ++a) axes.push_back(a);
  return axes;
}

template <bool is_max>
Result<Operand> global_pool(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(axes, spatial_axes(c, x));
  return c.call(is_max ? "max" : "mean", {x}, {{"axis", axes}, {"keepdims", true}});
}

// ---- Norms of windows
// ----------------------------------------------------------------------------

// A float before operator set 2.
Result<double> order_of_norm(NodeContext& c) {
  REPOSE_TRY(whole, c.opset() < 2 ? Result<int64_t>(2) : c.integer("p", 2));
  REPOSE_TRY(p, c.opset() < 2 ? c.number("p", 2) : Result<double>(static_cast<double>(whole)));
  if (p >= 1) return p;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `p` is {}, expected at least 1", p);
}

// |x|^p, and what undoes it.
Operand powered(Composite& m, const Operand& x, double p) {
  if (p == 2) return m.unary("square", x);
  const Operand size = m.unary("abs", x);
  return p == 1 ? size : m.power(size, p);
}

Operand rooted(Composite& m, const Operand& x, double p) {
  if (p == 1) return x;
  return p == 2 ? m.unary("sqrt", x) : m.power(x, 1 / p);
}

// The padding at the end so that whole windows are what `ceil_mode` asks for: windows that start
// in the padding at the end are left out.
Expr padding_of_ceil_mode(const Window& w, size_t d, const Facts& facts) {
  const Expr stride = make_int(w.strides[d]), before = w.extents[d] + w.before[d];
  const Expr whole = before + w.after[d];
  const Expr last = ceil_div(whole - w.span(d), stride);  // the window that starts there
  const Expr kept = make_select(lt(last * stride, before), last, last - 1);
  return simplify(kept * stride + w.span(d) - before, facts);
}

// (the sum over the window of |x|^p)^(1/p); padding adds nothing.
Result<Operand> lp_pool(NodeContext& c) {
  REPOSE_TRY(p, pool_of(c));
  REPOSE_TRY(order, order_of_norm(c));
  Composite m(c);
  Operand x = powered(m, p.x, order);
  if (p.attrs.get_bool("ceil_mode")) {
    for (size_t d = 0; d < p.window.spatial; ++d) {
      p.window.after[d] = padding_of_ceil_mode(p.window, d, c.facts());
    }
    p.attrs.set("ceil_mode", false);
  }
  const std::vector<int64_t> none(2 * p.window.spatial, 0);
  if (constant_padding(p.window) != none) {
    if (!m.ok()) return m.result(nullptr);
    x = m.take(padded(c, x, p.window, c.scalar_like(p.x, 0)));
  }
  if (!m.ok()) return m.result(nullptr);
  double count = 1;
  for (const Expr& e : p.window.kernel) count *= static_cast<double>(as<IntImmNode>(e)->value);
  const Operand mean = m.take(pooled(c, "nn.avg_pool", p, x, none, true));
  return m.result(rooted(m, m.multiply(mean, count), order));
}

Result<Operand> global_lp_pool(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(order, order_of_norm(c));
  REPOSE_TRY(axes, spatial_axes(c, x));
  Composite m(c);
  return m.result(rooted(m, m.sum(powered(m, x, order), axes), order));
}

// ---- Back to images
// ------------------------------------------------------------------------------

Expr count_of(const Dims& dims) {
  Expr count = make_int(1);
  for (const Expr& d : dims) count = count * d;
  return canonical(count);
}

// Each element to where its index says, in zeros of the shape that was pooled; `output_shape` may
// ask for more at the ends.
Result<Operand> max_unpool(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(kernel, kernel_of_attribute(c));
  REPOSE_TRY(w, window_of(c, dims, kernel));
  Dims shape{dims[0], dims[1]};
  for (size_t d = 0; d < w.spatial; ++d) {
    const Expr extent = (w.extents[d] - 1) * w.strides[d] + w.kernel[d] - w.before[d] - w.after[d];
    shape.push_back(simplify(extent, c.facts()));
  }
  Composite m(c);
  for (const Expr& d : shape) m.require(le(make_int(0), d), "a result of {0} elements", {d});
  const Dims flat{count_of(dims)};
  const Operand zeros = m.zeros({count_of(shape)}, c.dtype(x));
  const Operand placed = m.call(
      "scatter_elements", {zeros, m.reshape(indices, flat), m.reshape(x, flat)}, {{"axis", 0}});
  Operand y = m.reshape(placed, shape);
  if (!c.has(2)) return m.result(y);
  REPOSE_TRY(wanted, c.elements(c.optional(2), "output_shape"));
  if (wanted.size() != shape.size()) {
    return c.fail(DiagnosticKind::bad_argument, "`output_shape` has {} elements, expected {}",
                  wanted.size(), shape.size());
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    m.require(le(shape[d], wanted[d]), "`output_shape` has {1} where the result has {0} elements",
              {shape[d], wanted[d]});
    if (prove_equal(shape[d], wanted[d], c.facts()) == Truth::yes) continue;
    y = m.pad(y, static_cast<int64_t>(d), make_int(0), canonical(wanted[d] - shape[d]));
  }
  return m.result(y);
}

// Sums of overlapping blocks: a transposed convolution whose weight has a 1 for each place in the
// block.
Result<Operand> col2im(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(image_operand, c.input(1));
  REPOSE_TRY(block_operand, c.input(2));
  REPOSE_TRY(image, c.elements(image_operand, "image_shape"));
  REPOSE_TRY(block, c.constants(block_operand, "block_shape"));
  const size_t spatial = image.size();
  if (block.size() != spatial || spatial < 1 || spatial > 3) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "an image of {} dimensions and blocks of {}; 1 to 3 of each are supported",
                  spatial, block.size());
  }
  int64_t places = 1;
  Dims kernel;
  for (int64_t extent : block) {
    if (extent < 1 || extent > 4096 || places > 4096) {
      return c.fail(DiagnosticKind::unsupported_feature, "a block of {} elements along an axis",
                    extent);
    }
    places *= extent;
    kernel.push_back(make_int(extent));
  }
  if (places > 4096) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "a block of {} elements, at most 4096 are supported", places);
  }
  Composite m(c);
  const Dims d = m.shape(x, 3, 0);
  Dims of_image{d[0], make_int(1)};
  of_image.insert(of_image.end(), image.begin(), image.end());
  REPOSE_TRY(w, window_of(c, of_image, kernel));
  const Expr channels = simplify(floor_div(d[1], make_int(places)), c.facts());
  m.require(eq(floor_mod(d[1], make_int(places)), make_int(0)),
            "{0} rows are no multiple of the {1} elements of a block", {d[1], make_int(places)});
  Dims columns{canonical(d[0] * channels), make_int(places)}, result{d[0], channels};
  Expr count = make_int(1);
  for (size_t i = 0; i < spatial; ++i) {
    const Expr room = image[i] + w.before[i] + w.after[i] - w.span(i);
    m.require(le(make_int(0), room), "a block is larger than the image of {0} elements",
              {image[i]});
    columns.push_back(simplify(floor_div(room, make_int(w.strides[i])) + 1, c.facts()));
    count = count * columns.back();
    result.push_back(image[i]);
  }
  m.require(eq(d[2], count), "{0} blocks, expected {1}", {d[2], canonical(count)});
  auto ones = make_array({places, places}, c.dtype(x));
  for (int64_t i = 0; i < places * places; ++i) {
    ones->store(i, c.dtype(x).is_float() ? Scalar::of_float(i % (places + 1) == 0, c.dtype(x))
                                         : Scalar::of_int(i % (places + 1) == 0, c.dtype(x)));
  }
  Dims weight{make_int(places), make_int(1)};
  weight.insert(weight.end(), kernel.begin(), kernel.end());
  const Operand one_per_place = m.reshape(graph::make_constant(Array(ones)), weight);
  Operand y = m.call(fmt::format("nn.conv{}d_transpose", spatial).c_str(),
                     {m.reshape(x, columns), one_per_place},
                     {{"strides", w.strides}, {"dilation", w.dilations}});
  const Dims whole = m.shape(y, static_cast<int64_t>(spatial) + 2, 0);
  for (size_t i = 0; i < spatial; ++i) {
    y = m.pad(y, static_cast<int64_t>(i) + 2, canonical(make_int(0) - w.before[i]),
              simplify(image[i] + w.before[i] - whole[i + 2], c.facts()));
  }
  return m.result(m.reshape(y, result));
}

}  // namespace

std::span<const OperatorRow> pool_operators() {
  static constexpr OperatorRow rows[] = {
      {"AveragePool", 1, one<average_pool>},
      {"Col2Im", 18, one<col2im>},
      {"GlobalAveragePool", 1, one<global_pool<false>>},
      {"GlobalLpPool", 1, one<global_lp_pool>},
      {"GlobalMaxPool", 1, one<global_pool<true>>},
      {"LpPool", 1, one<lp_pool>},
      {"MaxPool", 1, max_pool},
      {"MaxUnpool", 9, one<max_unpool>},
  };
  return rows;
}

}  // namespace repose::onnx
