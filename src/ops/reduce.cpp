// Reductions: sum, prod, max, min, mean, variance, std over the dimensions `axis`.
//   C1: the operand is a number (a float for variance and std).
//   C2: each axis is one of the operand's, given once; None means all, an empty list none.
//   C3: the result lacks those dimensions, or has extent 1 there with `keepdims`; the dtype
//       stays. float16 and bfloat16 accumulate in float32.
//   C4: over no elements: sum 0, prod 1, max and min the smallest and largest value of the dtype
//       (infinities of floats), mean and variance 0 / 0.
#include "ops/gradient.h"
#include "ops/rows.h"

namespace repose {

namespace {

template <bool (*accept)(DType)>
Result<Type> infer_reduce(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, accept,  // C1
                              accept == is_float_dtype ? "a float" : "a number"));
  const auto given = optional_ints(call, "axis");
  const bool keep = call.attrs.get_bool("keepdims");
  if (x->rank < 0) {
    return ranked_like(*x, given || keep ? -1 : 0, dtype);
  }
  REPOSE_TRY(axes,
             normalize_axes(context, call.op->name, given ? *given : std::vector<int64_t>{},  // C2
                            x->rank, !given));
  if (!x->shape) {
    return ranked_like(*x, keep ? x->rank : x->rank - static_cast<int>(axes.size()), dtype);
  }
  const RowAxes rows{*x->shape, axes};
  Dims out = rows.kept_shape();  // C3
  if (keep) {
    out = *x->shape;
    for (int a : axes) out[static_cast<size_t>(a)] = make_int(1);
  }
  return tensor_like(*x, std::move(out), dtype);
}

RowAxes rows_of(const graph::CallNode& call, const te::Tensor& x) {
  return {x.shape(), axes_of(call, "axis", x.rank())};
}

// The index of a result element among the kept dimensions.
te::Indices kept_index(const graph::CallNode& call, const RowAxes& rows, const te::Indices& i) {
  return call.attrs.get_bool("keepdims") ? rows.kept(i) : i;
}

template <te::Reducer reducer>
te::Tensor reduce_to_shape(const graph::CallNode& call, const RowAxes& rows,
                           const std::function<Expr(const te::Indices&)>& f, std::string name) {
  return te::reduce(
      result_shape(call), reducer, rows.extents(),
      [&](const te::Indices& i, const te::Indices& k) {
        return f(rows.full(kept_index(call, rows, i), k));
      },
      std::move(name));
}

template <te::Reducer reducer>
std::vector<te::Tensor> reduce_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  // min and max don't round: they need no wider accumulator.
  const bool rounds = reducer == te::Reducer::sum || reducer == te::Reducer::prod;
  const DType sum = rounds ? accumulator_dtype(in[0].dtype()) : in[0].dtype();
  te::Tensor total = reduce_to_shape<reducer>(
      call, rows_of(call, in[0]), [&](const te::Indices& i) { return make_cast(sum, in[0](i)); },
      std::string(call.op->name));
  return {cast_stage(total, in[0].dtype())};
}

std::vector<te::Tensor> mean_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const RowAxes rows = rows_of(call, in[0]);
  const DType dtype = in[0].dtype(), sum = accumulator_dtype(dtype);
  te::Tensor total = reduce_to_shape<te::Reducer::sum>(
      call, rows, [&](const te::Indices& i) { return make_cast(sum, in[0](i)); }, "mean_sum");
  const Expr count = make_cast(sum, rows.count());
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        return make_cast(dtype, make_binary(ExprKind::div, total(i), count));
      },
      "mean")};
}

template <bool root>
std::vector<te::Tensor> variance_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const RowAxes rows = rows_of(call, in[0]);
  const DType dtype = in[0].dtype(), sum = accumulator_dtype(dtype);
  auto x = [&](const te::Indices& i) { return make_cast(sum, in[0](i)); };
  te::Tensor mean = mean_of_rows(rows, x, "mean");
  te::Tensor total = reduce_to_shape<te::Reducer::sum>(
      call, rows,
      [&](const te::Indices& i) {
        const Expr difference = x(i) - mean(rows.kept(i));
        return difference * difference;
      },
      "squares");
  const Expr count = make_cast(sum, rows.count());
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr variance = make_binary(ExprKind::div, total(i), count);
        if (root) variance = make_call(Intrinsic::sqrt, variance);
        return make_cast(dtype, variance);
      },
      std::string(call.op->name))};
}

// A reduction's gradient or result with the reduced dimensions as ones.
struct Reduction {
  Formula x, g, y;
  Dims shape;
  std::vector<int> axes;

  explicit Reduction(const Pullback& p)
      : x(p.call.args[0]),
        g(x),
        y(x),
        shape(shape_of_arg(p.call, 0)),
        axes(axes_of(p.call, "axis", static_cast<int>(shape.size()))) {
    Dims kept = shape;
    for (int a : axes) kept[static_cast<size_t>(a)] = make_int(1);
    const bool same = p.call.attrs.get_bool("keepdims") || axes.empty();
    g = {same ? p.gradients[0] : reshaped(p.gradients[0], kept), x.dtype()};
    y = {same ? p.result : reshaped(p.result, kept), x.dtype()};
  }
};

Gradients sum_gradient(Builder&, const Pullback& p) {
  const Reduction r(p);
  return std::vector<graph::Value>{broadcast(r.g, r.shape)};
}

Gradients mean_gradient(Builder&, const Pullback& p) {
  const Reduction r(p);
  const Formula count = number_of(extent_of(r.shape, r.axes), r.x.dtype());
  return std::vector<graph::Value>{broadcast(r.g / count, r.shape)};
}

// Equal ones share.
Gradients extreme_gradient(Builder&, const Pullback& p) {
  const Reduction r(p);
  const Formula is_hit = is_equal(r.x, r.y);
  const Formula hits(converted(is_hit, r.x.dtype()), r.x.dtype());
  return std::vector<graph::Value>{hits * (r.g / sum_over(hits, r.axes))};
}

// The products of all others in the row: of those before it and those after it. The reduced
// dimensions become the last one.
Gradients prod_gradient(Builder&, const Pullback& p) {
  const Reduction r(p);
  const RowAxes rows{r.shape, r.axes};
  std::vector<int64_t> order, back(r.shape.size());
  for (int d = 0; d < static_cast<int>(r.shape.size()); ++d) {
    if (!rows.is_reduced(d)) order.push_back(d);
  }
  order.insert(order.end(), r.axes.begin(), r.axes.end());
  Dims moved, flat = rows.kept_shape();
  for (size_t d = 0; d < order.size(); ++d) {
    moved.push_back(r.shape[static_cast<size_t>(order[d])]);
    back[static_cast<size_t>(order[d])] = static_cast<int64_t>(d);
  }
  flat.push_back(rows.count());
  const Formula row(reshaped(permuted(r.x, order), flat), r.x.dtype());
  auto products = [&](bool reverse) {
    return apply_op(
        op_cumprod(), row,
        Attrs{{"axis", Attr(-1)}, {"exclusive", Attr(true)}, {"reverse", Attr(reverse)}});
  };
  const Formula others = products(false) * products(true);
  return std::vector<graph::Value>{r.g *
                                   Formula(permuted(reshaped(others, moved), back), r.x.dtype())};
}

template <bool root>
Gradients variance_gradient(Builder&, const Pullback& p) {
  const Reduction r(p);
  const Formula count = number_of(extent_of(r.shape, r.axes), r.x.dtype());
  const Formula centered = r.x - mean_over(r.x, r.axes, r.shape);
  if (!root) return std::vector<graph::Value>{centered * (r.g * 2 / count)};
  // Of equal elements 0, not 0 / 0.
  const Formula zero = scalar_constant(r.x.dtype(), 0);
  return std::vector<graph::Value>{centered * choose(is_equal(r.y, 0), zero, r.g / (r.y * count))};
}

}  // namespace

#define REDUCTION(op, accept, rule, derivative, text)                               \
  const OpDef& op_##op() {                                                          \
    static const OpDef def{.name = #op,                                             \
                           .args = {{"x"}},                                         \
                           .attrs = {{"axis", AttrKind::optional_integers, Attr()}, \
                                     {"keepdims", AttrKind::boolean, Attr(false)}}, \
                           .infer = infer_reduce<accept>,                           \
                           .lower = te::lower<rule>,                                \
                           .elements = te::elements<rule>,                          \
                           .gradient = derivative,                                  \
                           .doc = text " over the dimensions `axis` (None: all)"};  \
    return def;                                                                     \
  }

REDUCTION(sum, is_number_dtype, reduce_rule<te::Reducer::sum>, sum_gradient, "sum")
REDUCTION(prod, is_number_dtype, reduce_rule<te::Reducer::prod>, prod_gradient, "product")
REDUCTION(max, is_number_dtype, reduce_rule<te::Reducer::max>, extreme_gradient,
          "the largest element, NaN wins,")
REDUCTION(min, is_number_dtype, reduce_rule<te::Reducer::min>, extreme_gradient,
          "the smallest element, NaN wins,")
REDUCTION(mean, is_number_dtype, mean_rule, mean_gradient, "mean; of integers, rounded to zero,")
REDUCTION(variance, is_float_dtype, variance_rule<false>, variance_gradient<false>,
          "mean of the squared distance from the mean")
REDUCTION(std, is_float_dtype, variance_rule<true>, variance_gradient<true>,
          "square root of the variance")

}  // namespace repose
