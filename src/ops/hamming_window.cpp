// hamming_window(n): y[i] = alpha - beta * cos(2 pi i / d), where d is n if it is periodic, else
// n - 1. A window of one element is 1.
//   C1: n is a known prim value, not negative; the dtype is a float.
//   C2: computes in float32 at least.
#include <numbers>

#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

Result<Type> infer_hamming_window(InferContext& context, const graph::CallNode& call) {
  const DType dtype = call.attrs.get_dtype("dtype");
  if (!is_float_dtype(dtype)) {  // C1
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`hamming_window` with dtype {}, expected a float", dtype.to_string());
  }
  const Expr count = prim_arg(call, 0, dtypes::index);
  if (!count) return tensor_type_of_rank(1, dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, {count}));
  return tensor_type({count}, dtype);
}

std::vector<te::Tensor> hamming_window_rule(const graph::CallNode& call,
                                            const std::vector<te::Tensor>&) {
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);  // C2
  const Expr& count = result_shape(call)[0];
  auto number = [&](const char* name) { return make_float(call.attrs.get_float(name), wide); };
  const Expr steps = call.attrs.get_bool("periodic") ? count : max(count - 1, make_int(1));
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const Expr turn = make_binary(ExprKind::div, make_cast(wide, i[0]), make_cast(wide, steps));
        const Expr wave = make_call(Intrinsic::cos, turn * make_float(2 * std::numbers::pi, wide));
        const Expr value = number("alpha") - number("beta") * wave;
        return make_cast(dtype, make_select(eq(count, make_int(1)), make_float(1, wide), value));
      },
      "hamming_window")};
}

}  // namespace

const OpDef& op_hamming_window() {
  static const OpDef def{.name = "hamming_window",
                         .args = {{"window_size", ArgKind::prim}},
                         .attrs = {{"periodic", AttrKind::boolean, Attr(true)},
                                   {"alpha", AttrKind::number, Attr(0.54)},
                                   {"beta", AttrKind::number, Attr(0.46)},
                                   {"dtype", AttrKind::dtype, Attr(dtypes::float32)}},
                         .infer = infer_hamming_window,
                         .lower = te::lower<hamming_window_rule>,
                         .doc =
                             "alpha - beta * cos(2 * pi * i / n), i below the window's size n "
                             "(n - 1 unless it is periodic)"};
  return def;
}

}  // namespace repose
