// argmax, argmin: the position of the largest or smallest element along `axis` (None: in
// row-major order of all).
//   C1: the operand is a number; `axis` is one of its axes.
//   C2: the reduced extent is at least 1.
//   C3: the result is int64; it lacks the dimension, or has extent 1 there with `keepdims`.
//   C4: of equal elements the first counts, with `select_last` the last; NaN is larger and
//       smaller than everything.
#include "ops/ops.h"
#include "ops/rows.h"

namespace repose {

namespace {

std::vector<int> arg_axes(const graph::CallNode& call, int rank) {
  return axes_of(call, "axis", rank);
}

Result<Type> infer_arg_reduce(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  auto number = dtype_arg(context, call, 0, is_number_dtype, "a number");  // C1
  if (!number.ok()) return number.errors();
  const bool keep = call.attrs.get_bool("keepdims");
  if (x->rank < 0) return ranked_like(*x, -1, dtypes::int64);
  if (!call.attrs.find("axis")->is_none()) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);
    if (!axis.ok()) return axis.errors();
  }
  const std::vector<int> axes = arg_axes(call, x->rank);
  if (!x->shape) {
    return ranked_like(*x, keep ? x->rank : x->rank - static_cast<int>(axes.size()), dtypes::int64);
  }
  const Expr count = extent_of(*x->shape, axes);
  REPOSE_REQUIRE(context.require(  // C2
      le(make_int(1), count), fmt::format("`{}` over {{0}} elements", call.op->name), {count}));
  Dims out = RowAxes{*x->shape, axes}.kept_shape();  // C3
  if (keep) {
    out = *x->shape;
    for (int a : axes) out[static_cast<size_t>(a)] = make_int(1);
  }
  return tensor_like(*x, std::move(out), dtypes::int64);
}

template <te::Reducer reducer>
std::vector<te::Tensor> arg_reduce_rule(const graph::CallNode& call,
                                        const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const RowAxes rows{x.shape(), arg_axes(call, x.rank())};
  const bool keep = call.attrs.get_bool("keepdims"), last = call.attrs.get_bool("select_last");
  te::Tensor best = reduce_rows(
      rows, reducer, [&](const te::Indices& i) { return x(i); },
      std::string(call.op->name) + "_value");
  const te::Reducer choose = last ? te::Reducer::max : te::Reducer::min;
  return {te::reduce(
      result_shape(call), choose, rows.extents(),
      [&](const te::Indices& i, const te::Indices& k) {
        const te::Indices kept = keep ? rows.kept(i) : i;
        const Expr value = x(rows.full(kept, k));
        Expr hit = eq(value, best(kept));
        if (value->dtype.is_float()) {
          hit = logical_or(hit, make_call(Intrinsic::isnan, dtypes::boolean, {value}));
        }
        Expr position = make_int(0);
        for (size_t a = 0; a < k.size(); ++a) {
          position = position * rows.shape[static_cast<size_t>(rows.axes[a])] + k[a];
        }
        return make_select(hit, make_cast(dtypes::int64, position),
                           te::identity_of(choose, dtypes::int64));
      },
      std::string(call.op->name))};
}

std::vector<AttrSpec> arg_attrs() {
  return {{"axis", AttrKind::optional_integer, Attr()},
          {"keepdims", AttrKind::boolean, Attr(false)},
          {"select_last", AttrKind::boolean, Attr(false)}};
}

}  // namespace

const OpDef& op_argmax() {
  static const OpDef def{.name = "argmax",
                         .args = {{"x"}},
                         .attrs = arg_attrs(),
                         .infer = infer_arg_reduce,
                         .lower = te::lower<arg_reduce_rule<te::Reducer::max>>,
                         .doc = "position of the largest element along `axis` (None: of all)"};
  return def;
}

const OpDef& op_argmin() {
  static const OpDef def{.name = "argmin",
                         .args = {{"x"}},
                         .attrs = arg_attrs(),
                         .infer = infer_arg_reduce,
                         .lower = te::lower<arg_reduce_rule<te::Reducer::min>>,
                         .doc = "position of the smallest element along `axis` (None: of all)"};
  return def;
}

}  // namespace repose
