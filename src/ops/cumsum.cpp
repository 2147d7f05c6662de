// cumsum: y[…, k, …] = sum of x[…, j, …] over j <= k along `axis`; cumprod: the product.
//   C1: the operand is a number; `axis` is one of its axes (None: the operand has rank 1).
//   C2: the result has the operand's shape, and its dtype unless `dtype` is given. float16 and
//       bfloat16 accumulate in float32.
//   C3: `exclusive`: over j < k; `reverse`: from the end, over j >= k (exclusive: j > k).
// They run along the axis in order, so they lower to a tensor program instead of a tensor
// expression.
#include "ops/gradient.h"
#include "ops/loops.h"

namespace repose {

namespace {

Result<Type> infer_cumulative(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  if (call.attrs.find("axis")->is_none()) {
    REPOSE_REQUIRE(require_rank(context, call, 0, 1));
  } else if (x->rank >= 0) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);
    if (!axis.ok()) return axis.errors();
  }
  const DType out = call.attrs.get_dtype("dtype", dtype);
  if (out && !is_number_dtype(out)) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`{}` with dtype {}", call.op->name,
                 out.to_string());
  }
  if (!x->shape) return ranked_like(*x, x->rank, out);
  return tensor_like(*x, *x->shape, out);  // C2
}

size_t scan_axis(const graph::CallNode& call, int rank) {
  const int64_t axis = call.attrs.get_int("axis", 0);
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

// For shape arithmetic: each element as a sum of its own.
template <te::Reducer reducer>
std::vector<te::Tensor> cumulative_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const size_t axis = scan_axis(call, x.rank());
  const bool exclusive = call.attrs.get_bool("exclusive"), reverse = call.attrs.get_bool("reverse");
  const DType dtype = result_dtype(call);
  return {te::reduce(
      result_shape(call), reducer, {x.shape()[axis]},
      [&](const te::Indices& i, const te::Indices& k) {
        const Expr &low = reverse ? i[axis] : k[0], &high = reverse ? k[0] : i[axis];
        te::Indices at = i;
        at[axis] = k[0];
        return make_if_then_else(exclusive ? lt(low, high) : le(low, high),
                                 make_cast(dtype, x(std::move(at))),
                                 te::identity_of(reducer, dtype));
      },
      std::string(call.op->name))};
}

// for i…, k: y[i…, p] = (k = 0 ? 0 : y[i…, the position before]) + x[i…, p], p running along the
// axis; of products 1 and *.
template <te::Reducer reducer>
Result<graph::Value> lower_cumulative(Builder& b, const graph::CallNode& call) {
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);
  const TensorTypeNode* type = graph::tensor_of(call.args[0]);
  if (wide != dtype) {  // C2
    auto cast = [&](graph::Value v, DType to) {
      return graph::make_op_call(op_astype(), {std::move(v)}, Attrs{{"dtype", to}});
    };
    Attrs attrs = call.attrs;
    attrs.set("dtype", wide);
    return cast(graph::make_op_call(*call.op, {cast(call.args[0], wide)}, attrs), dtype);
  }
  const Dims& shape = *type->shape;
  const size_t axis = scan_axis(call, type->rank);
  const bool exclusive = call.attrs.get_bool("exclusive"), reverse = call.attrs.get_bool("reverse");
  const Buffer x = buffer_for(call.args[0], "x"), y = make_buffer("y", shape, dtype);
  // The axis is the innermost loop: nothing between two of its steps.
  std::vector<LoopAxis> axes;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (d != axis) axes.push_back({shape[d]});
  }
  axes.push_back({shape[axis], tir::IterKind::scan});
  const std::string name(call.op->name);
  tir::Stmt body = loop_nest(name, axes, {x, y}, y, [&](const te::Indices& i) {
    const Expr& step = i.back();
    const Expr nothing = te::identity_of(reducer, dtype);
    te::Indices at(i.begin(), i.end() - 1);
    at.insert(at.begin() + static_cast<int64_t>(axis), step);
    te::Indices before = at;
    if (reverse) at[axis] = shape[axis] - 1 - step;
    before[axis] = reverse ? Expr(shape[axis] - step) : Expr(step - 1);
    const Expr first = eq(step, make_int(0));
    auto added = [&](const te::Indices& index) { return make_cast(dtype, make_load(x, index)); };
    Expr value = exclusive
                     ? make_if_then_else(first, nothing,
                                         te::combine(reducer, make_load(y, before), added(before)))
                     : te::combine(reducer, make_if_then_else(first, nothing, make_load(y, before)),
                                   added(at));
    return Element{std::move(at), std::move(value)};
  });
  return emit_program(b, name, {call.args[0]}, {x}, y, std::move(body));
}

// The sums of g from the other end.
Gradients cumsum_gradient(Builder&, const Pullback& p) {
  Attrs attrs = p.call.attrs;
  attrs.set("reverse", Attr(!attrs.get_bool("reverse")));
  attrs.set("dtype", Attr());
  const graph::Value sums = graph::make_op_call(op_cumsum(), {p.gradients[0]}, attrs);
  const DType dtype = graph::tensor_of(p.call.args[0])->dtype;
  return std::vector<graph::Value>{dtype == result_dtype(p.call) ? sums : converted(sums, dtype)};
}

// For the gradient, which has no quotients by elements that may be 0: each product on its own, of
// the elements that belong to it and ones.
Result<graph::Value> compose_cumprod(Builder&, const graph::CallNode& call) {
  const Dims& shape = shape_of_arg(call, 0);
  const size_t axis = scan_axis(call, static_cast<int>(shape.size()));
  const bool exclusive = call.attrs.get_bool("exclusive"), reverse = call.attrs.get_bool("reverse");
  const Expr &extent = shape[axis], one = make_int(1);
  Dims places(shape.size() + 1, one), elements = places, rows = shape;
  places[axis] = extent;
  elements[axis + 1] = extent;
  rows.insert(rows.begin() + static_cast<int64_t>(axis), one);
  const graph::Value line = graph::make_op_call(op_arange(), {graph::make_prim(extent)},
                                                Attrs{{"dtype", Attr(dtypes::int64)}});
  const Formula place(reshaped(line, places), dtypes::int64);
  const Formula element(reshaped(line, elements), dtypes::int64);
  const Formula &low = reverse ? place : element, &high = reverse ? element : place;
  const Formula belongs = low < (exclusive ? high : high + 1);
  const DType dtype = result_dtype(call);
  graph::Value x = reshaped(call.args[0], rows);
  if (graph::tensor_of(call.args[0])->dtype != dtype) x = converted(x, dtype);
  const Formula factors = choose(belongs, {x, dtype}, scalar_constant(dtype, 1));
  return graph::make_op_call(
      op_prod(), {factors},
      Attrs{{"axis", Attr(std::vector<int64_t>{static_cast<int64_t>(axis) + 1})}});
}

}  // namespace

#define CUMULATIVE(op, reducer, derivative, text)                                   \
  const OpDef& op_##op() {                                                          \
    static const OpDef def{.name = #op,                                             \
                           .args = {{"x"}},                                         \
                           .attrs = {{"axis", AttrKind::optional_integer, Attr()},  \
                                     {"dtype", AttrKind::dtype_or_none, Attr()},    \
                                     {"exclusive", AttrKind::boolean, Attr(false)}, \
                                     {"reverse", AttrKind::boolean, Attr(false)}},  \
                           .infer = infer_cumulative,                               \
                           .lower = lower_cumulative<reducer>,                      \
                           .elements = te::elements<cumulative_rule<reducer>>,      \
                           .gradient = derivative,                                  \
                           .doc = text " along `axis`"};                            \
    return def;                                                                     \
  }

CUMULATIVE(cumsum, te::Reducer::sum, cumsum_gradient, "running sum")
CUMULATIVE(cumprod, te::Reducer::prod, composed_gradient<compose_cumprod>, "running product")

}  // namespace repose
