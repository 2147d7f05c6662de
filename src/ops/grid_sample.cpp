// grid_sample: y[n, c, o…] = x[n, c, p…] where p… = grid[n, o…, :] in reverse order (the last
// dimension of x first), interpolated.
//   Places run from -1 to 1 over the length of a dimension, from border to border of its elements,
//   or, with `align_corners`, from the first element's centre to the last's; without `normalized`
//   they are indices. "nearest" takes one element (halves to even), "linear" two along each
//   dimension, "cubic" four (after Keys, -0.75). Elements outside of x are 0 ("zeros"), those at
//   its ends ("border"), or x mirrored there ("reflection").
//     C1: x is a float of rank 3 or more; the grid is a float of its rank, whose last dimension is
//         the number of x's spatial dimensions.
//     C2: both have one batch size; x's spatial dimensions are at least 1.
//     C3: mode and padding are among those above. Computes in float32 at least.
#include <algorithm>

#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

Result<void> check_name(InferContext& context, const graph::CallNode& call, const char* attr,
                        std::initializer_list<std::string_view> names) {
  const std::string value = call.attrs.get_string(attr);
  if (std::find(names.begin(), names.end(), value) != names.end()) return {};
  return error(DiagnosticKind::bad_attribute, context.span(), "`grid_sample`: {} is \"{}\"", attr,
               value);
}

Result<Type> infer_grid_sample(InferContext& context, const graph::CallNode& call) {
  REPOSE_REQUIRE(check_name(context, call, "mode", {"nearest", "linear", "cubic"}));  // C3
  REPOSE_REQUIRE(check_name(context, call, "padding", {"zeros", "border", "reflection"}));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(grid, tensor_arg(context, call, 1));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  auto places = dtype_arg(context, call, 1, is_float_dtype, "a float");
  if (!places.ok()) return places.errors();
  if (x->rank < 0) return ranked_like(*x, grid->rank, dtype);
  if (x->rank < 3) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`grid_sample`: operand 0 has rank {}, expected at least 3", x->rank);
  }
  REPOSE_REQUIRE(require_rank(context, call, 1, x->rank));
  if (!x->shape || !grid->shape) return ranked_like(*x, x->rank, dtype);
  REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[0],  // C2
                               "dimension 0 of operand 0", (*grid->shape)[0],
                               "dimension 0 of operand 1"));
  REPOSE_REQUIRE(require_equal(context, call.op->name, grid->shape->back(),
                               "the last dimension of the grid", make_int(x->rank - 2),
                               "the number of spatial dimensions"));
  Dims out{(*x->shape)[0], (*x->shape)[1]};
  out.insert(out.end(), grid->shape->begin() + 1, grid->shape->end() - 1);
  for (int d = 2; d < x->rank; ++d) {
    const Expr& extent = (*x->shape)[static_cast<size_t>(d)];
    REPOSE_REQUIRE(context.require(
        le(make_int(1), extent),
        fmt::format("`grid_sample`: dimension {} of operand 0 is {{0}}, expected at least 1", d),
        {extent}));
  }
  return tensor_like(*x, std::move(out), dtype);
}

Expr number(DType dtype, double value) {
  return make_float(value, dtype);
}

Expr quotient(const Expr& a, const Expr& b) {
  return make_binary(ExprKind::div, a, b);
}

// One spatial dimension of x, in the dtype that places are computed in.
struct Axis {
  const graph::CallNode& call;
  Expr extent;  // index
  DType dtype;

  bool is(const char* attr, const char* name) const { return call.attrs.get_string(attr) == name; }
  Expr length() const { return make_cast(dtype, extent); }
  Expr last() const { return length() - number(dtype, 1); }
  // A grid's number as an index of x, not rounded.
  Expr index_of(const Expr& place) const {
    if (!call.attrs.get_bool("normalized")) return place;
    const Expr one = number(dtype, 1), half = number(dtype, 0.5);
    if (call.attrs.get_bool("align_corners")) return (place + one) * half * last();
    return ((place + one) * length() - one) * half;
  }
  // Mirrored at the borders, as often as it takes.
  Expr reflected(const Expr& t) const {
    const bool corners = call.attrs.get_bool("align_corners");
    const Expr low = number(dtype, corners ? 0 : -0.5);
    const Expr high = corners ? last() : Expr(length() - number(dtype, 0.5));
    const Expr range = high - low, outside = max(low - t, t - high);
    const Expr times = make_call(Intrinsic::trunc, quotient(outside, range));
    const Expr rest = outside - times * range;
    const Expr half = times * number(dtype, 0.5);
    const Expr is_even = eq(make_call(Intrinsic::floor, half), half);
    const Expr from_low = make_select(lt(t, low), is_even, make_not(is_even));
    return make_select(lt(number(dtype, 0), outside),
                       make_select(from_low, low + rest, high - rest), t);
  }
  Expr clamped(const Expr& t) const { return min(max(t, number(dtype, 0)), last()); }
  // Where a place lies after padding.
  Expr padded(const Expr& t) const {
    if (is("padding", "border")) return clamped(t);
    return is("padding", "reflection") ? reflected(t) : t;
  }
  // Whole numbers as a subscript that is inside of x, NaN too.
  Expr subscript(const Expr& t) const {
    const Expr whole = make_cast(dtypes::index, make_cast(dtypes::int64, clamped(t)));
    return min(max(whole, make_int(0)), extent - 1);
  }
  Expr is_inside(const Expr& t) const {
    return logical_and(le(number(dtype, 0), t), le(t, last()));
  }
};

// The weights of the elements around a place; `r` is how far it lies behind one, below 1.
std::vector<Expr> weights_at(const std::string& mode, const Expr& r) {
  const DType t = r->dtype;
  const Expr one = number(t, 1);
  if (mode == "linear") return {one - r, r};
  constexpr double a = -0.75;
  auto near = [&](const Expr& s) {
    return (number(t, a + 2) * s - number(t, a + 3)) * s * s + one;
  };
  auto far = [&](const Expr& s) {
    return ((number(t, a) * s - number(t, 5 * a)) * s + number(t, 8 * a)) * s - number(t, 4 * a);
  };
  const Expr back = one - r;
  return {far(r + one), near(r), near(back), far(back + one)};
}

class Sampler {
 public:
  Sampler(const graph::CallNode& call, const te::Tensor& x, std::vector<Axis> axes,
          std::vector<Expr> places)
      : call_(call), x_(x), axes_(std::move(axes)), places_(std::move(places)) {}

  // The element at the places, for a batch and a channel.
  Expr value(te::Indices at, Expr inside = nullptr) const {
    const size_t d = at.size() - 2;
    if (d == axes_.size()) {
      const DType wide = accumulator_dtype(x_.dtype());
      const Expr element = make_cast(wide, x_(std::move(at)));
      return inside ? make_select(inside, element, make_const(wide, 0)) : element;
    }
    const std::string mode = call_.attrs.get_string("mode");
    if (mode == "nearest") return element_at(std::move(at), places_[d], inside);
    const Expr floor = make_call(Intrinsic::floor, places_[d]);
    const std::vector<Expr> weights = weights_at(mode, places_[d] - floor);
    Expr sum;
    for (size_t k = 0; k < weights.size(); ++k) {
      const double offset = static_cast<double>(k) - (mode == "cubic" ? 1 : 0);
      const Expr element = element_at(at, floor + number(floor->dtype, offset), inside);
      const Expr part = make_cast(element->dtype, weights[k]) * element;
      sum = sum ? sum + part : part;
    }
    return sum;
  }

 private:
  // With the whole number t as the next subscript.
  Expr element_at(te::Indices at, const Expr& t, const Expr& inside) const {
    const Axis& axis = axes_[at.size() - 2];
    at.push_back(axis.subscript(axis.padded(t)));
    if (!axis.is("padding", "zeros")) return value(std::move(at), inside);
    const Expr here = axis.is_inside(t);
    return value(std::move(at), inside ? logical_and(inside, here) : here);
  }

  const graph::CallNode& call_;
  const te::Tensor& x_;
  std::vector<Axis> axes_;
  std::vector<Expr> places_;
};

std::vector<te::Tensor> grid_sample_rule(const graph::CallNode& call,
                                         const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &grid = in[1];
  const DType dtype = accumulator_dtype(grid.dtype());
  const size_t spatial = x.shape().size() - 2;
  const Dims points(grid.shape().begin(), grid.shape().end() - 1);
  std::vector<Axis> axes;
  std::vector<te::Tensor> places;  // along each axis, once for all channels
  for (size_t d = 0; d < spatial; ++d) {
    axes.push_back({call, x.shape()[d + 2], dtype});
    const Axis& axis = axes.back();
    places.push_back(te::compute(
        points,
        [&](const te::Indices& i) {
          te::Indices at = i;
          at.push_back(make_int(static_cast<int64_t>(spatial - 1 - d)));
          Expr t = axis.index_of(make_cast(dtype, grid(std::move(at))));
          if (axis.is("mode", "nearest")) t = make_call(Intrinsic::round, t);
          return axis.padded(t);
        },
        fmt::format("place_{}", d)));
  }
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices point{i[0]};
        point.insert(point.end(), i.begin() + 2, i.end());
        std::vector<Expr> at;
        for (const te::Tensor& p : places) at.push_back(p(point));
        return make_cast(x.dtype(), Sampler(call, x, axes, std::move(at)).value({i[0], i[1]}));
      },
      "grid_sample")};
}

}  // namespace

const OpDef& op_grid_sample() {
  static const OpDef def{.name = "grid_sample",
                         .args = {{"x"}, {"grid"}},
                         .attrs = {{"mode", AttrKind::string, Attr("linear")},
                                   {"padding", AttrKind::string, Attr("zeros")},
                                   {"align_corners", AttrKind::boolean, Attr(false)},
                                   {"normalized", AttrKind::boolean, Attr(true)}},
                         .infer = infer_grid_sample,
                         .lower = te::lower<grid_sample_rule>,
                         .doc = "x interpolated at the places that a grid names"};
  return def;
}

}  // namespace repose
