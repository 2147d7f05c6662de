// nn.pixel_shuffle: y[…, c, h, w] = x[…, (c * r + h % r) * r + w % r, h // r, w // r], r being
// `upscale_factor`.
//   C1: x has rank 3 or more; r is at least 1.
//   C2: r * r divides x's third last dimension.
// nn.batch_flatten: all dimensions but the first as one.
//   C3: x has rank 1 or more.
// nn.dropout: what it is in inference: the tuple of x, and ones in x's type (nothing is dropped).
//   C4: the rate is in [0, 1).
#include "ops/gradient.h"
#include "ops/loops.h"

namespace repose {

namespace {

Result<Type> infer_pixel_shuffle(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const int64_t factor = call.attrs.get_int("upscale_factor");
  if (factor < 1 || factor > 65536) {  // C1
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`nn.pixel_shuffle`: the factor is {}, expected 1 to 65536", factor);
  }
  if (x->rank >= 0 && x->rank < 3) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`nn.pixel_shuffle`: operand 0 has rank {}, expected at least 3", x->rank);
  }
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  Dims out = *x->shape;
  Expr& channels = out[out.size() - 3];
  const Expr parts = make_int(factor * factor);
  REPOSE_REQUIRE(context.require(  // C2
      eq(floor_mod(channels, parts), make_int(0)),
      fmt::format("`nn.pixel_shuffle`: {{0}} channels are not divided by {}", factor * factor),
      {channels}));
  channels = simplify(floor_div(channels, parts), context.facts());
  for (size_t d = out.size() - 2; d < out.size(); ++d) out[d] = canonical(out[d] * factor);
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> pixel_shuffle_rule(const graph::CallNode& call,
                                           const std::vector<te::Tensor>& in) {
  const Expr r = make_int(call.attrs.get_int("upscale_factor"));
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const size_t c = i.size() - 3;
        te::Indices source = i;
        source[c] = (i[c] * r + floor_mod(i[c + 1], r)) * r + floor_mod(i[c + 2], r);
        source[c + 1] = floor_div(i[c + 1], r);
        source[c + 2] = floor_div(i[c + 2], r);
        return in[0](std::move(source));
      },
      "pixel_shuffle")};
}

// x as (c, r, r, h, w) is the result as (c, h, r, w, r), in its last dimensions.
Gradients pixel_shuffle_gradient(Builder&, const Pullback& p) {
  const Dims &x = shape_of_arg(p.call, 0), &y = result_shape(p.call);
  const Expr r = make_int(p.call.attrs.get_int("upscale_factor"));
  const auto c = static_cast<int64_t>(x.size()) - 3;
  Dims shape(y.begin(), y.begin() + c + 1);
  for (int64_t d = c + 1; d < c + 3; ++d) {
    shape.push_back(x[static_cast<size_t>(d)]);
    shape.push_back(r);
  }
  std::vector<int64_t> axes;
  for (int64_t d = 0; d <= c; ++d) axes.push_back(d);
  for (int64_t d : {2, 4, 1, 3}) axes.push_back(c + d);
  return std::vector<graph::Value>{reshaped(permuted(reshaped(p.gradients[0], shape), axes), x)};
}

Result<Type> infer_batch_flatten(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (x->rank == 0) {  // C3
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`nn.batch_flatten`: operand 0 has rank 0, expected at least 1");
  }
  if (!x->shape) return ranked_like(*x, 2, x->dtype);
  return tensor_like(*x, {(*x->shape)[0], element_count(without(*x->shape, 0))}, x->dtype);
}

Result<graph::Value> lower_batch_flatten(Builder&, const graph::CallNode& call) {
  return reshaped(call.args[0], result_shape(call));
}

graph::Value compose_dropout(const graph::CallNode& call) {
  return graph::make_tuple({call.args[0], graph::make_op_call(op_ones_like(), {call.args[0]})});
}

Result<Type> infer_dropout(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  auto dtype = dtype_arg(context, call, 0, is_float_dtype, "a float");
  if (!dtype.ok()) return dtype.errors();
  const double rate = call.attrs.get_float("rate");
  if (!(rate >= 0 && rate < 1)) {  // C4
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`nn.dropout`: the rate is {}, expected 0 or more, and less than 1", rate);
  }
  const Type type =
      x->shape ? tensor_like(*x, *x->shape, x->dtype) : ranked_like(*x, x->rank, x->dtype);
  return tuple_type({type, type});
}

}  // namespace

const OpDef& op_nn_pixel_shuffle() {
  static const OpDef def{.name = "nn.pixel_shuffle",
                         .args = {{"x"}},
                         .attrs = {{"upscale_factor", AttrKind::integer}},
                         .infer = infer_pixel_shuffle,
                         .lower = te::lower<pixel_shuffle_rule>,
                         .gradient = pixel_shuffle_gradient,
                         .doc =
                             "channels as the pixels of an image that is `upscale_factor` times "
                             "as high and as wide"};
  return def;
}

const OpDef& op_nn_batch_flatten() {
  static const OpDef def{.name = "nn.batch_flatten",
                         .args = {{"x"}},
                         .infer = infer_batch_flatten,
                         .lower = lower_batch_flatten,
                         .gradient = composed_gradient<lower_batch_flatten>,
                         .doc = "all dimensions but the first as one; a view"};
  return def;
}

const OpDef& op_nn_dropout() {
  static const OpDef def{.name = "nn.dropout",
                         .args = {{"x"}},
                         .attrs = {{"rate", AttrKind::number, Attr(0.5)}},
                         .infer = infer_dropout,
                         .lower = lower_composite<compose_dropout>,
                         .gradient = composed_gradient<lower_composite<compose_dropout>>,
                         .doc = "in inference: a tuple of x and a mask of ones"};
  return def;
}

}  // namespace repose
