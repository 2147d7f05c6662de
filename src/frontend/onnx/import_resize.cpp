// Resize and Upsample: one `resize` for each axis whose size or place changes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <optional>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// A scale: numerator / denominator, both index expressions.
struct Ratio {
  Expr numerator, denominator;
};

struct Fraction {
  int64_t numerator = 0, denominator = 1;
};

// The simplest fraction that a float32 stands for: 0.7 is 7/10, not the binary fraction next to it,
// so that 10 elements become 7. Of continued fractions the first that rounds to the same number.
std::optional<Fraction> fraction_of(double value) {
  constexpr double largest = 1 << 30;
  if (!(std::abs(value) < largest)) return std::nullopt;
  const float rounded = static_cast<float>(value);
  double rest = std::abs(value);
  Fraction before{1, 0}, current{static_cast<int64_t>(std::floor(rest)), 1};
  for (int step = 0; step < 40; ++step) {
    const double found =
        static_cast<double>(current.numerator) / static_cast<double>(current.denominator);
    if (static_cast<float>(found) == std::abs(rounded)) {
      return Fraction{value < 0 ? -current.numerator : current.numerator, current.denominator};
    }
    rest = 1 / (rest - std::floor(rest));
    if (!(rest < largest)) break;
    const int64_t digit = static_cast<int64_t>(std::floor(rest));
    Fraction next{digit * current.numerator + before.numerator,
                  digit * current.denominator + before.denominator};
    if (static_cast<double>(next.numerator) > largest ||
        static_cast<double>(next.denominator) > largest) {
      break;
    }
    before = current;
    current = next;
  }
  return std::nullopt;
}

// A known float that is a constant, or computed from dimensions by products and quotients.
std::optional<Ratio> ratio_of(const Expr& e) {
  if (const auto* number = as<FloatImmNode>(e)) {
    auto f = fraction_of(number->value);
    if (!f) return std::nullopt;
    return Ratio{make_int(f->numerator), make_int(f->denominator)};
  }
  if (e->dtype.is_index()) return Ratio{e, make_int(1)};
  if (e->kind == ExprKind::cast) return ratio_of(e->args[0]);
  if (e->kind != ExprKind::mul && e->kind != ExprKind::div) return std::nullopt;
  auto a = ratio_of(e->args[0]), b = ratio_of(e->args[1]);
  if (!a || !b) return std::nullopt;
  if (e->kind == ExprKind::div) std::swap(b->numerator, b->denominator);
  return Ratio{canonical(a->numerator * b->numerator), canonical(a->denominator * b->denominator)};
}

// The part of an axis between begin / whole and end / whole of its length.
struct Section {
  Expr begin, end, whole;
};

// What is done to one axis.
struct AxisResize {
  int64_t axis;
  Expr size;
  Ratio scale;
  std::optional<Section> crop = std::nullopt;
};

Result<std::vector<int64_t>> resized_axes(NodeContext& c, int64_t rank) {
  REPOSE_TRY(given, c.integers("axes"));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < (given ? static_cast<int64_t>(given->size()) : rank); ++i) {
    REPOSE_TRY(axis, c.axis(given ? (*given)[static_cast<size_t>(i)] : i, rank));
    axes.push_back(axis);
  }
  return axes;
}

Result<void> check_count(NodeContext& c, const char* what, size_t count, size_t expected) {
  if (count == expected) return {};
  return c.fail(DiagnosticKind::bad_argument, "`{}` has {} elements, expected {}", what, count,
                expected);
}

// floor(dimension * scale) elements.
Result<std::vector<AxisResize>> by_scales(NodeContext& c, const std::vector<Expr>& scales,
                                          const Dims& dims, const std::vector<int64_t>& axes) {
  auto counted = check_count(c, "scales", scales.size(), axes.size());
  if (!counted.ok()) return counted.errors();
  std::vector<AxisResize> result;
  for (size_t i = 0; i < axes.size(); ++i) {
    auto scale = ratio_of(scales[i]);
    if (!scale) {
      return c.fail(DiagnosticKind::unsupported_feature, "scale {} is no fraction that is known",
                    i);
    }
    const Expr& dim = dims[static_cast<size_t>(axes[i])];
    // A wanted extent over this one is met exactly, even where this one may be 0.
    const bool is_met = prove_equal(dim, scale->denominator, c.facts()) == Truth::yes;
    const Expr size =
        is_met ? scale->numerator : floor_div(dim * scale->numerator, scale->denominator);
    result.push_back({axes[i], simplify(size, c.facts()), *scale});
  }
  return result;
}

// The same where only the data tells the scales: as multiples of 2^-24, which those from 1/2 on
// are; sizes as float32 gives them.
Result<std::vector<AxisResize>> by_scales_of_data(NodeContext& c, const Operand& scales,
                                                  const Dims& dims,
                                                  const std::vector<int64_t>& axes) {
  constexpr int64_t whole = int64_t{1} << 24;
  Composite m(c);
  const Dims count = m.shape(scales, 1, 2);
  Dims resized;
  for (int64_t axis : axes) resized.push_back(dims[static_cast<size_t>(axis)]);
  m.require(eq(count[0], make_int(static_cast<int64_t>(axes.size()))),
            "`scales` has {0} elements, expected {1}",
            {count[0], make_int(static_cast<int64_t>(axes.size()))});
  const Operand given = m.cast(scales, dtypes::float32);
  const Operand extents =
      m.cast(m.call("shape_to_tensor", {graph::make_shape(resized)}), dtypes::float32);
  const Operand sizes = m.cast(m.unary("floor", m.multiply(extents, given)), dtypes::int64);
  const Operand ratios = m.cast(
      m.unary("round", m.multiply(m.cast(given, dtypes::float64), static_cast<double>(whole))),
      dtypes::int64);
  REPOSE_TRY(checked, m.results({sizes, ratios}));
  REPOSE_TRY(size_of, c.elements(checked[0], "sizes"));
  REPOSE_TRY(ratio_of_axis, c.elements(checked[1], "scales"));
  std::vector<AxisResize> result;
  for (size_t i = 0; i < axes.size(); ++i) {
    result.push_back({axes[i], size_of[i], {ratio_of_axis[i], make_int(whole)}});
  }
  return result;
}

Result<std::vector<AxisResize>> by_scales_operand(NodeContext& c, const Operand& scales,
                                                  const Dims& dims,
                                                  const std::vector<int64_t>& axes) {
  if (const std::vector<Expr>* known = c.known(scales)) return by_scales(c, *known, dims, axes);
  return by_scales_of_data(c, scales, dims, axes);
}

// The given sizes; or the same scale along all axes, the least ("not_larger") or the largest
// ("not_smaller") that they ask for.
Result<std::vector<AxisResize>> by_sizes(NodeContext& c, const Operand& sizes, const Dims& dims,
                                         const std::vector<int64_t>& axes) {
  REPOSE_TRY(elements, c.elements(sizes, "sizes"));
  REPOSE_TRY(policy, c.string("keep_aspect_ratio_policy", "stretch"));
  auto counted = check_count(c, "sizes", elements.size(), axes.size());
  if (!counted.ok()) return counted.errors();
  std::vector<AxisResize> result;
  for (size_t i = 0; i < axes.size(); ++i) {
    result.push_back({axes[i], elements[i], {elements[i], dims[static_cast<size_t>(axes[i])]}});
  }
  if (policy == "stretch" || result.empty()) return result;
  if (policy != "not_larger" && policy != "not_smaller") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `keep_aspect_ratio_policy` is \"{}\"",
                  printable(policy));
  }
  Ratio scale = result[0].scale;
  for (const AxisResize& r : result) {
    const Expr other = r.scale.numerator * scale.denominator,
               here = scale.numerator * r.scale.denominator;
    const Expr takes = policy == "not_larger" ? lt(other, here) : lt(here, other);
    scale = {simplify(make_select(takes, r.scale.numerator, scale.numerator), c.facts()),
             simplify(make_select(takes, r.scale.denominator, scale.denominator), c.facts())};
  }
  for (AxisResize& r : result) {  // rounded, halves up
    const Expr& dim = dims[static_cast<size_t>(r.axis)];
    r.size = simplify(
        floor_div(dim * scale.numerator * 2 + scale.denominator, scale.denominator * 2), c.facts());
    r.scale = scale;
  }
  return result;
}

// The begins of all axes and then the ends, as multiples of 2^-24: what float32 has near 1.
Result<std::vector<Expr>> crops_of_data(NodeContext& c, const Operand& roi, size_t count) {
  constexpr int64_t whole = int64_t{1} << 24;
  // `resize` multiplies them by an extent, an index and the scale's parts.
  constexpr double largest = 16;
  Composite m(c);
  const Dims given = m.shape(roi, 1, 1);
  const Expr wanted = make_int(static_cast<int64_t>(2 * count));
  m.require(eq(given[0], wanted), "`roi` has {0} elements, expected {1}", {given[0], wanted});
  const Operand units =
      m.multiply(m.cast(m.reshape(roi, {wanted}), dtypes::float64), static_cast<double>(whole));
  const Operand bounded =
      m.clip(m.unary("round", units), -2 * largest * whole, 2 * largest * whole);
  REPOSE_TRY(numbers, m.result(m.cast(bounded, dtypes::int64)));
  REPOSE_TRY(elements, c.elements(numbers, "roi"));
  const Expr most = make_int(static_cast<int64_t>(largest) * whole);
  for (const Expr& e : elements) {
    auto small = c.require(logical_and(le(make_int(0) - most, e), le(e, most)),
                           "`roi` has {0} / 16777216, expected -16 to 16", {e});
    if (!small.ok()) return small.errors();
  }
  return elements;
}

// The fractions that two known numbers are, if they are small ones.
std::optional<Section> section_of(const Expr& begin, const Expr& end) {
  const auto *first = as<FloatImmNode>(begin), *last = as<FloatImmNode>(end);
  const auto from = first ? fraction_of(first->value) : std::nullopt,
             to = last ? fraction_of(last->value) : std::nullopt;
  if (!from || !to) return std::nullopt;
  constexpr int64_t largest = 1 << 20;
  const int64_t whole = std::lcm(from->denominator, to->denominator);
  if (whole > largest || std::abs(from->numerator) > largest * from->denominator / whole ||
      std::abs(to->numerator) > largest * to->denominator / whole) {
    return std::nullopt;
  }
  return Section{make_int(from->numerator * (whole / from->denominator)),
                 make_int(to->numerator * (whole / to->denominator)), make_int(whole)};
}

Result<void> add_crops(NodeContext& c, std::vector<AxisResize>& resizes) {
  REPOSE_TRY(roi, c.input(1));
  const size_t count = resizes.size();
  if (const std::vector<Expr>* known = c.known(roi)) {
    if (auto ok = check_count(c, "roi", known->size(), 2 * count); !ok.ok()) return ok;
    for (size_t i = 0; i < count; ++i) {
      resizes[i].crop = section_of((*known)[i], (*known)[i + count]);
    }
  }
  auto is_open = [](const AxisResize& r) { return !r.crop; };
  if (std::none_of(resizes.begin(), resizes.end(), is_open)) return {};
  REPOSE_TRY(elements, crops_of_data(c, roi, count));
  for (size_t i = 0; i < count; ++i) {
    if (resizes[i].crop) continue;
    resizes[i].crop = Section{elements[i], elements[i + count], make_int(int64_t{1} << 24)};
  }
  return {};
}

Result<std::string> rounding_of(NodeContext& c) {
  REPOSE_TRY(mode, c.string("nearest_mode", "round_prefer_floor"));
  if (mode == "floor" || mode == "ceil") return mode;
  if (mode == "round_prefer_floor") return std::string("prefer_floor");
  if (mode == "round_prefer_ceil") return std::string("prefer_ceil");
  return c.fail(DiagnosticKind::bad_attribute, "attribute `nearest_mode` is \"{}\"",
                printable(mode));
}

Result<std::string> method_of(NodeContext& c) {
  REPOSE_TRY(mode, c.string("mode", "nearest"));
  if (mode == "bilinear" || mode == "trilinear") return std::string("linear");  // of Upsample
  if (mode == "nearest" || mode == "linear" || mode == "cubic") return mode;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
}

Result<Operand> resize_all(NodeContext& c, Operand x, const Dims& dims,
                           const std::vector<AxisResize>& resizes, Attrs attrs) {
  for (const AxisResize& r : resizes) {
    const Expr& dim = dims[static_cast<size_t>(r.axis)];
    auto are_equal = [&](const Expr& a, const Expr& b) {
      return prove_equal(a, b, c.facts()) == Truth::yes;
    };
    const bool is_whole =
        !r.crop || (are_equal(r.crop->begin, make_int(0)) && are_equal(r.crop->end, r.crop->whole));
    if (is_whole && are_equal(r.size, dim) && are_equal(r.scale.numerator, r.scale.denominator)) {
      continue;
    }
    attrs.set("axis", r.axis);
    std::vector<Operand> args{x};
    std::vector<Expr> numbers{r.size, r.scale.numerator, r.scale.denominator};
    if (r.crop) numbers.insert(numbers.end(), {r.crop->begin, r.crop->end, r.crop->whole});
    for (const Expr& e : numbers) args.push_back(graph::make_prim(e));
    REPOSE_TRY(y, c.call("resize", std::move(args), attrs));
    x = y;
  }
  return x;
}

Result<Operand> resize(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axes, resized_axes(c, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(method, method_of(c));
  REPOSE_TRY(rounding, rounding_of(c));
  REPOSE_TRY(coordinates, c.string("coordinate_transformation_mode", "half_pixel"));
  REPOSE_TRY(alpha, c.number("cubic_coeff_a", -0.75));
  REPOSE_TRY(excludes, c.flag("exclude_outside", false));
  REPOSE_TRY(outside, c.number("extrapolation_value", 0));
  REPOSE_TRY(antialias, c.flag("antialias", false));
  auto has_elements = [&](size_t i) {  // an empty tensor stands for one that is left out
    if (!c.has(i)) return false;
    const std::vector<Expr>* known = c.known(c.optional(i));
    return !known || !known->empty();
  };
  const bool has_sizes = has_elements(3);
  if (!has_sizes && !has_elements(2)) {
    return c.fail(DiagnosticKind::bad_argument, "neither `scales` nor `sizes` is given");
  }
  std::vector<AxisResize> resizes;
  if (has_sizes) {
    REPOSE_TRY(by, by_sizes(c, c.optional(3), dims, axes));
    resizes = std::move(by);
  } else {
    REPOSE_TRY(by, by_scales_operand(c, c.optional(2), dims, axes));
    resizes = std::move(by);
  }
  if (coordinates == "tf_crop_and_resize") {
    // Scales of the data have large parts, and so have crops: the sizes tell the scale, as in ONNX
    // Runtime.
    if (!has_sizes && !c.known(c.optional(2))) {
      for (AxisResize& r : resizes) r.scale = {r.size, dims[static_cast<size_t>(r.axis)]};
    }
    if (auto added = add_crops(c, resizes); !added.ok()) return added.errors();
  }
  return resize_all(c, x, dims, resizes,
                    {{"axis", 0},
                     {"method", method},
                     {"coordinates", printable(coordinates)},
                     {"rounding", rounding},
                     {"cubic_alpha", alpha},
                     {"exclude_outside", excludes},
                     {"antialias", antialias},
                     {"outside", outside}});
}

// Element i of the result is element i / scale of x: rounded down, or up where the scale is below 1
// (what ONNX Runtime does; the standard doesn't say). `scales`: where only the data tells them;
// else null.
Result<Operand> resize_by(NodeContext& c, Operand x, const Dims& dims,
                          const std::vector<AxisResize>& resizes, const Operand& scales = nullptr) {
  REPOSE_TRY(method, method_of(c));
  auto along = [&](const AxisResize& r, const char* rounding) {
    return resize_all(
        c, x, dims, {r},
        {{"axis", 0}, {"method", method}, {"coordinates", "asymmetric"}, {"rounding", rounding}});
  };
  for (size_t i = 0; i < resizes.size(); ++i) {
    const AxisResize& r = resizes[i];
    const bool shrinks = prove(lt(r.scale.numerator, r.scale.denominator), c.facts()) == Truth::yes;
    REPOSE_TRY(y, along(r, shrinks ? "ceil" : "floor"));
    if (scales && method == "nearest") {
      REPOSE_TRY(up, along(r, "ceil"));
      Composite m(c);
      const Expr at = make_int(static_cast<int64_t>(i));
      const Operand scale = m.reshape(m.slice(scales, 0, at, canonical(at + 1)), {});
      REPOSE_TRY(either, m.result(m.where(m.less(scale, 1.0), up, y)));
      x = either;
    } else {
      x = y;
    }
  }
  return x;
}

Result<Operand> resize_by_operand(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(scales, c.input(1));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axes, resized_axes(c, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(resizes, by_scales_operand(c, scales, dims, axes));
  const bool may_shrink = !c.known(scales) && c.node().op_type == "Resize";  // `Upsample` doesn't
  return resize_by(c, x, dims, resizes, may_shrink ? scales : nullptr);
}

Result<Operand> resize_by_attribute(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(numbers, c.numbers("scales"));
  if (!numbers) return c.fail(DiagnosticKind::bad_attribute, "attribute `scales` is missing");
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axes, resized_axes(c, static_cast<int64_t>(dims.size())));
  std::vector<Expr> scales;
  for (float v : *numbers) scales.push_back(make_float(static_cast<double>(v), dtypes::float32));
  REPOSE_TRY(resizes, by_scales(c, scales, dims, axes));
  return resize_by(c, x, dims, resizes);
}

// Of images: one scale of their height, and one of their width.
Result<Operand> resize_image(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() != 4) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected 4", dims.size());
  }
  std::vector<Expr> scales;
  for (const char* name : {"height_scale", "width_scale"}) {
    if (!c.find(name)) {
      return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
    }
    REPOSE_TRY(scale, c.number(name, 1));
    scales.push_back(make_float(scale, dtypes::float32));
  }
  REPOSE_TRY(resizes, by_scales(c, scales, dims, {2, 3}));
  return resize_by(c, x, dims, resizes);
}

}  // namespace

std::span<const OperatorRow> resize_operators() {
  static constexpr OperatorRow rows[] = {
      {"Resize", 10, one<resize_by_operand>},  {"Resize", 11, one<resize>},
      {"Upsample", 1, one<resize_image>},      {"Upsample", 7, one<resize_by_attribute>},
      {"Upsample", 9, one<resize_by_operand>},
  };
  return rows;
}

}  // namespace repose::onnx
