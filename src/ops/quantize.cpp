// Between floats and integers of few bits, with a scale and a zero point, one for all elements or
// one for each index of `axis`.
//   quantize: round(x / scale) + zero_point, halves to even, clamped to the dtype's range.
//     C1: x is a float; the scale has its dtype; the zero point is an integer.
//     C2: scale and zero point have rank 0, or one of them or both rank 1 with x's extent along
//         `axis`, or 1.
//     C3: `out_dtype` is an integer of at most 16 bits.
//   dequantize: scale * (x - zero_point).
//     C4: x is an integer of at most 32 bits; scale and zero point are as above, and the scale is a
//         float; `out_dtype` is a float.
//   Both compute in float32 at least, and int64.
#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

// C2
Result<void> check_parameters(InferContext& context, const graph::CallNode& call) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  for (size_t k = 1; k < 3; ++k) {
    REPOSE_TRY(t, tensor_arg(context, call, k));
    if (t->rank > 1) {
      return error(DiagnosticKind::rank_mismatch, context.span(),
                   "`{}`: operand {} has rank {}, expected 0 or 1", call.op->name, k, t->rank);
    }
    if (t->rank != 1 || x->rank < 0) continue;
    REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
    if (!t->shape || !x->shape) continue;
    const Expr &have = (*t->shape)[0], &want = (*x->shape)[static_cast<size_t>(axis)];
    REPOSE_REQUIRE(context.require(
        logical_or(eq(have, want), eq(have, make_int(1))),
        fmt::format("`{}`: operand {} has {{0}} elements, dimension {} of operand 0 is {{1}}",
                    call.op->name, k, axis),
        {have, want}));
  }
  return {};
}

Result<Type> quantized_type(InferContext& context, const graph::CallNode& call, bool valid) {
  const DType out = call.attrs.get_dtype("out_dtype");
  if (!valid) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`{}` with out_dtype {}",
                 call.op->name, out.to_string());
  }
  REPOSE_REQUIRE(check_parameters(context, call));
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  return x->shape ? tensor_like(*x, *x->shape, out) : ranked_like(*x, x->rank, out);
}

bool is_small_integer(DType t) {
  return is_integer_dtype(t) && t.bits <= 32;
}

Result<Type> infer_quantize(InferContext& context, const graph::CallNode& call) {
  auto dtype = dtype_arg(context, call, 0, is_float_dtype, "a float");  // C1
  if (!dtype.ok()) return dtype.errors();
  auto same = common_dtype(context, call, 0, 1);
  if (!same.ok()) return same.errors();
  auto integer = dtype_arg(context, call, 2, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  const DType out = call.attrs.get_dtype("out_dtype");
  return quantized_type(context, call, is_integer_dtype(out) && out.bits <= 16);  // C3
}

Result<Type> infer_dequantize(InferContext& context, const graph::CallNode& call) {
  auto dtype = dtype_arg(context, call, 0, is_small_integer,  // C4
                         "an integer of at most 32 bits");
  if (!dtype.ok()) return dtype.errors();
  auto scale = dtype_arg(context, call, 1, is_float_dtype, "a float");
  if (!scale.ok()) return scale.errors();
  auto integer = dtype_arg(context, call, 2, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  return quantized_type(context, call, is_float_dtype(call.attrs.get_dtype("out_dtype")));
}

// The element of a parameter that belongs to the element `i` of x.
Expr parameter(const graph::CallNode& call, const te::Tensor& x, const te::Tensor& t,
               const te::Indices& i) {
  if (t.rank() == 0) return t(te::Indices{});
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
  return t(broadcast_index(t.shape()[0], x.shape()[axis], i[axis]));
}

std::vector<te::Tensor> quantize_rule(const graph::CallNode& call,
                                      const std::vector<te::Tensor>& in) {
  const DType dtype = result_dtype(call), wide = accumulator_dtype(in[0].dtype());
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const Expr scale = make_cast(wide, parameter(call, in[0], in[1], i));
        const Expr zero = make_cast(wide, parameter(call, in[0], in[2], i));
        const Expr steps = make_binary(ExprKind::div, make_cast(wide, in[0](i)), scale);
        return make_cast(dtype, make_call(Intrinsic::round, steps) + zero);  // saturates
      },
      "quantize")};
}

std::vector<te::Tensor> dequantize_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const Expr zero = make_cast(dtypes::int64, parameter(call, in[0], in[2], i));
        const Expr steps = make_cast(dtypes::int64, in[0](i)) - zero;
        const Expr scale = make_cast(wide, parameter(call, in[0], in[1], i));
        return make_cast(dtype, make_cast(wide, steps) * scale);
      },
      "dequantize")};
}

}  // namespace

const OpDef& op_quantize() {
  static const OpDef def{.name = "quantize",
                         .args = {{"x"}, {"scale"}, {"zero_point"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)},
                                   {"out_dtype", AttrKind::dtype, Attr(dtypes::int8)}},
                         .infer = infer_quantize,
                         .lower = te::lower<quantize_rule>,
                         .doc =
                             "round(x / scale) + zero_point, clamped to the dtype's range; "
                             "parameters are scalars, or vectors along `axis`"};
  return def;
}

const OpDef& op_dequantize() {
  static const OpDef def{.name = "dequantize",
                         .args = {{"x"}, {"scale"}, {"zero_point"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(-1)},
                                   {"out_dtype", AttrKind::dtype, Attr(dtypes::float32)}},
                         .infer = infer_dequantize,
                         .lower = te::lower<dequantize_rule>,
                         .doc =
                             "scale * (x - zero_point); parameters are scalars, or vectors along "
                             "`axis`"};
  return def;
}

}  // namespace repose
