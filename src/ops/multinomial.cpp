// multinomial_from_uniform: samples of distributions: y[i, 0] is the first class j whose
// probabilities prob[sample_indices[i, 0], 0 … j] come to more than uniform_sample[i, 0].
//   C1: prob is a float of shape (batch, classes), uniform_sample one of shape (n, 1); the
//       sample_indices are integers of that shape, checked as `take` checks them. The result has
//       that shape, and an integer dtype.
//   C2: it is the last class where none comes to more, by rounding for example.
#include "ops/formula.h"
#include "ops/ops.h"

namespace repose {

namespace {

graph::Value compose_multinomial(const graph::CallNode& call) {
  const Dims &prob = *graph::tensor_of(call.args[0])->shape,
             &sample = *graph::tensor_of(call.args[1])->shape;
  const DType dtype = call.attrs.get_dtype("dtype");
  const graph::Value sums =
      graph::make_op_call(op_cumsum(), {call.args[0]}, Attrs{{"axis", Attr(1)}});
  const graph::Value rows = graph::make_op_call(
      op_take(), {sums, reshaped(call.args[2], {sample[0]})}, Attrs{{"axis", Attr(0)}});
  const graph::Value level = converted(call.args[1], graph::tensor_of(call.args[0])->dtype);
  const Formula passed(
      converted(graph::make_op_call(op_less_equal(), {rows, level}), dtypes::int64), dtypes::int64);
  const Formula last = number_of(canonical(prob[1] - 1), dtypes::int64);
  return converted(apply_op(op_minimum(), sum_over(passed, {1}), last), dtype);
}

Result<Type> infer_multinomial(InferContext& context, const graph::CallNode& call) {
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) {  // C1
    auto fits = i < 2 ? dtype_arg(context, call, i, is_float_dtype, "a float")
                      : dtype_arg(context, call, i, is_integer_dtype, "an integer");
    if (!fits.ok()) return fits.errors();
    REPOSE_REQUIRE(require_rank(context, call, i, 2));
  }
  const DType dtype = call.attrs.get_dtype("dtype");
  if (!is_integer_dtype(dtype)) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}` with dtype {}, expected an integer", call.op->name, dtype.to_string());
  }
  REPOSE_TRY(prob, tensor_arg(context, call, 0));
  if (!has_shapes(call)) return ranked_like(*prob, 2, dtype);
  const Dims &sample = *graph::tensor_of(call.args[1])->shape,
             &rows = *graph::tensor_of(call.args[2])->shape;
  REPOSE_REQUIRE(require_equal(context, call.op->name, rows[0], "dimension 0 of operand 2",
                               sample[0], "dimension 0 of operand 1"));
  for (const auto& [dim, what] : {std::pair(sample[1], "dimension 1 of operand 1"),
                                  std::pair(rows[1], "dimension 1 of operand 2")}) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, dim, what, make_int(1), "1"));
  }
  REPOSE_REQUIRE(context.require(le(make_int(1), (*prob->shape)[1]),
                                 "`multinomial_from_uniform` of {0} classes", {(*prob->shape)[1]}));
  auto stated = composite_type(context, compose_multinomial(call));
  if (!stated.ok()) return stated.errors();
  return tensor_like(*prob, {sample[0], make_int(1)}, dtype);
}

}  // namespace

const OpDef& op_multinomial_from_uniform() {
  static const OpDef def{.name = "multinomial_from_uniform",
                         .args = {{"prob"}, {"uniform_sample"}, {"sample_indices"}},
                         .attrs = {{"dtype", AttrKind::dtype, Attr(dtypes::int64)}},
                         .infer = infer_multinomial,
                         .lower = lower_composite<compose_multinomial>,
                         .doc =
                             "classes drawn from the distributions in the rows of `prob`, by "
                             "numbers of a uniform distribution"};
  return def;
}

}  // namespace repose
