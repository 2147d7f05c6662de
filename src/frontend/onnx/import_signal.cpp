// Signals: discrete Fourier transforms as products with matrices of roots of unity, windows, mel
// filters.
#include <cmath>
#include <numbers>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

using std::numbers::pi;

// The one element of an integer operand.
Result<Expr> size_operand(NodeContext& c, size_t i, const char* what) {
  REPOSE_TRY(given, c.input(i));
  REPOSE_TRY(elements, c.elements(given, what));
  if (elements.size() == 1) return elements[0];
  return c.fail(DiagnosticKind::bad_argument, "`{}` has {} elements, expected 1", what,
                elements.size());
}

// ---- Fourier transforms
// --------------------------------------------------------------------------

struct Transform {
  Expr length;           // of the transform
  Expr inputs, outputs;  // rows and columns of its matrix: those that are given, those wanted
  bool inverse = false;
  bool hermitian = false;  // the inputs are half of a spectrum, whose other half is its conjugate
};

struct Roots {
  Operand cosines, sines;  // (inputs, outputs)
};

// cos and sin of 2 * pi * (i * k mod length) / length.
Roots roots_of(Composite& m, const Transform& t, DType dtype) {
  const DType whole = dtypes::int64;
  const Operand length = m.number(t.length, whole);
  const Operand steps = m.floor_mod(
      m.multiply(m.arange_along(t.inputs, whole, 0, 2), m.arange_along(t.outputs, whole, 1, 2)),
      length);
  const Operand turns = m.divide(m.cast(steps, dtypes::float64), m.cast(length, dtypes::float64));
  const Operand angles = m.multiply(turns, 2 * pi);
  return {m.cast(m.unary("cos", angles), dtype), m.cast(m.unary("sin", angles), dtype)};
}

// The transform of the last axis of a signal, real and imaginary part (null: 0); the result has one
// more axis of two parts, or of one where the spectrum is hermitian.
Operand transformed(Composite& m, const Operand& real, const Operand& imaginary,
                    const Transform& t) {
  const DType given = m.dtype(real), dtype = given.bits < 32 ? dtypes::float32 : given;
  const Roots w = roots_of(m, t, dtype);
  // Forward: (c - i s), inverse: (c + i s).
  const Operand minus_sines = m.unary("negative", w.sines);
  const Operand& turned = t.inverse ? w.sines : minus_sines;
  const Operand& back = t.inverse ? minus_sines : w.sines;
  Operand rows = m.cast(real, dtype), matrix = w.cosines;
  if (!t.hermitian) matrix = m.concat({w.cosines, turned}, 1);
  if (imaginary) {
    const Operand below = t.hermitian ? back : m.concat({back, w.cosines}, 1);
    rows = m.concat({rows, m.cast(imaginary, dtype)}, -1);
    matrix = m.concat({matrix, below}, 0);
  }
  Operand y = m.matmul(rows, matrix);
  if (t.inverse) y = m.divide(y, m.number(t.length, dtype));
  Dims dims = m.shape(y);
  if (!m.ok()) return nullptr;
  dims.back() = make_int(t.hermitian ? 1 : 2);
  dims.push_back(t.outputs);
  std::vector<int64_t> order(dims.size());
  for (size_t d = 0; d < order.size(); ++d) order[d] = static_cast<int64_t>(d);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return m.cast(m.permute(m.reshape(y, dims), order), given);
}

// x with `extent` elements along an axis: those at the end cut off, or zeros after them.
Operand fitted(NodeContext& c, Composite& m, const Operand& x, int64_t axis, const Expr& extent) {
  const Dims dims = m.shape(x);
  if (!m.ok()) return nullptr;
  const Expr missing = simplify(extent - dims[static_cast<size_t>(axis)], c.facts());
  return is_const_int(missing, 0) ? x : m.pad(x, axis, make_int(0), missing);
}

// The parts of x along its last axis, which has one or two; null: there is no imaginary part.
struct Parts {
  Operand real, imaginary;
};

Result<Parts> parts_of(NodeContext& c, Composite& m, const Operand& x) {
  REPOSE_TRY(dims, c.shape(x));
  if (dims.empty()) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank 0, expected at least 2");
  }
  const int64_t last = static_cast<int64_t>(dims.size()) - 1;
  const Expr count = dims.back(), one = make_int(1);
  m.require(logical_or(eq(count, one), eq(count, make_int(2))),
            "{0} parts in the last dimension, expected 1 (real) or 2", {count});
  auto part = [&](const Operand& of, int64_t i) {
    return m.squeeze(m.slice(of, last, make_int(i), make_int(i + 1)), {last});
  };
  if (is_const_int(count, 1)) return Parts{part(x, 0), nullptr};
  const Operand both = fitted(c, m, x, last, make_int(2));
  return Parts{part(both, 0), part(both, 1)};
}

// Half of a spectrum is enough where the signal is real.
void require_real(Composite& m, const Expr& parts) {
  m.require(eq(parts, make_int(1)), "`onesided` of a signal with {0} parts, expected 1", {parts});
}

Expr half_of(const Expr& length) {
  return canonical(floor_div(length, make_int(2)) + 1);
}

// The weights 1, 2, 2, … of half a spectrum: all but the first (and, of an even length, the last)
// stand for two.
Operand doubled(NodeContext& c, Composite& m, const Operand& x, const Expr& length) {
  const Expr half = simplify(half_of(length), c.facts());
  const Operand places = m.arange(half, dtypes::int64);
  const Operand mirrored = m.floor_mod(m.multiply(places, 2.0), m.number(length, dtypes::int64));
  return m.multiply(x, m.where(m.equal(mirrored, 0.0), 1.0, m.scalar(m.dtype(x), 2)));
}

Result<Operand> dft_along(NodeContext& c, int64_t given_axis) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(axis, c.axis(given_axis, rank));
  REPOSE_TRY(inverse, c.flag("inverse", false));
  REPOSE_TRY(onesided, c.flag("onesided", false));
  REPOSE_TRY(dims, c.shape(x));
  if (axis == rank - 1) {
    return c.fail(DiagnosticKind::bad_attribute, "axis {} is that of the real and imaginary parts",
                  given_axis);
  }
  Composite m(c);
  const Expr extent = dims[static_cast<size_t>(axis)];
  Transform t;
  t.length = inverse && onesided ? canonical((extent - 1) * 2) : extent;
  if (c.has(1)) {
    REPOSE_TRY(length, size_operand(c, 1, "dft_length"));
    t.length = length;
  }
  m.require(lt(make_int(0), t.length), "a transform of {0} elements, expected at least 1",
            {t.length});
  t.inverse = inverse;
  t.hermitian = inverse && onesided;
  const Expr half = simplify(half_of(t.length), c.facts());
  t.inputs = t.hermitian ? half : t.length;
  t.outputs = onesided && !inverse ? half : t.length;
  REPOSE_TRY(parts, parts_of(c, m, x));
  if (onesided && !inverse) require_real(m, dims.back());
  // The axis goes last, and back before the parts.
  std::vector<int64_t> order, back;
  for (int64_t d = 0; d + 1 < rank; ++d) {
    if (d != axis) order.push_back(d);
  }
  order.push_back(axis);
  for (int64_t d = 0; d + 1 < rank; ++d)
    back.push_back(d < axis ? d : d == axis ? rank - 2 : d - 1);
  back.push_back(rank - 1);
  auto rows = [&](const Operand& part) -> Operand {
    if (!part) return nullptr;
    Operand y = axis == rank - 2 ? part : m.permute(part, order);
    y = fitted(c, m, y, rank - 2, t.inputs);
    return t.hermitian ? doubled(c, m, y, t.length) : y;
  };
  const Operand y = transformed(m, rows(parts.real), rows(parts.imaginary), t);
  return m.result(axis == rank - 2 ? y : m.permute(y, back));
}

Result<Operand> dft_of_attribute(NodeContext& c) {
  REPOSE_TRY(axis, c.integer("axis", 1));
  return dft_along(c, axis);
}

Result<Operand> dft(NodeContext& c) {
  if (!c.has(2)) return dft_along(c, -2);
  REPOSE_TRY(axes, c.constants(c.optional(2), "axis"));
  if (axes.size() == 1) return dft_along(c, axes[0]);
  return c.fail(DiagnosticKind::bad_argument, "`axis` has {} elements, expected 1", axes.size());
}

// Transforms of windows of the signal, `frame_step` apart: (batch, frames, frequencies, 2).
Result<Operand> stft(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(step, size_operand(c, 1, "frame_step"));
  REPOSE_TRY(onesided, c.flag("onesided", true));
  REPOSE_TRY(rank, c.rank(given));
  Composite m(c);
  const Operand x = rank == 2 ? m.unsqueeze(given, {2}) : given;
  const Dims d = m.shape(x, 3, 0);
  Transform t;
  t.length = d[1];
  if (c.has(2)) t.length = m.shape(c.optional(2), 1, 2)[0];
  if (c.has(3)) {
    REPOSE_TRY(length, size_operand(c, 3, "frame_length"));
    if (c.has(2)) {
      m.require(eq(t.length, length), "the window has {0} elements, `frame_length` is {1}",
                {t.length, length});
    }
    t.length = length;
  }
  m.require(logical_and(lt(make_int(0), step), lt(make_int(0), t.length)),
            "frames of {1} elements, {0} apart, expected at least 1 of each", {step, t.length});
  m.require(le(t.length, d[1]), "frames of {0} elements of a signal of {1}", {t.length, d[1]});
  if (!m.ok()) return m.result(nullptr);
  const Expr frames = simplify(floor_div(d[1] - t.length, step) + 1, c.facts());
  t.inputs = t.length;
  t.outputs = onesided ? simplify(half_of(t.length), c.facts()) : t.length;
  const DType whole = dtypes::int64;
  const Operand starts = m.multiply(m.arange_along(frames, whole, 0, 2), m.number(step, whole));
  const Operand places = m.add(starts, m.arange_along(t.length, whole, 1, 2));
  REPOSE_TRY(parts, parts_of(c, m, x));
  if (onesided) require_real(m, d[2]);
  auto framed = [&](const Operand& part) -> Operand {
    if (!part) return nullptr;
    const Operand rows = m.gather_inside(part, places, 1);
    return c.has(2) ? m.multiply(rows, m.cast(c.optional(2), c.dtype(x))) : rows;
  };
  return m.result(transformed(m, framed(parts.real), framed(parts.imaginary), t));
}

// ---- Windows
// -------------------------------------------------------------------------------------

Result<DType> output_dtype(NodeContext& c) {
  REPOSE_TRY(type, c.integer("output_datatype", 1));
  return dtype_of(static_cast<DataType>(type), c.span(), "attribute `output_datatype`");
}

// a0 + a1 * cos(2 pi i / n) + a2 * cos(4 pi i / n), where n is the size, or one less where the
// window isn't periodic.
struct Cosines {
  double a0, a1, a2;
};
constexpr Cosines hann{0.5, -0.5, 0};
constexpr Cosines hamming{25.0 / 46.0, -21.0 / 46.0, 0};
constexpr Cosines blackman{0.42, -0.5, 0.08};

template <const Cosines& w>
Result<Operand> window(NodeContext& c) {
  REPOSE_TRY(size, size_operand(c, 0, "size"));
  REPOSE_TRY(periodic, c.flag("periodic", true));
  REPOSE_TRY(dtype, output_dtype(c));
  Composite m(c);
  m.require(le(make_int(0), size), "a window of {0} elements", {size});
  const DType wide = dtypes::float64;
  const Operand count = m.number(periodic ? size : Expr(size - 1), wide);
  const Operand angles = m.multiply(m.divide(m.arange(size, wide), count), 2 * pi);
  Operand y = m.add(m.multiply(m.unary("cos", angles), w.a1), w.a0);
  if (w.a2 != 0) y = m.add(y, m.multiply(m.unary("cos", m.multiply(angles, 2.0)), w.a2));
  return m.result(m.cast(y, dtype));
}

// ---- Mel filters
// ---------------------------------------------------------------------------------

// Triangles over the bins of a spectrum, (bins, filters), whose corners are equally far apart on
// the mel scale, 2595 * log10(1 + hertz / 700).
Result<Operand> mel_weight_matrix(NodeContext& c) {
  REPOSE_TRY(filters, size_operand(c, 0, "num_mel_bins"));
  REPOSE_TRY(length, size_operand(c, 1, "dft_length"));
  REPOSE_TRY(rate, c.input(2));
  REPOSE_TRY(lower, c.input(3));
  REPOSE_TRY(upper, c.input(4));
  REPOSE_TRY(dtype, output_dtype(c));
  Composite m(c);
  m.require(logical_and(le(make_int(0), filters), le(make_int(0), length)),
            "{0} filters of transforms of {1} elements", {filters, length});
  const DType wide = dtypes::float64, whole = dtypes::int64;
  auto scalar_of = [&](const Operand& x) { return m.cast(m.reshape(x, {}), wide); };
  auto mel = [&](const Operand& hertz) {
    const Operand ratio = m.add(m.divide(scalar_of(hertz), 700.0), 1.0);
    return m.multiply(m.unary("log", ratio), 2595 / std::log(10.0));
  };
  const Operand first = mel(lower), last = mel(upper);
  const Expr corners = canonical(filters + 2);
  const Operand step = m.divide(m.subtract(last, first), m.number(corners, wide));
  const Operand mels = m.add(m.multiply(m.arange(corners, wide), step), first);
  const Operand hertz =
      m.multiply(m.subtract(m.unary("exp", m.multiply(mels, std::log(10.0) / 2595)), 1.0), 700.0);
  const Operand scaled = m.multiply(hertz, m.number(length + 1, wide));
  const Operand bins = m.cast(m.unary("floor", m.divide(scaled, scalar_of(rate))), whole);
  auto corner = [&](int64_t i) { return m.slice(bins, 0, make_int(i), canonical(filters + i)); };
  const Operand left = corner(0), centre = corner(1), right = corner(2);
  const Operand row = m.arange_along(simplify(half_of(length), c.facts()), whole, 0, 2);
  const Operand rise = m.subtract(centre, left), fall = m.subtract(right, centre);
  auto quotient = [&](const Operand& a, const Operand& b) {
    return m.divide(m.cast(a, wide), m.cast(m.maximum(b, 1.0), wide));
  };
  const Operand rising = m.where(m.equal(rise, 0.0), m.cast(m.equal(row, centre), wide),
                                 m.where(m.both(m.less_equal(left, row), m.less_equal(row, centre)),
                                         quotient(m.subtract(row, left), rise), 0.0));
  const Operand falls = m.both(m.less_equal(centre, row), m.less(row, right));
  const Operand y = m.where(falls, quotient(m.subtract(right, row), fall), rising);
  return m.result(m.cast(y, dtype));
}

}  // namespace

std::span<const OperatorRow> signal_operators() {
  static constexpr OperatorRow rows[] = {
      {"BlackmanWindow", 17, one<window<blackman>>},
      {"DFT", 17, one<dft_of_attribute>},
      {"DFT", 20, one<dft>},
      {"HammingWindow", 17, one<window<hamming>>},
      {"HannWindow", 17, one<window<hann>>},
      {"MelWeightMatrix", 17, one<mel_weight_matrix>},
      {"STFT", 17, one<stft>},
  };
  return rows;
}

}  // namespace repose::onnx
