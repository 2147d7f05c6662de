// resize: x interpolated along one axis; several axes are resized one after the other.
//   The scale is numerator / denominator. Where result element i lies in x is a fraction p / q of
//   integers, so that no rounding decides which elements are taken, at any extent:
//     "half_pixel"            (i + 1/2) / scale - 1/2
//     "pytorch_half_pixel"    the same, but -1/2 where the scaled length d * scale is 1
//     "half_pixel_symmetric"  the same, moved so that both centres coincide:
//                             + (d - size / scale) / 2
//     "asymmetric"            i / scale
//     "align_corners"         i * (d - 1) / (d * scale - 1)
//     "tf_crop_and_resize"    the part of x between crop_begin / crop_whole and crop_end /
//                             crop_whole of its length, corners aligned; outside of x the result is
//                             `outside`
//   "nearest" takes one element, "linear" two, "cubic" four (after Keys, with `cubic_alpha`; with
//   `exclude_outside` the weights of those outside of x are 0 and the others add up to 1). Elements
//   outside of x are those at its ends. With `antialias` and a scale below 1, "linear" and "cubic"
//   stretch their weights by 1 / scale: as many more elements count; the weights add up to 1.
//     C1: `axis` is one of x's axes.
//     C2: the size is at least 0; unless it is 0, x's extent and both parts of the scale are at
//         least 1.
//     C3: the method is "nearest", "linear" or "cubic"; the rounding of "nearest" is
//         "prefer_floor", "prefer_ceil", "floor" or "ceil"; the coordinates are those above.
//     C4: methods other than "nearest" take a float. float16 and bfloat16 compute in float32.
//     C5: "tf_crop_and_resize" has all three numbers of a crop; `crop_whole` is at least 1.
#include <algorithm>
#include <array>

#include "ops/gradient.h"

namespace repose {

namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<void> check_attribute(InferContext& context, const graph::CallNode& call, const char* attr,
                             std::initializer_list<std::string_view> names) {
  const std::string value = call.attrs.get_string(attr);
  if (is_one_of(value, names)) return {};
  return error(DiagnosticKind::bad_attribute, context.span(), "`resize`: {} is \"{}\"", attr,
               value);
}

bool crops(const graph::CallNode& call) {
  return call.attrs.get_string("coordinates") == "tf_crop_and_resize";
}

Result<Type> infer_resize(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_REQUIRE(check_attribute(context, call, "method", {"nearest", "linear", "cubic"}));  // C3
  REPOSE_REQUIRE(
      check_attribute(context, call, "rounding", {"prefer_floor", "prefer_ceil", "floor", "ceil"}));
  REPOSE_REQUIRE(check_attribute(context, call, "coordinates",
                                 {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric",
                                  "asymmetric", "align_corners", "tf_crop_and_resize"}));
  if (call.attrs.get_string("method") != "nearest") {  // C4
    auto dtype = dtype_arg(context, call, 0, is_float_dtype, "a float");
    if (!dtype.ok()) return dtype.errors();
  }
  if (crops(call)) {  // C5
    if (!has_arg(call, 4) || !has_arg(call, 5) || !has_arg(call, 6)) {
      return error(DiagnosticKind::wrong_arity, context.span(),
                   "`resize`: coordinates \"tf_crop_and_resize\" without `crop_begin`, `crop_end` "
                   "and `crop_whole`");
    }
    const Expr whole = prim_arg(call, 6, dtypes::index);
    if (whole) {
      REPOSE_REQUIRE(context.require(
          le(make_int(1), whole), "`resize`: `crop_whole` is {0}, expected at least 1", {whole}));
    }
  }
  if (x->rank < 0) return ranked_like(*x, x->rank, x->dtype);
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"),  // C1
                                  x->rank));
  const Expr size = prim_arg(call, 1, dtypes::index), numerator = prim_arg(call, 2, dtypes::index),
             denominator = prim_arg(call, 3, dtypes::index);
  if (!x->shape || !size || !numerator || !denominator) return ranked_like(*x, x->rank, x->dtype);
  Dims out = *x->shape;
  const Expr extent = out[static_cast<size_t>(axis)], one = make_int(1);
  out[static_cast<size_t>(axis)] = simplify(size, context.facts());
  REPOSE_REQUIRE(require_extents(context, call.op->name, out));  // C2
  const Expr is_full =
      logical_and(logical_and(le(one, extent), le(one, numerator)), le(one, denominator));
  REPOSE_REQUIRE(context.require(
      logical_or(eq(size, make_int(0)), is_full),
      "`resize`: {0} elements are resized to {1} with the scale {2} / {3}, expected at least 1 of "
      "each",
      {extent, size, numerator, denominator}));
  return tensor_like(*x, std::move(out), x->dtype);
}

// A place in the operand: over / under, `under` positive.
struct Place {
  Expr over, under;
};

// Where element `i` of `size` lies in the operand of `extent` elements, at the scale a / b.
Place place_of(const graph::CallNode& call, const Expr& i, const Expr& extent, const Expr& size,
               const Expr& a, const Expr& b) {
  const std::string mode = call.attrs.get_string("coordinates");
  if (mode == "asymmetric") return {i * b, a};
  const Expr one = make_int(1), spaces = max(extent * a - b, one);  // (d * scale - 1) * b
  if (mode == "align_corners") return {i * (extent - 1) * b, spaces};
  const Expr is_single = canonical(eq(extent * a, b));  // the scaled length is 1
  if (mode == "tf_crop_and_resize") {
    const Expr begin = prim_arg(call, 4, dtypes::index), end = prim_arg(call, 5, dtypes::index),
               whole = prim_arg(call, 6, dtypes::index);
    return {
        (extent - 1) * make_select(is_single, begin + end, i * (end - begin) * b + begin * spaces),
        whole * make_select(is_single, make_int(2), spaces)};
  }
  const Expr centre = (i * 2 + 1) * b - a;
  if (mode == "pytorch_half_pixel") {
    return {make_select(is_single, make_int(0) - a, centre), a * 2};
  }
  if (mode == "half_pixel_symmetric") return {centre + extent * a - size * b, a * 2};
  return {centre, a * 2};
}

Expr nearest_index(const std::string& rounding, const Place& at) {
  const Expr &p = at.over, &q = at.under;
  if (rounding == "floor") return floor_div(p, q);
  if (rounding == "ceil") return floor_div(p + q - 1, q);
  if (rounding == "prefer_floor") return floor_div(p * 2 + q - 1, q * 2);
  return floor_div(p * 2 + q, q * 2);
}

Expr number(DType dtype, double value) {
  return make_float(value, dtype);
}

// The weights of the elements around a place, the first of which is one before it (cubic) or the
// one at it (linear); `r` is how far it lies behind the element at it, below 1.
std::vector<Expr> weights_at(const std::string& method, const Expr& r, double alpha) {
  const DType t = r->dtype;
  if (method == "linear") return {number(t, 1) - r, r};
  // Within 1 of an element ((A + 2) s - (A + 3)) s² + 1; further away ((s - 5) s + 8) A s - 4 A.
  auto near = [&](const Expr& s) {
    return (number(t, alpha + 2) * s - number(t, alpha + 3)) * s * s + number(t, 1);
  };
  auto far = [&](const Expr& s) {
    return ((number(t, alpha) * s - number(t, 5 * alpha)) * s + number(t, 8 * alpha)) * s -
           number(t, 4 * alpha);
  };
  const Expr back = number(t, 1) - r;
  return {far(r + number(t, 1)), near(r), near(back), far(back + number(t, 1))};
}

// The weighted elements around a place; `load` gives the element at an index inside of x.
Expr interpolated(const graph::CallNode& call, const Place& at, const Expr& extent, DType dtype,
                  const std::function<Expr(const Expr&)>& load) {
  const std::string method = call.attrs.get_string("method");
  const Expr floor = floor_div(at.over, at.under);
  const Expr r = make_binary(ExprKind::div, make_cast(dtype, floor_mod(at.over, at.under)),
                             make_cast(dtype, at.under));
  const std::vector<Expr> weights = weights_at(method, r, call.attrs.get_float("cubic_alpha"));
  const bool excludes = call.attrs.get_bool("exclude_outside");
  Expr sum, total;
  for (size_t k = 0; k < weights.size(); ++k) {
    const Expr index = floor + (static_cast<int64_t>(k) - (method == "cubic" ? 1 : 0));
    Expr weight = weights[k];
    if (excludes) {
      const Expr inside = logical_and(le(make_int(0), index), lt(index, extent));
      weight = make_select(inside, weight, number(dtype, 0));
      total = total ? total + weight : weight;
    }
    const Expr part = weight * make_cast(dtype, load(index));
    sum = sum ? sum + part : part;
  }
  return excludes ? make_binary(ExprKind::div, sum, total) : sum;
}

// The weight of an element at a distance, before they are made to add up to 1.
Expr stretched_weight(const std::string& method, const Expr& distance, double alpha) {
  const DType t = distance->dtype;
  const Expr s = make_call(Intrinsic::abs, distance), one = number(t, 1);
  if (method == "linear") return max(one - s, number(t, 0));
  const Expr near = ((number(t, alpha + 2) * s - number(t, alpha + 3)) * s * s) + one;
  const Expr far = ((number(t, alpha) * s - number(t, 5 * alpha)) * s + number(t, 8 * alpha)) * s -
                   number(t, 4 * alpha);
  return make_select(le(s, one), near, make_select(lt(s, number(t, 2)), far, number(t, 0)));
}

// As `resize_rule`, with as many elements as the scale asks for.
std::vector<te::Tensor> antialias_rule(const graph::CallNode& call, const te::Tensor& x,
                                       size_t axis) {
  const Expr a = prim_arg(call, 2, dtypes::index), b = prim_arg(call, 3, dtypes::index);
  const std::string method = call.attrs.get_string("method");
  const Expr extent = x.shape()[axis], last = extent - 1, size = result_shape(call)[axis];
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  const Expr support = make_int(method == "cubic" ? 2 : 1);
  const Expr half = canonical(max(support, ceil_div(support * b, a)));
  const Expr scale =
      min(make_binary(ExprKind::div, make_cast(wide, a), make_cast(wide, b)), number(wide, 1));
  const bool excludes = call.attrs.get_bool("exclude_outside");
  struct Tap {
    Expr index, weight;
  };
  auto tap = [&](const Expr& i, const Expr& k) {
    const Place at = place_of(call, i, extent, size, a, b);
    const Expr offset = k - half + 1;
    const Expr rest = make_binary(ExprKind::div, make_cast(wide, floor_mod(at.over, at.under)),
                                  make_cast(wide, at.under));
    const Expr index = floor_div(at.over, at.under) + offset;
    Expr weight = stretched_weight(method, (make_cast(wide, offset) - rest) * scale,
                                   call.attrs.get_float("cubic_alpha"));
    if (excludes) {
      const Expr inside = logical_and(le(make_int(0), index), lt(index, extent));
      weight = make_select(inside, weight, number(wide, 0));
    }
    return Tap{index, weight};
  };
  const Dims taps{canonical(half * 2)};
  te::Tensor weights = te::compute(
      {size, taps[0]}, [&](const te::Indices& i) { return tap(i[0], i[1]).weight; },
      "resize_weight");
  te::Tensor total = te::reduce(
      {size}, te::Reducer::sum, taps,
      [&](const te::Indices& i, const te::Indices& k) { return weights(i[0], k[0]); },
      "resize_total");
  te::Tensor sum = te::reduce(
      result_shape(call), te::Reducer::sum, taps,
      [&](const te::Indices& i, const te::Indices& k) {
        te::Indices source = i;
        source[axis] = min(max(tap(i[axis], k[0]).index, make_int(0)), last);
        return weights(i[axis], k[0]) * make_cast(wide, x(std::move(source)));
      },
      "resize_sum");
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr value = make_cast(dtype, make_binary(ExprKind::div, sum(i), total(i[axis])));
        if (!crops(call)) return value;
        const Place at = place_of(call, i[axis], extent, size, a, b);
        const Expr inside = logical_and(le(make_int(0), at.over), le(at.over, last * at.under));
        return make_select(inside, value, make_const(dtype, call.attrs.get_float("outside")));
      },
      "resize")};
}

std::vector<te::Tensor> resize_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  const Expr a = prim_arg(call, 2, dtypes::index), b = prim_arg(call, 3, dtypes::index);
  const Expr extent = x.shape()[axis], last = extent - 1;
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  const bool is_nearest = call.attrs.get_string("method") == "nearest";
  if (call.attrs.get_bool("antialias") && !is_nearest) return antialias_rule(call, x, axis);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        auto load = [&](const Expr& index) {
          te::Indices source = i;
          source[axis] = min(max(index, make_int(0)), last);
          return x(std::move(source));
        };
        const Place at = place_of(call, i[axis], extent, result_shape(call)[axis], a, b);
        Expr value = is_nearest ? load(nearest_index(call.attrs.get_string("rounding"), at))
                                : make_cast(dtype, interpolated(call, at, extent, wide, load));
        if (!crops(call)) return value;
        const Expr inside = logical_and(le(make_int(0), at.over), le(at.over, last * at.under));
        return make_select(inside, value, make_const(dtype, call.attrs.get_float("outside")));
      },
      "resize")};
}

// The result is a product with a matrix, which is the same call of the identity; g times that.
Gradients resize_gradient(Builder&, const Pullback& p) {
  const Dims& x = shape_of_arg(p.call, 0);
  const auto rank = static_cast<int64_t>(x.size());
  const int64_t given = p.call.attrs.get_int("axis"), axis = given < 0 ? given + rank : given;
  const Expr& extent = x[static_cast<size_t>(axis)];
  const DType dtype = result_dtype(p.call);
  const graph::Value identity =
      graph::make_op_call(op_eye(), {graph::make_prim(extent), graph::make_prim(extent)},
                          Attrs{{"dtype", Attr(dtype)}});
  std::vector<graph::Value> args = p.call.args;
  args[0] = identity;
  Attrs attrs = p.call.attrs;
  attrs.set("axis", Attr(0));
  attrs.set("outside", Attr(0.0));
  const graph::Value matrix = graph::make_op_call(op_resize(), args, attrs);
  std::vector<int64_t> swapped;
  for (int64_t d = 0; d < rank; ++d) {
    swapped.push_back(d == axis ? rank - 1 : d == rank - 1 ? axis : d);
  }
  std::vector<graph::Value> gradients(args.size());
  gradients[0] = permuted(
      graph::make_op_call(op_matmul(), {permuted(p.gradients[0], swapped), matrix}), swapped);
  return gradients;
}

}  // namespace

const OpDef& op_resize() {
  static const OpDef def{.name = "resize",
                         .args = {{"x"},
                                  {"size", ArgKind::prim},
                                  {"numerator", ArgKind::prim},
                                  {"denominator", ArgKind::prim},
                                  {"crop_begin", ArgKind::prim, true},
                                  {"crop_end", ArgKind::prim, true},
                                  {"crop_whole", ArgKind::prim, true}},
                         .attrs = {{"axis", AttrKind::integer},
                                   {"method", AttrKind::string, Attr("linear")},
                                   {"coordinates", AttrKind::string, Attr("half_pixel")},
                                   {"rounding", AttrKind::string, Attr("prefer_floor")},
                                   {"cubic_alpha", AttrKind::number, Attr(-0.75)},
                                   {"exclude_outside", AttrKind::boolean, Attr(false)},
                                   {"antialias", AttrKind::boolean, Attr(false)},
                                   {"outside", AttrKind::number, Attr(0.0)}},
                         .infer = infer_resize,
                         .lower = te::lower<resize_rule>,
                         .gradient = resize_gradient,
                         .doc = "x interpolated along one axis"};
  return def;
}

}  // namespace repose
