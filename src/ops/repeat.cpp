// repeat: each element of x `repeats` times in a row along `axis` (None: of x flattened).
//   C1: `axis` is one of x's axes; `repeats` is at least 0.
//   C2: the result's extent along the axis is x's times `repeats`.
// flip: x with its elements along `axis` in reverse order.
//   C3: `axis` is one of x's axes; the result has x's type.
#include "ops/gradient.h"
#include "ops/loops.h"

namespace repose {

namespace {

size_t moved_axis(const graph::CallNode& call, int rank) {
  const int64_t axis = call.attrs.get_int("axis");
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

Result<Type> infer_repeat(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const int64_t repeats = call.attrs.get_int("repeats");
  if (repeats < 0) {  // C1
    return error(DiagnosticKind::bad_attribute, context.span(), "`repeat`: {} repeats", repeats);
  }
  if (call.attrs.find("axis")->is_none()) {
    if (!x->shape) return ranked_like(*x, 1, x->dtype);
    return tensor_like(*x, {canonical(element_count(*x->shape) * repeats)}, x->dtype);
  }
  if (x->rank < 0) return ranked_like(*x, -1, x->dtype);
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  Dims out = *x->shape;
  out[static_cast<size_t>(axis)] = canonical(out[static_cast<size_t>(axis)] * repeats);  // C2
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> repeat_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const bool flat = call.attrs.find("axis")->is_none();
  const size_t axis = flat ? 0 : moved_axis(call, in[0].rank());
  const Expr repeats = make_int(std::max<int64_t>(call.attrs.get_int("repeats"), 1));
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices source = i;
        source[axis] = floor_div(i[axis], repeats);
        return in[0](flat ? row_major_indices(source[0], in[0].shape()) : source);
      },
      "repeat")};
}

Result<graph::Value> lower_repeat(Builder& b, const graph::CallNode& call) {
  if (!call.attrs.find("axis")->is_none()) return te::lower<repeat_rule>(b, call);
  Attrs attrs = call.attrs;
  attrs.set("axis", Attr(0));
  return graph::make_op_call(op_repeat(), {graph::make_op_call(op_flatten(), {call.args[0]})},
                             attrs);
}

Gradients repeat_gradient(Builder& b, const Pullback& p) {
  if (p.call.attrs.find("axis")->is_none()) return composed_gradient<lower_repeat>(b, p);
  const Dims& x = shape_of_arg(p.call, 0);
  const size_t axis = moved_axis(p.call, static_cast<int>(x.size()));
  Dims pairs = x;
  pairs.insert(pairs.begin() + static_cast<int64_t>(axis) + 1,
               make_int(p.call.attrs.get_int("repeats")));
  const Formula g(reshaped(p.gradients[0], pairs), result_dtype(p.call));
  return std::vector<graph::Value>{reshaped(sum_over(g, {static_cast<int>(axis) + 1}), x)};
}

Result<Type> infer_flip(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (x->rank >= 0) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);  // C3
    if (!axis.ok()) return axis.errors();
  }
  return x->shape ? tensor_like(*x, *x->shape, x->dtype) : ranked_like(*x, x->rank, x->dtype);
}

std::vector<te::Tensor> flip_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const size_t axis = moved_axis(call, in[0].rank());
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices source = i;
        source[axis] = in[0].shape()[axis] - 1 - i[axis];
        return in[0](std::move(source));
      },
      "flip")};
}

Gradients flip_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{graph::make_op_call(op_flip(), {p.gradients[0]}, p.call.attrs)};
}

}  // namespace

const OpDef& op_repeat() {
  static const OpDef def{
      .name = "repeat",
      .args = {{"x"}},
      .attrs = {{"repeats", AttrKind::integer}, {"axis", AttrKind::optional_integer, Attr()}},
      .infer = infer_repeat,
      .lower = lower_repeat,
      .elements = te::elements<repeat_rule>,
      .gradient = repeat_gradient,
      .doc =
          "each element `repeats` times in a row along `axis` (None: of x "
          "flattened)"};
  return def;
}

const OpDef& op_flip() {
  static const OpDef def{.name = "flip",
                         .args = {{"x"}},
                         .attrs = {{"axis", AttrKind::integer}},
                         .infer = infer_flip,
                         .lower = te::lower<flip_rule>,
                         .elements = te::elements<flip_rule>,
                         .gradient = flip_gradient,
                         .doc = "x with its elements along `axis` in reverse order"};
  return def;
}

}  // namespace repose
