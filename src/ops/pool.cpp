// Pooling over one, two or three spatial dimensions.
//   nn.max_pool*: the largest element of each window; NaN wins. Padding never wins.
//   nn.avg_pool*: the mean of each window: of the taps inside the input, or, with
//       `count_include_pad`, of those inside the padded input, padding counting as 0.
//     C1: the operand has the rank that the operator says, and is a number (a float for
//         averages). The layout is channels first, or its letters in any order (of
//         nn.max_pool_indices*: channels first).
//     C2: the window's extents, strides and dilations are at least 1, paddings at least 0.
//     C3: the window is not larger than the padded input; the output extent is floor((d + pads -
//         dilation * (pool - 1) - 1) / stride) + 1; with `ceil_mode` rounded up, without windows
//         that would start in the padding at the end.
//   nn.adaptive_avg_pool*: window i of `output_size` n over extent d is [floor(i * d / n),
//       ceil((i + 1) * d / n)).
//     C4: `output_size` is at least 1 in each dimension (None: the operand's extent).
//   nn.max_pool_indices*: the tuple of nn.max_pool* and of the places of these elements, int64: of
//       equal ones the first in the window. A place is the row-major index into the operand; with
//       `column_major` its last part, within an image, is the column-major one.
//     C5: each window has an element inside of the input, or its place is the largest int64.
//   grad.max_pool*_backward, grad.avg_pool*_backward: what flows into `data`, the operand of the
//       pool with these attributes, of `output_grad`, the gradient in its result: the sums, over
//       the windows in which an element is, of theirs where it is the largest (the first one of
//       these); or of theirs divided by the number of their taps.
//     C6: `output_grad` has the type of the pool's result; the result has that of `data`.
#include "ops/gradient.h"
#include "ops/layouts.h"
#include "ops/window.h"

namespace repose {

namespace {

// By the number of spatial dimensions, from one on.
constexpr LayoutAttr pool_layouts[][1] = {
    {{"layout", "NCW"}}, {{"layout", "NCHW"}}, {{"layout", "NCDHW"}}};

// The rule of a call channels first, or of one between permutations.
template <size_t spatial, te::Rule rule>
Result<graph::Value> lower_pool(Builder& b, const graph::CallNode& call) {
  const auto& layouts = pool_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return in_channels_first(call, layouts);
  return te::lower<rule>(b, call);
}

template <size_t spatial, bool is_max>
Result<Type> infer_pool(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const auto& layouts = pool_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return infer_in_layouts(context, call, layouts);
  REPOSE_REQUIRE(require_rank(context, call, 0, static_cast<int>(spatial) + 2));  // C1
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_max ? is_number_dtype : is_float_dtype,
                              is_max ? "a number" : "a float"));
  REPOSE_TRY(pool, ints_per_dim(context, call, "pool_size", spatial, 1));  // C2
  REPOSE_TRY(window, check_window(context, call, spatial));
  if (!x->shape) return ranked_like(*x, spatial + 2, dtype);
  Dims out{(*x->shape)[0], (*x->shape)[1]};
  for (size_t d = 0; d < spatial; ++d) {  // C3
    REPOSE_TRY(count, window_count(context, call.op->name, window, d, (*x->shape)[d + 2],
                                   make_int(pool[d]), call.attrs.get_bool("ceil_mode")));
    out.push_back(count);
  }
  return tensor_like(*x, std::move(out), dtype);
}

// The taps of the window at `o` whose positions lie in [low, high): those from
// ceil((low - start) / dilation) up to before ceil((high - start) / dilation), within the window.
Expr taps_between(const Window& window, size_t d, const Expr& o, int64_t pool, const Expr& low,
                  const Expr& high) {
  const Expr start = window.position(d, o, make_int(0));
  const Expr dilation = make_int(window.dilation[d]);
  const Expr first = max(make_int(0), ceil_div(low - start, dilation));
  const Expr last = min(make_int(pool), ceil_div(high - start, dilation));
  return last - first;
}

std::vector<int64_t> pool_size_of(const graph::CallNode& call, size_t spatial) {
  std::vector<int64_t> pool = call.attrs.get_ints("pool_size");
  if (pool.size() == 1) pool.assign(spatial, pool[0]);
  return pool;
}

// How many taps of the window at `i` count in its mean.
Expr window_taps(const graph::CallNode& call, const Window& window, const Dims& extents,
                 const te::Indices& i) {
  const bool ceil_mode = call.attrs.get_bool("ceil_mode");
  const bool with_pad = call.attrs.get_bool("count_include_pad");
  const std::vector<int64_t> pool = pool_size_of(call, extents.size());
  Expr count = make_int(1);
  for (size_t d = 0; d < extents.size(); ++d) {
    const bool guarded = window.is_padded(d) || ceil_mode;
    if (!guarded || (with_pad && !ceil_mode)) {
      count = count * pool[d];
      continue;
    }
    const Expr low = make_int(with_pad ? -window.pad_begin[d] : 0);
    const Expr high = with_pad ? Expr(extents[d] + window.pad_end[d]) : extents[d];
    count = count * taps_between(window, d, i[d + 2], pool[d], low, high);
  }
  return count;
}

template <size_t spatial, bool is_max>
std::vector<te::Tensor> pool_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Window window = window_of(call, spatial);
  const Dims& shape = result_shape(call);
  const DType dtype = x.dtype(), wide = is_max ? dtype : accumulator_dtype(dtype);
  const te::Reducer reducer = is_max ? te::Reducer::max : te::Reducer::sum;
  const bool ceil_mode = call.attrs.get_bool("ceil_mode");
  const std::vector<int64_t> pool = pool_size_of(call, spatial);
  const Dims extents(x.shape().begin() + 2, x.shape().end());
  Dims box;
  std::vector<bool> guarded;
  for (size_t d = 0; d < spatial; ++d) {
    box.push_back(make_int(pool[d]));
    guarded.push_back(window.is_padded(d) || ceil_mode);
  }
  te::Tensor total = te::reduce(
      shape, reducer, box,
      [&](const te::Indices& i, const te::Indices& k) {
        te::Indices at{i[0], i[1]};
        std::vector<Expr> positions;
        for (size_t d = 0; d < spatial; ++d) {
          positions.push_back(window.position(d, i[d + 2], k[d]));
          at.push_back(positions.back());
        }
        return load_inside(window, guarded, extents, positions, make_cast(wide, x(std::move(at))),
                           te::identity_of(reducer, wide));
      },
      is_max ? "max_pool" : "pool_sum");
  if (is_max) return {total};
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        const Expr count = make_cast(wide, window_taps(call, window, extents, i));
        return make_cast(dtype, make_binary(ExprKind::div, total(i), count));
      },
      "avg_pool")};
}

template <size_t spatial>
Result<Type> infer_max_pool_indices(InferContext& context, const graph::CallNode& call) {
  const LayoutAttr& layout = pool_layouts[spatial - 1][0];
  REPOSE_REQUIRE(require_layout(context, call, layout.name, layout.channels_first));
  REPOSE_TRY(values, infer_pool<spatial, true>(context, call));
  const auto* v = as<TensorTypeNode>(values);
  const Type places = v->shape ? tensor_like(*v, *v->shape, dtypes::int64)
                               : ranked_like(*v, v->rank, dtypes::int64);
  return tuple_type({values, places});
}

template <size_t spatial>
std::vector<te::Tensor> max_pool_indices_rule(const graph::CallNode& call,
                                              const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Window window = window_of(call, spatial);
  const bool column_major = call.attrs.get_bool("column_major");
  const std::vector<int64_t> pool = pool_size_of(call, spatial);
  const Dims extents(x.shape().begin() + 2, x.shape().end());
  Dims box;
  std::vector<bool> guarded;
  for (size_t d = 0; d < spatial; ++d) {
    box.push_back(make_int(pool[d]));
    guarded.push_back(window.is_padded(d) || call.attrs.get_bool("ceil_mode"));
  }
  auto positions_of = [&](const te::Indices& i, const te::Indices& k) {
    std::vector<Expr> positions;
    for (size_t d = 0; d < spatial; ++d) positions.push_back(window.position(d, i[d + 2], k[d]));
    return positions;
  };
  auto element_at = [&](const te::Indices& i, const std::vector<Expr>& positions) {
    te::Indices at{i[0], i[1]};
    at.insert(at.end(), positions.begin(), positions.end());
    return x(std::move(at));
  };
  te::Tensor best = te::reduce(
      result_shape(call, 0), te::Reducer::max, box,
      [&](const te::Indices& i, const te::Indices& k) {
        const std::vector<Expr> positions = positions_of(i, k);
        return load_inside(window, guarded, extents, positions, element_at(i, positions),
                           te::identity_of(te::Reducer::max, x.dtype()));
      },
      "max_pool");
  const Expr nowhere = te::identity_of(te::Reducer::min, dtypes::int64);
  te::Tensor place = te::reduce(
      result_shape(call, 1), te::Reducer::min, box,
      [&](const te::Indices& i, const te::Indices& k) {
        const std::vector<Expr> positions = positions_of(i, k);
        const Expr value = element_at(i, positions);
        Expr hit = eq(value, best(i));
        if (value->dtype.is_float()) {
          hit = logical_or(hit, make_call(Intrinsic::isnan, dtypes::boolean, {value}));
        }
        Expr flat = i[0] * x.shape()[1] + i[1];
        for (size_t d = 0; d < spatial; ++d) flat = flat * extents[d] + positions[d];
        return load_inside(window, guarded, extents, positions,
                           make_select(hit, make_cast(dtypes::int64, flat), nowhere), nowhere);
      },
      "max_pool_place");
  if (!column_major || spatial == 1) return {best, place};
  // The first of the places in row-major order, counted the other way.
  return {best, te::compute(
                    result_shape(call, 1),
                    [&](const te::Indices& i) {
                      Expr rest = make_cast(dtypes::index, place(i)), flat = make_int(0);
                      std::vector<Expr> at(spatial);
                      for (size_t d = spatial; d-- > 0;) {
                        at[d] = floor_mod(rest, max(extents[d], make_int(1)));
                        rest = floor_div(rest, max(extents[d], make_int(1)));
                      }
                      flat = rest;
                      for (size_t d = spatial; d-- > 0;) flat = flat * extents[d] + at[d];
                      return make_cast(dtypes::int64, flat);
                    },
                    "column_major_place")};
}

template <size_t spatial>
Result<Type> infer_adaptive_pool(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const auto& layouts = pool_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return infer_in_layouts(context, call, layouts);
  REPOSE_REQUIRE(require_rank(context, call, 0, static_cast<int>(spatial) + 2));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));
  if (!x->shape) return ranked_like(*x, spatial + 2, dtype);
  Dims out = *x->shape;
  if (!call.attrs.find("output_size")->is_none()) {
    REPOSE_TRY(sizes, ints_per_dim(context, call, "output_size", spatial, 1));  // C4
    for (size_t d = 0; d < spatial; ++d) out[d + 2] = make_int(sizes[d]);
  }
  return tensor_like(*x, std::move(out), dtype);
}

template <size_t spatial>
std::vector<te::Tensor> adaptive_pool_rule(const graph::CallNode& call,
                                           const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Dims& shape = result_shape(call);
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);
  auto begin_of = [&](size_t d, const Expr& i) {
    return floor_div(i * x.shape()[d + 2], shape[d + 2]);
  };
  auto end_of = [&](size_t d, const Expr& i) {
    return ceil_div((i + 1) * x.shape()[d + 2], shape[d + 2]);
  };
  // A window has at most ceil(d / n) + 1 elements; exactly d / n where n divides d.
  Dims box;
  std::vector<bool> exact;
  for (size_t d = 0; d < spatial; ++d) {
    const Expr &extent = x.shape()[d + 2], &count = shape[d + 2];
    int64_t n = 0;
    exact.push_back(structural_equal(extent, count) ||
                    (as_const_int(count, &n) && prove_divisible(extent, n) == Truth::yes));
    box.push_back(canonical(exact.back() ? floor_div(extent, count) : ceil_div(extent, count) + 1));
  }
  te::Tensor total = te::reduce(
      shape, te::Reducer::sum, box,
      [&](const te::Indices& i, const te::Indices& k) {
        te::Indices at{i[0], i[1]};
        Expr inside;
        for (size_t d = 0; d < spatial; ++d) {
          if (exact[d]) {
            at.push_back(i[d + 2] * box[d] + k[d]);
            continue;
          }
          at.push_back(begin_of(d, i[d + 2]) + k[d]);
          Expr here = lt(at.back(), end_of(d, i[d + 2]));
          inside = inside ? logical_and(inside, here) : here;
        }
        const Expr value = make_cast(wide, x(std::move(at)));
        return inside ? make_if_then_else(inside, value, make_const(wide, 0)) : value;
      },
      "pool_sum");
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        Expr count = make_int(1);
        for (size_t d = 0; d < spatial; ++d) {
          count = count * (exact[d] ? box[d] : Expr(end_of(d, i[d + 2]) - begin_of(d, i[d + 2])));
        }
        return make_cast(dtype,
                         make_binary(ExprKind::div, total(i), make_cast(wide, canonical(count))));
      },
      "avg_pool")};
}

// ---- Gradients

// The type of the pool whose gradient this is.
template <size_t spatial, bool is_max>
Result<Type> infer_pool_backward(InferContext& context, const graph::CallNode& call) {
  const LayoutAttr& layout = pool_layouts[spatial - 1][0];
  REPOSE_REQUIRE(require_layout(context, call, layout.name, layout.channels_first));
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 1));
  const graph::CallNode forward(call.op, nullptr, {call.args[1]}, call.attrs, {}, nullptr);
  REPOSE_TRY(result, infer_pool<spatial, is_max>(context, forward));
  REPOSE_REQUIRE(require_rank(context, call, 0, static_cast<int>(spatial) + 2));  // C6
  REPOSE_TRY(g, tensor_arg(context, call, 0));
  REPOSE_TRY(x, tensor_arg(context, call, 1));
  const auto* y = as<TensorTypeNode>(result);
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  for (size_t d = 0; g->shape && d < g->shape->size(); ++d) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*g->shape)[d],
                                 fmt::format("dimension {} of operand 0", d), (*y->shape)[d],
                                 "that of the pool's result"));
  }
  return tensor_like(*x, *x->shape, dtype);
}

// The sums over the windows that a position of the input is in, of f(index of the window).
template <size_t spatial>
std::vector<te::Tensor> sum_over_windows(
    const graph::CallNode& call, const Dims& windows,
    const std::function<Expr(const te::Indices& window, const te::Indices& position)>& f,
    std::string name) {
  const Window window = window_of(call, spatial);
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);
  Dims box;
  for (int64_t size : pool_size_of(call, spatial)) box.push_back(make_int(size));
  te::Tensor sums = te::reduce(
      result_shape(call), te::Reducer::sum, box,
      [&](const te::Indices& i, const te::Indices& k) {
        te::Indices at{i[0], i[1]};
        Expr inside;
        for (size_t d = 0; d < spatial; ++d) {
          // The window's index, times the stride.
          const Expr scaled = i[d + 2] + window.pad_begin[d] - k[d] * window.dilation[d];
          const Expr stride = make_int(window.strides[d]);
          Expr hit =
              logical_and(le(make_int(0), scaled), lt(scaled, windows[d + 2] * window.strides[d]));
          if (window.strides[d] != 1) {
            hit = logical_and(hit, eq(floor_mod(scaled, stride), make_int(0)));
          }
          inside = inside ? logical_and(inside, hit) : hit;
          at.push_back(window.strides[d] == 1 ? scaled : floor_div(scaled, stride));
        }
        return make_if_then_else(inside, make_cast(wide, f(at, i)), make_const(wide, 0));
      },
      std::move(name));
  return {cast_stage(sums, dtype)};
}

template <size_t spatial>
std::vector<te::Tensor> avg_pool_backward_rule(const graph::CallNode& call,
                                               const std::vector<te::Tensor>& in) {
  const te::Tensor& g = in[0];
  const Window window = window_of(call, spatial);
  const DType wide = accumulator_dtype(g.dtype());
  const Dims extents(in[1].shape().begin() + 2, in[1].shape().end());
  te::Tensor shares = te::compute(
      g.shape(),
      [&](const te::Indices& i) {
        const Expr count = make_cast(wide, window_taps(call, window, extents, i));
        return make_binary(ExprKind::div, make_cast(wide, g(i)), count);
      },
      "avg_pool_shares");
  return sum_over_windows<spatial>(
      call, g.shape(), [&](const te::Indices& w, const te::Indices&) { return shares(w); },
      "avg_pool_backward");
}

template <size_t spatial>
const OpDef& max_pool_indices_op();

template <size_t spatial>
Result<graph::Value> lower_max_pool_backward(Builder& b, const graph::CallNode& call) {
  REPOSE_TRY(both, b.infer_only(graph::make_op_call(max_pool_indices_op<spatial>(), {call.args[1]},
                                                    call.attrs)));
  REPOSE_TRY(lowered, te::lower_by_rule(max_pool_indices_rule<spatial>, b,
                                        *graph::as<graph::CallNode>(both)));
  REPOSE_TRY(pair, b.normalize(lowered));
  REPOSE_TRY(places, b.normalize(graph::make_tuple_get(pair, 1)));
  const Dims& x = result_shape(call);
  return te::emit_te(b, "max_pool_backward", {call.args[0], places}, [&](const auto& in) {
    return sum_over_windows<spatial>(
        call, in[0].shape(),
        [&](const te::Indices& w, const te::Indices& i) {
          Expr flat = make_int(0);
          for (size_t d = 0; d < i.size(); ++d) flat = flat * x[d] + i[d];
          const Expr is_place = eq(in[1](w), make_cast(dtypes::int64, flat));
          return make_select(is_place, in[0](w), make_const(in[0].dtype(), 0));
        },
        "max_pool_backward");
  });
}

// By the operator `backward`, which takes g and the operand.
template <size_t spatial>
Gradients pool_gradient(Builder& b, const Pullback& p, const OpDef& backward) {
  const auto& layouts = pool_layouts[spatial - 1];
  if (has_other_layouts(p.call, layouts)) {
    return gradient_through(b, p, in_channels_first(p.call, layouts));
  }
  return std::vector<graph::Value>{
      graph::make_op_call(backward, {p.gradients[0], p.call.args[0]}, p.call.attrs)};
}

// A mean over windows is a product with a matrix per dimension, which has a gradient: the element
// (position, window) is one over the window's extent where the position is in the window.
Formula averaging_matrix(const Expr& extent, const Expr& count, DType dtype) {
  auto line = [&](const Expr& n, bool is_row) {
    const graph::Value positions = graph::make_op_call(op_arange(), {graph::make_prim(n)},
                                                       Attrs{{"dtype", Attr(dtypes::int64)}});
    return Formula(reshaped(positions, is_row ? Dims{make_int(1), n} : Dims{n, make_int(1)}),
                   dtypes::int64);
  };
  const Formula position = line(extent, false), window = line(count, true);
  const Formula inputs = number_of(extent, dtypes::int64),
                windows = number_of(count, dtypes::int64);
  const Formula begin = apply_op(op_floor_divide(), window * inputs, windows);
  const Formula end = -apply_op(op_floor_divide(), -((window + 1) * inputs), windows);
  const Formula one = scalar_constant(dtypes::int64, 1), zero = scalar_constant(dtypes::int64, 0);
  const Formula inside = choose(position < begin, zero, choose(position < end, one, zero));
  return Formula(converted(inside, dtype), dtype) / Formula(converted(end - begin, dtype), dtype);
}

template <size_t spatial>
Result<graph::Value> compose_adaptive_pool(Builder&, const graph::CallNode& call) {
  const auto& layouts = pool_layouts[spatial - 1];
  if (has_other_layouts(call, layouts)) return in_channels_first(call, layouts);
  const Dims &x = shape_of_arg(call, 0), &y = result_shape(call);
  graph::Value value = call.args[0];
  const auto last = static_cast<int64_t>(x.size()) - 1;
  for (int64_t d = 2; d <= last; ++d) {
    std::vector<int64_t> swapped;
    for (int64_t a = 0; a <= last; ++a) swapped.push_back(a == d ? last : a == last ? d : a);
    const auto at = static_cast<size_t>(d);
    const Formula matrix = averaging_matrix(x[at], y[at], result_dtype(call));
    value = permuted(graph::make_op_call(op_matmul(), {permuted(value, swapped), matrix}), swapped);
  }
  return value;
}

std::vector<AttrSpec> pool_attrs(size_t spatial) {
  return {
      {"pool_size", AttrKind::integers, Attr(AttrList{Attr(1)})},
      {"strides", AttrKind::integers, Attr(AttrList{Attr(1)})},
      {"padding", AttrKind::integers, Attr(AttrList{Attr(0)})},
      {"dilation", AttrKind::integers, Attr(AttrList{Attr(1)})},
      {"ceil_mode", AttrKind::boolean, Attr(false)},
      {"count_include_pad", AttrKind::boolean, Attr(false)},
      {"layout", AttrKind::string, Attr(std::string(pool_layouts[spatial - 1][0].channels_first))},
      {"out_layout", AttrKind::any, Attr()}};
}

std::vector<AttrSpec> max_pool_indices_attrs(size_t spatial) {
  std::vector<AttrSpec> attrs = pool_attrs(spatial);
  attrs.push_back({"column_major", AttrKind::boolean, Attr(false)});
  return attrs;
}

}  // namespace

#define MAX_POOL_INDICES(spatial)                                                         \
  const OpDef& op_nn_max_pool_indices##spatial##d() {                                     \
    static const OpDef def{.name = "nn.max_pool_indices" #spatial "d",                    \
                           .args = {{"x"}},                                               \
                           .attrs = max_pool_indices_attrs(spatial),                      \
                           .infer = infer_max_pool_indices<spatial>,                      \
                           .lower = te::lower<max_pool_indices_rule<spatial>>,            \
                           .doc = "the largest element of each window, and where it is"}; \
    return def;                                                                           \
  }

MAX_POOL_INDICES(1)
MAX_POOL_INDICES(2)
MAX_POOL_INDICES(3)

#define POOL_GRADIENTS(spatial)                                                               \
  const OpDef& op_grad_max_pool##spatial##d_backward() {                                      \
    static const OpDef def{.name = "grad.max_pool" #spatial "d_backward",                     \
                           .args = {{"output_grad"}, {"data"}},                               \
                           .attrs = pool_attrs(spatial),                                      \
                           .infer = infer_pool_backward<spatial, true>,                       \
                           .lower = lower_max_pool_backward<spatial>,                         \
                           .doc = "the gradient of nn.max_pool" #spatial "d in its operand"}; \
    return def;                                                                               \
  }                                                                                           \
  const OpDef& op_grad_avg_pool##spatial##d_backward() {                                      \
    static const OpDef def{.name = "grad.avg_pool" #spatial "d_backward",                     \
                           .args = {{"output_grad"}, {"data"}},                               \
                           .attrs = pool_attrs(spatial),                                      \
                           .infer = infer_pool_backward<spatial, false>,                      \
                           .lower = te::lower<avg_pool_backward_rule<spatial>>,               \
                           .doc = "the gradient of nn.avg_pool" #spatial "d in its operand"}; \
    return def;                                                                               \
  }                                                                                           \
  namespace {                                                                                 \
  template <>                                                                                 \
  const OpDef& max_pool_indices_op<spatial>() {                                               \
    return op_nn_max_pool_indices##spatial##d();                                              \
  }                                                                                           \
  Gradients max_pool##spatial##d_gradient(Builder& b, const Pullback& p) {                    \
    return pool_gradient<spatial>(b, p, op_grad_max_pool##spatial##d_backward());             \
  }                                                                                           \
  Gradients avg_pool##spatial##d_gradient(Builder& b, const Pullback& p) {                    \
    return pool_gradient<spatial>(b, p, op_grad_avg_pool##spatial##d_backward());             \
  }                                                                                           \
  }

POOL_GRADIENTS(1)
POOL_GRADIENTS(2)
POOL_GRADIENTS(3)

#define POOLS(spatial)                                                              \
  const OpDef& op_nn_max_pool##spatial##d() {                                       \
    static const OpDef def{.name = "nn.max_pool" #spatial "d",                      \
                           .args = {{"x"}},                                         \
                           .attrs = pool_attrs(spatial),                            \
                           .infer = infer_pool<spatial, true>,                      \
                           .lower = lower_pool<spatial, pool_rule<spatial, true>>,  \
                           .gradient = max_pool##spatial##d_gradient,               \
                           .doc = "the largest element of each window"};            \
    return def;                                                                     \
  }                                                                                 \
  const OpDef& op_nn_avg_pool##spatial##d() {                                       \
    static const OpDef def{.name = "nn.avg_pool" #spatial "d",                      \
                           .args = {{"x"}},                                         \
                           .attrs = pool_attrs(spatial),                            \
                           .infer = infer_pool<spatial, false>,                     \
                           .lower = lower_pool<spatial, pool_rule<spatial, false>>, \
                           .gradient = avg_pool##spatial##d_gradient,               \
                           .doc = "the mean of each window"};                       \
    return def;                                                                     \
  }                                                                                 \
  const OpDef& op_nn_adaptive_avg_pool##spatial##d() {                              \
    static const OpDef def{                                                         \
        .name = "nn.adaptive_avg_pool" #spatial "d",                                \
        .args = {{"x"}},                                                            \
        .attrs = {{"output_size", AttrKind::optional_integers, Attr()},             \
                  {"layout", AttrKind::string,                                      \
                   Attr(std::string(pool_layouts[spatial - 1][0].channels_first))}, \
                  {"out_layout", AttrKind::any, Attr()}},                           \
        .infer = infer_adaptive_pool<spatial>,                                      \
        .lower = lower_pool<spatial, adaptive_pool_rule<spatial>>,                  \
        .gradient = composed_gradient<compose_adaptive_pool<spatial>>,              \
        .doc = "the mean of each of output_size windows that cover the operand"};   \
    return def;                                                                     \
  }

POOLS(1)
POOLS(2)
POOLS(3)

}  // namespace repose
