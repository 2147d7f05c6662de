// Tensors made from shapes and scalars.
//   full: every element is the fill value; zeros, ones.
//     C1: the fill value is a tensor of rank 0; the dtype is its, unless one is given.
//     C2: no dimension is negative.
//   zeros_like, ones_like, full_like: the same with the shape of an operand.
//     C3: the dtype is the operand's, unless one is given.
//   arange: start, start + step, … before end.
//     C4: the operands are known prim values; `arange(n)` is 0, 1, … n - 1. Floats must be
//         constants.
//     C5: the step is not 0, and its sign is known.
//     C6: the extent is max(0, ceil((end - start) / step)); the dtype, unless one is given, is
//         int64, or float32 where an operand is a float.
#include <cmath>

#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_filled(InferContext& context, const graph::CallNode& call, DType dtype) {
  const Dims* shape = shape_arg(call, 0);
  if (!shape) return tensor_type_of_rank(as<ShapeTypeNode>(call.args[0]->type)->rank, dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));  // C2
  return tensor_type(*shape, dtype);
}

Result<Type> infer_full(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(fill, tensor_arg(context, call, 1));
  REPOSE_REQUIRE(require_rank(context, call, 1, 0));  // C1
  return infer_filled(context, call, call.attrs.get_dtype("dtype", fill->dtype));
}

Result<Type> infer_constant(InferContext& context, const graph::CallNode& call) {
  return infer_filled(context, call, call.attrs.get_dtype("dtype", dtypes::float32));
}

std::vector<te::Tensor> full_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const DType dtype = result_dtype(call);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices&) { return make_cast(dtype, in[0](te::Indices{})); }, "full")};
}

template <int value>
std::vector<te::Tensor> constant_rule(const graph::CallNode& call, const std::vector<te::Tensor>&) {
  return {te::compute(
      result_shape(call), [&](const te::Indices&) { return make_const(result_dtype(call), value); },
      std::string(call.op->name))};
}

Result<Type> infer_like(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (call.args.size() > 1) REPOSE_REQUIRE(require_rank(context, call, 1, 0));  // C1
  const DType dtype = call.attrs.get_dtype("dtype", x->dtype);                  // C3
  return x->shape ? tensor_like(*x, *x->shape, dtype) : ranked_like(*x, x->rank, dtype);
}

// By the operator that takes a shape: nothing reads the operand.
Result<graph::Value> lower_like(const OpDef& op, const graph::CallNode& call) {
  std::vector<graph::Value> args{graph::make_shape(result_shape(call))};
  args.insert(args.end(), call.args.begin() + 1, call.args.end());
  return graph::make_op_call(op, std::move(args), Attrs{{"dtype", Attr(result_dtype(call))}});
}
Result<graph::Value> lower_zeros_like(Builder&, const graph::CallNode& call) {
  return lower_like(op_zeros(), call);
}
Result<graph::Value> lower_ones_like(Builder&, const graph::CallNode& call) {
  return lower_like(op_ones(), call);
}
Result<graph::Value> lower_full_like(Builder&, const graph::CallNode& call) {
  return lower_like(op_full(), call);
}

std::vector<te::Tensor> full_like_rule(const graph::CallNode& call,
                                       const std::vector<te::Tensor>& in) {
  return full_rule(call, {in[1]});
}

// The operands of arange in full; a null start: one of them is not known.
struct Progression {
  Expr start, end, step;
  bool is_float = false;
};

Progression progression(const graph::CallNode& call) {
  Expr given[3];
  bool is_float = false;
  for (size_t i = 0; i < 3; ++i) {
    if (!has_arg(call, i)) continue;
    const auto* type = as<PrimTypeNode>(call.args[i]->type);
    if (!type->value) return {};
    given[i] = type->value;
    is_float = is_float || type->value->dtype.is_float();
  }
  const DType dtype = is_float ? dtypes::float64 : dtypes::index;
  for (Expr& e : given) {
    if (e) e = make_cast(dtype, e);
  }
  if (!given[1]) {
    given[1] = given[0];
    given[0] = make_const(dtype, 0);
  }
  if (!given[2]) given[2] = make_const(dtype, 1);
  return {given[0], given[1], given[2], is_float};
}

Result<Type> infer_arange(InferContext& context, const graph::CallNode& call) {
  const Progression p = progression(call);
  if (!p.start) {  // C4
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`arange`: the value of an operand is not known");
  }
  const DType dtype = call.attrs.get_dtype("dtype", p.is_float ? dtypes::float32 : dtypes::int64);
  if (p.is_float) {
    const auto *start = as<FloatImmNode>(p.start), *end = as<FloatImmNode>(p.end),
               *step = as<FloatImmNode>(p.step);
    if (!start || !end || !step) {
      return error(DiagnosticKind::unsupported_feature, context.span(),
                   "`arange`: operands that are floats must be constants");
    }
    const double extent = std::ceil((end->value - start->value) / step->value);
    if (step->value == 0 || !(std::abs(extent) < 1e15)) {  // C5
      return error(DiagnosticKind::bad_argument, context.span(), "`arange` from {} to {} by {}",
                   start->value, end->value, step->value);
    }
    return tensor_type({make_int(std::max<int64_t>(0, static_cast<int64_t>(extent)))}, dtype);
  }
  const Expr zero = make_int(0);
  const bool up = prove(lt(zero, p.step), context.facts()) == Truth::yes;
  if (!up && prove(lt(p.step, zero), context.facts()) != Truth::yes) {
    return sign_error(context.span(), call.op->name, fmt::format("step `{}`", to_string(p.step)),
                      p.step);
  }
  const Expr extent =
      up ? ceil_div(p.end - p.start, p.step) : ceil_div(p.start - p.end, zero - p.step);  // C6
  return tensor_type(
      {simplify(at_least(canonical(extent), zero, context.facts()), context.facts())}, dtype);
}

std::vector<te::Tensor> arange_rule(const graph::CallNode& call, const std::vector<te::Tensor>&) {
  const Progression p = progression(call);
  const DType dtype = result_dtype(call);
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        if (!p.is_float) return make_cast(dtype, p.start + i[0] * p.step);
        const DType exact = dtype.is_float() ? accumulator_dtype(dtype) : dtypes::float64;
        return make_cast(
            dtype, make_cast(exact, p.start) + make_cast(exact, i[0]) * make_cast(exact, p.step));
      },
      "arange")};
}

// Of a tensor of one value: into that value.
Gradients full_gradient(Builder&, const Pullback& p) {
  graph::Value sum = graph::make_op_call(op_sum(), {p.gradients[0]});
  const DType fill = graph::tensor_of(p.call.args[1])->dtype;
  if (fill != result_dtype(p.call)) sum = converted(sum, fill);
  return std::vector<graph::Value>{nullptr, sum};
}

}  // namespace

const OpDef& op_full() {
  static const OpDef def{
      .name = "full",
      .args = {{"shape", ArgKind::shape}, {"fill_value"}},
      .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
      .infer = infer_full,
      .lower = te::lower<full_rule>,
      .elements = te::elements<full_rule>,
      .gradient = full_gradient,
      .doc = "a tensor whose elements are all the fill value (a tensor of rank 0)"};
  return def;
}

const OpDef& op_zeros() {
  static const OpDef def{.name = "zeros",
                         .args = {{"shape", ArgKind::shape}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_constant,
                         .lower = te::lower<constant_rule<0>>,
                         .elements = te::elements<constant_rule<0>>,
                         .gradient = no_gradient,
                         .doc = "a tensor of zeros (float32, unless a dtype is given)"};
  return def;
}

const OpDef& op_ones() {
  static const OpDef def{.name = "ones",
                         .args = {{"shape", ArgKind::shape}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_constant,
                         .lower = te::lower<constant_rule<1>>,
                         .elements = te::elements<constant_rule<1>>,
                         .gradient = no_gradient,
                         .doc = "a tensor of ones (float32, unless a dtype is given)"};
  return def;
}

const OpDef& op_zeros_like() {
  static const OpDef def{.name = "zeros_like",
                         .args = {{"x"}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_like,
                         .lower = lower_zeros_like,
                         .elements = te::elements<constant_rule<0>>,
                         .gradient = no_gradient,
                         .doc = "zeros of x's shape, and of its dtype unless one is given"};
  return def;
}

const OpDef& op_ones_like() {
  static const OpDef def{.name = "ones_like",
                         .args = {{"x"}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_like,
                         .lower = lower_ones_like,
                         .elements = te::elements<constant_rule<1>>,
                         .gradient = no_gradient,
                         .doc = "ones of x's shape, and of its dtype unless one is given"};
  return def;
}

const OpDef& op_full_like() {
  static const OpDef def{
      .name = "full_like",
      .args = {{"x"}, {"fill_value"}},
      .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
      .infer = infer_like,
      .lower = lower_full_like,
      .elements = te::elements<full_like_rule>,
      .gradient = full_gradient,
      .doc =
          "the fill value (a tensor of rank 0) in x's shape, and in its dtype unless one is "
          "given"};
  return def;
}

const OpDef& op_arange() {
  static const OpDef def{.name = "arange",
                         .args = {{"start", ArgKind::prim},
                                  {"end", ArgKind::prim, true},
                                  {"step", ArgKind::prim, true}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_arange,
                         .lower = te::lower<arange_rule>,
                         .elements = te::elements<arange_rule>,
                         .doc = "start, start + step, … before end; one operand alone is the end"};
  return def;
}

}  // namespace repose
