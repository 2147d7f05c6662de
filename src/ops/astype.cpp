// Elementwise operators of one tensor with parameters.
//   astype: y[i] = x[i] in another dtype.
//     C1: the result has the operand's shape and the dtype that is asked for. Floats become
//         integers by rounding to zero, saturating, NaN gives 0; integers wrap; to bool: is it
//         other than 0 (NaN is)?
//   wrap_param: the same of a parameter of the model, under TVM's name; float32 unless it is given.
//   bitcast: y[i] = the bits of x[i] as another dtype.
//     C1: both dtypes are as many bits wide, and neither is bool.
//   clip: y[i] = min(max(x[i], min), max); NaN stays.
//     C1: the operand is a number; the bounds are known prim values, which take its dtype; None:
//         no bound.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_astype(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const DType dtype = call.attrs.get_dtype("dtype");
  if (dtype.is_vector() || dtype.is_index() || dtype.is_handle()) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`astype`: no tensor has dtype {}",
                 dtype.to_string());
  }
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  return tensor_like(*x, *x->shape, dtype);  // C1
}

std::vector<te::Tensor> astype_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const DType dtype = call.attrs.get_dtype("dtype");
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        const Expr x = in[0](i);
        if (dtype.is_bool() && !x->dtype.is_bool()) return ne(x, make_const(x->dtype, 0));
        return make_cast(dtype, x);
      },
      "astype")};
}

Result<Type> infer_bitcast(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const DType dtype = call.attrs.get_dtype("dtype");
  auto is_number = [](DType t) { return t.is_float() || t.is_data_int(); };
  const bool is_scalar = is_number(dtype) && !dtype.is_vector();
  if (!is_scalar || (x->dtype && (!is_number(x->dtype) || x->dtype.bits != dtype.bits))) {
    return error(DiagnosticKind::dtype_mismatch, context.span(),  // C1
                 "`bitcast`: {} has not the width of {}", dtype.to_string(), x->dtype.to_string());
  }
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  return tensor_like(*x, *x->shape, dtype);
}

std::vector<te::Tensor> bitcast_rule(const graph::CallNode& call,
                                     const std::vector<te::Tensor>& in) {
  const DType dtype = call.attrs.get_dtype("dtype");
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        const Expr x = in[0](i);
        return x->dtype == dtype ? x : make_call(Intrinsic::reinterpret, dtype, {x});
      },
      "bitcast")};
}

Result<Type> infer_clip(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_number_dtype, "a number"));  // C1
  for (size_t i = 1; i < 3; ++i) {
    if (!has_arg(call, i) || prim_arg(call, i, dtype ? dtype : dtypes::float32)) continue;
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`clip`: the value of operand {} (`{}`) is not known", i, call.op->args[i].name);
  }
  if (!x->shape) return ranked_like(*x, x->rank, dtype);
  return tensor_like(*x, *x->shape, dtype);
}

std::vector<te::Tensor> clip_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const Expr low = prim_arg(call, 1, in[0].dtype()), high = prim_arg(call, 2, in[0].dtype());
  return {te::compute(
      in[0].shape(),
      [&](const te::Indices& i) {
        Expr x = in[0](i);
        if (low) x = max(x, low);
        return high ? min(x, high) : x;
      },
      "clip")};
}

Gradients astype_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{
      converted(p.gradients[0], graph::tensor_of(p.call.args[0])->dtype)};
}

// Where x is a bound it counts as inside.
Gradients clip_gradient(Builder&, const Pullback& p) {
  const Formula x = p.call.args[0], g = p.gradients[0];
  const Formula inside = is_equal(x, Formula(p.result));
  return std::vector<graph::Value>{choose(inside, g, scalar_constant(g.dtype(), 0)), nullptr,
                                   nullptr};
}

}  // namespace

const OpDef& op_astype() {
  static const OpDef def{.name = "astype",
                         .args = {{"x"}},
                         .attrs = {{"dtype", AttrKind::dtype}},
                         .infer = infer_astype,
                         .lower = te::lower<astype_rule>,
                         .elements = te::elements<astype_rule>,
                         .gradient = astype_gradient,
                         .doc = "the same values in another dtype"};
  return def;
}

const OpDef& op_wrap_param() {
  static const OpDef def{.name = "wrap_param",
                         .args = {{"param"}},
                         .attrs = {{"dtype", AttrKind::dtype, Attr(dtypes::float32)}},
                         .infer = infer_astype,
                         .lower = te::lower<astype_rule>,
                         .elements = te::elements<astype_rule>,
                         .gradient = astype_gradient,
                         .doc = "a parameter of the model in another dtype"};
  return def;
}

const OpDef& op_bitcast() {
  static const OpDef def{.name = "bitcast",
                         .args = {{"x"}},
                         .attrs = {{"dtype", AttrKind::dtype}},
                         .infer = infer_bitcast,
                         .lower = te::lower<bitcast_rule>,
                         .elements = te::elements<bitcast_rule>,
                         .doc = "the same bits in another dtype"};
  return def;
}

const OpDef& op_clip() {
  static const OpDef def{
      .name = "clip",
      .args = {{"x"}, {"min", ArgKind::prim, true}, {"max", ArgKind::prim, true}},
      .infer = infer_clip,
      .lower = te::lower<clip_rule>,
      .elements = te::elements<clip_rule>,
      .gradient = clip_gradient,
      .doc = "values below min become min, then values above max become max"};
  return def;
}

}  // namespace repose
