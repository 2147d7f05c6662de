// Losses.
//   nn.cross_entropy_with_logits: -sum(predictions * labels), divided by the batch (dimension 0)
//   where the rank is above 1.
//     C1: both are floats of one dtype, one shape and a rank of at least 1.
//   nn.nll_loss: the negative log likelihood: each target t of predictions[n, :, d…] gives
//   -weights[t] * predictions[n, t, d…], or 0 where t is `ignore_index`.
//     C2: the predictions are (n, c, d…), or (c,) for a single target, a float; the targets are
//         integers of shape (n, d…), or of rank 0; the weights (1 where they are left out) have the
//         shape (c,) and the predictions' dtype.
//     C3: the reduction is "none": the losses; "sum": their sum; or "mean": that divided by the sum
//         of the weights of all targets that aren't ignored.
//     C4: a target outside of [0, c) that isn't ignored is an error at run time. float16 and
//         bfloat16 compute in float32.
#include "ops/gradient.h"

namespace repose {

namespace {

graph::Value compose_cross_entropy(const graph::CallNode& call) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  const graph::Value sum = graph::make_op_call(
      op_sum(), {graph::make_op_call(op_multiply(), {call.args[0], call.args[1]})});
  graph::Value loss = graph::make_op_call(op_negative(), {sum});
  if (x->rank == 1) return loss;
  const graph::Value batch = reshaped(
      graph::make_op_call(op_shape_to_tensor(), {graph::make_shape({(*x->shape)[0]})}), {});
  return graph::make_op_call(op_divide(), {loss, converted(batch, x->dtype)});
}

Result<Type> infer_cross_entropy(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 1));  // C1
  auto is_float = dtype_arg(context, call, 0, is_float_dtype, "a float");
  if (!is_float.ok()) return is_float.errors();
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(labels, tensor_arg(context, call, 1));
  if (x->rank == 0) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`{}`: operand 0 has rank 0, expected at least 1", call.op->name);
  }
  if (x->rank >= 0) REPOSE_REQUIRE(require_rank(context, call, 1, x->rank));
  for (size_t d = 0; x->shape && labels->shape && d < x->shape->size(); ++d) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*x->shape)[d],
                                 fmt::format("dimension {} of operand 0", d), (*labels->shape)[d],
                                 fmt::format("dimension {} of operand 1", d)));
  }
  return tensor_like(*x, {}, dtype);
}

Result<void> check_nll_shapes(InferContext& context, const graph::CallNode& call) {
  const Dims& x = *graph::tensor_of(call.args[0])->shape;
  const TensorTypeNode* targets = graph::tensor_of(call.args[1]);
  const size_t channel = x.size() == 1 ? 0 : 1;
  if (has_arg(call, 2)) {
    if (const TensorTypeNode* weights = graph::tensor_of(call.args[2]); weights->shape) {
      REPOSE_REQUIRE(require_equal(context, call.op->name, (*weights->shape)[0],
                                   "the number of weights", x[channel],
                                   fmt::format("dimension {} of operand 0", channel)));
    }
  }
  for (size_t d = 0; targets->shape && d < targets->shape->size(); ++d) {
    const size_t from = d == 0 ? 0 : d + 1;
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*targets->shape)[d],
                                 fmt::format("dimension {} of operand 1", d), x[from],
                                 fmt::format("dimension {} of operand 0", from)));
  }
  return {};
}

Result<Type> infer_nll_loss(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C2
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(targets, tensor_arg(context, call, 1));
  if (has_arg(call, 2)) {
    auto same = common_dtype(context, call, 0, 2);
    if (!same.ok()) return same.errors();
    REPOSE_REQUIRE(require_rank(context, call, 2, 1));
  }
  const std::string reduction = call.attrs.get_string("reduction");
  if (reduction != "none" && reduction != "sum" && reduction != "mean") {  // C3
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`nn.nll_loss`: reduction is \"{}\", expected \"none\", \"sum\" or \"mean\"",
                 reduction);
  }
  if (x->rank == 0) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`nn.nll_loss`: operand 0 has rank 0, expected at least 1");
  }
  if (x->rank > 0) REPOSE_REQUIRE(require_rank(context, call, 1, x->rank - 1));
  if (x->shape) REPOSE_REQUIRE(check_nll_shapes(context, call));
  if (reduction != "none") return tensor_like(*x, {}, dtype);
  if (targets->shape) return tensor_like(*targets, *targets->shape, dtype);
  return ranked_like(*targets, targets->rank, dtype);
}

std::vector<te::Tensor> nll_loss_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &targets = in[1];
  const DType dtype = x.dtype(), wide = accumulator_dtype(dtype);  // C4
  const size_t channel = x.rank() == 1 ? 0 : 1;
  const Expr ignored = make_int(call.attrs.get_int("ignore_index"));
  auto target = [&](const te::Indices& i) { return make_cast(dtypes::index, targets(i)); };
  auto checked = [&](const te::Indices& i) {
    return make_call(Intrinsic::check_index, dtypes::index,
                     {target(i), x.shape()[channel], make_string("nn.nll_loss")});
  };
  // `value`, or 0 where the target is ignored.
  auto counted = [&](const te::Indices& i, Expr value) {
    return make_if_then_else(eq(target(i), ignored), make_const(wide, 0), std::move(value));
  };
  auto weight = [&](const te::Indices& i) {
    return in.size() > 2 ? make_cast(wide, in[2](checked(i))) : make_const(wide, 1);
  };
  auto loss = [&](const te::Indices& i) {
    te::Indices at = i;
    at.insert(at.begin() + static_cast<int64_t>(channel), checked(i));
    const Expr value = make_const(wide, 0) - make_cast(wide, x(std::move(at)));
    return counted(i, in.size() > 2 ? value * weight(i) : value);
  };
  const std::string reduction = call.attrs.get_string("reduction");
  if (reduction == "none") {
    return {te::compute(
        targets.shape(), [&](const te::Indices& i) { return make_cast(dtype, loss(i)); },
        "nll_loss")};
  }
  auto sum_of = [&](const std::function<Expr(const te::Indices&)>& f, const char* name) {
    if (targets.rank() == 0) {
      return te::compute({}, [&](const te::Indices& i) { return f(i); }, name);
    }
    return te::reduce(
        {}, te::Reducer::sum, targets.shape(),
        [&](const te::Indices&, const te::Indices& k) { return f(k); }, name);
  };
  const te::Tensor total = sum_of(loss, "nll_loss_sum");
  if (reduction == "sum") return {cast_stage(total, dtype)};
  const te::Tensor weights =
      sum_of([&](const te::Indices& i) { return counted(i, weight(i)); }, "nll_loss_weights");
  return {te::compute(
      {},
      [&](const te::Indices& i) {
        return make_cast(dtype, make_binary(ExprKind::div, total(i), weights(i)));
      },
      "nll_loss")};
}

// nn.nll_loss as a formula over one_hot, which has a gradient: ignored targets have the weight 0.
Result<graph::Value> compose_nll_loss(Builder&, const graph::CallNode& call) {
  const Dims &shape = shape_of_arg(call, 0), &targets = shape_of_arg(call, 1);
  const int channel = shape.size() == 1 ? 0 : 1;
  const Formula x = call.args[0], zero = scalar_constant(x.dtype(), 0);
  const graph::Value ignored = graph::make_constant(make_scalar_array(
      Scalar::of_int(call.attrs.get_int("ignore_index"), graph::tensor_of(call.args[1])->dtype)));
  Dims kept = targets;
  kept.insert(kept.begin() + channel, make_int(1));
  const Formula is_ignored(reshaped(graph::make_op_call(op_equal(), {call.args[1], ignored}), kept),
                           dtypes::boolean);
  const Formula hot(graph::make_op_call(op_one_hot(),
                                        {call.args[1], graph::make_prim(make_float(1, x.dtype())),
                                         graph::make_prim(make_float(0, x.dtype())),
                                         graph::make_prim(shape[static_cast<size_t>(channel)])},
                                        Attrs{{"axis", Attr(static_cast<int64_t>(channel))}}),
                    x.dtype());
  Formula weight = choose(is_ignored, zero, hot);
  if (has_arg(call, 2)) {
    Dims ones(shape.size(), make_int(1));
    ones[static_cast<size_t>(channel)] = shape[static_cast<size_t>(channel)];
    weight = weight * Formula(reshaped(call.args[2], ones), x.dtype());
  }
  const Formula losses = -(x * weight);
  const std::string reduction = call.attrs.get_string("reduction");
  if (reduction == "none") {
    return graph::make_op_call(op_sum(), {losses},
                               Attrs{{"axis", Attr(std::vector<int64_t>{channel})}});
  }
  const Formula total = apply_op(op_sum(), losses);
  return graph::Value(reduction == "sum" ? total : total / apply_op(op_sum(), weight));
}

}  // namespace

const OpDef& op_nn_cross_entropy_with_logits() {
  static const OpDef def{.name = "nn.cross_entropy_with_logits",
                         .args = {{"predictions"}, {"labels"}},
                         .infer = infer_cross_entropy,
                         .lower = lower_composite<compose_cross_entropy>,
                         .gradient = composed_gradient<lower_composite<compose_cross_entropy>>,
                         .doc =
                             "-sum(predictions * labels), divided by the batch where the rank is "
                             "above 1"};
  return def;
}

const OpDef& op_nn_nll_loss() {
  static const OpDef def{
      .name = "nn.nll_loss",
      .args = {{"predictions"}, {"targets"}, {"weights", ArgKind::tensor, true}},
      .attrs = {{"reduction", AttrKind::string, Attr("mean")},
                {"ignore_index", AttrKind::integer, Attr(-100)}},
      .infer = infer_nll_loss,
      .lower = te::lower<nll_loss_rule>,
      .gradient = composed_gradient<compose_nll_loss>,
      .doc =
          "negative log likelihood of targets, weighted; their mean, their sum or all (\"none\")"};
  return def;
}

}  // namespace repose
