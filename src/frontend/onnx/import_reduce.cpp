// Reductions, and what ONNX composes of them.
#include <optional>

#include "frontend/onnx/data_axes.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// What a Reduce node says: its operand, and the attributes of our reductions; or axes that only the
// data tells.
struct Reduction {
  Operand x;
  Attrs attrs;
  std::optional<DataAxes> axes;
};

Result<Reduction> reduction_of(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(keep, c.flag("keepdims", true));
  REPOSE_TRY(keeps_all, c.flag("noop_with_empty_axes", false));
  if (c.has(1) && !c.known(c.optional(1))) {
    REPOSE_TRY(rank, c.rank(x));
    REPOSE_TRY(axes, DataAxes::make(c, c.optional(1), rank));
    return Reduction{x, {{"axis", Attr()}, {"keepdims", keep}}, axes};
  }
  REPOSE_TRY(axes, c.constants_or_attr(1, "axes"));
  const bool is_empty = !axes || axes->empty();
  Attr axis;
  if (!is_empty) axis = Attr(*axes);
  if (is_empty && keeps_all) axis = Attr(std::vector<int64_t>());
  return Reduction{x, {{"axis", axis}, {"keepdims", keep}}, std::nullopt};
}

// What has been reduced along the axes, which stayed, without them where the node says so.
Result<Operand> without_axes(NodeContext& c, const Reduction& r, const Operand& y) {
  if (r.attrs.get_bool("keepdims")) return y;
  if (r.axes) return squeeze_along(c, y, *r.axes);
  const Attr& axis = *r.attrs.find("axis");
  if (axis.is_none()) return c.reshape(y, {});
  return axis.as_list()->empty() ? Result<Operand>(y) : c.call("squeeze", {y}, {{"axis", axis}});
}

// With axes of extent 1.
Result<Operand> reduced_in_place(NodeContext& c, const char* op, const Reduction& r,
                                 const Operand& x) {
  if (r.axes) return reduce_along(c, op, x, *r.axes);
  Attrs kept = r.attrs;
  kept.set("keepdims", true);
  return c.call(op, {x}, kept);
}

Result<Operand> reduced(NodeContext& c, const char* op, const Reduction& r, const Operand& x) {
  if (!r.axes) return c.call(op, {x}, r.attrs);
  REPOSE_TRY(y, reduced_in_place(c, op, r, x));
  return without_axes(c, r, y);
}

template <const char* (*op)()>
Result<Operand> plain(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  return reduced(c, op(), r, r.x);
}

const char* op_sum() {
  return "sum";
}
const char* op_mean() {
  return "mean";
}
const char* op_prod() {
  return "prod";
}
const char* op_max() {
  return "max";
}
const char* op_min() {
  return "min";
}

// bool goes through uint8.
template <const char* (*op)()>
Result<Operand> extreme(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  const DType dtype = c.dtype(r.x);
  REPOSE_TRY(x, c.cast(r.x, dtype.is_bool() ? dtypes::uint8 : dtype));
  REPOSE_TRY(y, reduced(c, op(), r, x));
  return c.cast(y, dtype);
}

// Functions of floats take integers in float64.
struct Wide {
  Operand x;
  DType result;
};

Result<Wide> widened(NodeContext& c, const Operand& x) {
  const DType dtype = c.dtype(x);
  REPOSE_TRY(wide, c.cast(x, dtype.is_float() ? dtype : dtypes::float64));
  return Wide{wide, dtype};
}

Result<Operand> l1(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  REPOSE_TRY(distance, c.call("abs", {r.x}));
  return reduced(c, "sum", r, distance);
}

Result<Operand> sum_square(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  REPOSE_TRY(squares, c.call("square", {r.x}));
  return reduced(c, "sum", r, squares);
}

Result<Operand> l2(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  REPOSE_TRY(wide, widened(c, r.x));
  REPOSE_TRY(squares, c.call("square", {wide.x}));
  REPOSE_TRY(total, reduced(c, "sum", r, squares));
  REPOSE_TRY(root, c.call("sqrt", {total}));
  return c.cast(root, wide.result);
}

Result<Operand> log_sum(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  REPOSE_TRY(wide, widened(c, r.x));
  REPOSE_TRY(total, reduced(c, "sum", r, wide.x));
  REPOSE_TRY(y, c.call("log", {total}));
  return c.cast(y, wide.result);
}

// m + log(sum of exp(x - m)), m the largest element where that is finite: nothing overflows.
Result<Operand> log_sum_exp(NodeContext& c) {
  REPOSE_TRY(r, reduction_of(c));
  REPOSE_TRY(wide, widened(c, r.x));
  REPOSE_TRY(largest, reduced_in_place(c, "max", r, wide.x));
  REPOSE_TRY(finite, c.call("isfinite", {largest}));
  REPOSE_TRY(shift, c.call("where", {finite, largest, c.scalar_like(largest, 0)}));
  REPOSE_TRY(shifted, c.call("subtract", {wide.x, shift}));
  REPOSE_TRY(powers, c.call("exp", {shifted}));
  REPOSE_TRY(total, reduced_in_place(c, "sum", r, powers));
  REPOSE_TRY(logarithm, c.call("log", {total}));
  REPOSE_TRY(y, c.call("add", {logarithm, shift}));
  REPOSE_TRY(result, c.cast(y, wide.result));
  return without_axes(c, r, result);
}

}  // namespace

std::span<const OperatorRow> reduce_operators() {
  static constexpr OperatorRow rows[] = {
      {"ReduceL1", 1, one<l1>},
      {"ReduceL2", 1, one<l2>},
      {"ReduceLogSum", 1, one<log_sum>},
      {"ReduceLogSumExp", 1, one<log_sum_exp>},
      {"ReduceMax", 1, one<extreme<op_max>>},
      {"ReduceMean", 1, one<plain<op_mean>>},
      {"ReduceMin", 1, one<extreme<op_min>>},
      {"ReduceProd", 1, one<plain<op_prod>>},
      {"ReduceSum", 1, one<plain<op_sum>>},
      {"ReduceSumSquare", 1, one<sum_square>},
  };
  return rows;
}

}  // namespace repose::onnx
