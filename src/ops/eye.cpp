// eye(n, m, k): an n by m matrix (m is n where it is left out) of ones where column - row = k, and
// zeros elsewhere. eye_like(x, k): the same with x's shape.
//   C1: n, m and k are known prim values; n and m are not negative. k is 0 where it is left out.
//   C2: x has rank 2; the dtype is x's, unless one is given.
#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

Result<Type> infer_eye(InferContext& context, const graph::CallNode& call) {
  const Expr rows = prim_arg(call, 0, dtypes::index);
  const Expr columns = has_arg(call, 1) ? prim_arg(call, 1, dtypes::index) : rows;
  const DType dtype = call.attrs.get_dtype("dtype");
  if (!rows || !columns) return tensor_type_of_rank(2, dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, {rows, columns}));  // C1
  return tensor_type({rows, columns}, dtype);
}

Result<Type> infer_eye_like(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_REQUIRE(require_rank(context, call, 0, 2));  // C2
  const DType dtype = call.attrs.get_dtype("dtype", x->dtype);
  return x->shape ? tensor_like(*x, *x->shape, dtype) : ranked_like(*x, 2, dtype);
}

Result<graph::Value> emit_eye(Builder& b, const graph::CallNode& call, size_t k) {
  const Expr diagonal = has_arg(call, k) ? prim_arg(call, k, dtypes::index) : make_int(0);
  if (!diagonal) {
    return error(DiagnosticKind::unsupported_feature, {}, "`{}`: `k` has no known value",
                 call.op->name);
  }
  const DType dtype = result_dtype(call);
  return te::emit_te(b, "eye", {}, [&](const std::vector<te::Tensor>&) {
    return std::vector<te::Tensor>{te::compute(
        result_shape(call),
        [&](const te::Indices& i) {
          return make_select(eq(i[1], i[0] + diagonal), make_const(dtype, 1), make_const(dtype, 0));
        },
        "eye")};
  });
}

Result<graph::Value> lower_eye(Builder& b, const graph::CallNode& call) {
  return emit_eye(b, call, 2);
}
Result<graph::Value> lower_eye_like(Builder& b, const graph::CallNode& call) {
  return emit_eye(b, call, 1);
}

}  // namespace

const OpDef& op_eye() {
  static const OpDef def{
      .name = "eye",
      .args = {{"n", ArgKind::prim}, {"m", ArgKind::prim, true}, {"k", ArgKind::prim, true}},
      .attrs = {{"dtype", AttrKind::dtype, Attr(dtypes::float32)}},
      .infer = infer_eye,
      .lower = lower_eye,
      .doc = "an n by m matrix with ones on diagonal k, counted upwards, and zeros elsewhere"};
  return def;
}

const OpDef& op_eye_like() {
  static const OpDef def{.name = "eye_like",
                         .args = {{"x"}, {"k", ArgKind::prim, true}},
                         .attrs = {{"dtype", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_eye_like,
                         .lower = lower_eye_like,
                         .doc = "a matrix of x's shape with ones on diagonal k, zeros elsewhere"};
  return def;
}

}  // namespace repose
