// Writes composites of many operators as formulas.
#include "frontend/common/composite.h"

#include <algorithm>

namespace repose::frontend {

Result<Operand> Composite::result(const Operand& value) const {
  if (!ok()) return errors_;
  REPOSE_CHECK(value != nullptr, "a composite without an error has a value");
  return value;
}

Result<Values> Composite::results(Values values) const {
  if (!ok()) return errors_;
  return values;
}

void Composite::fail(const Diagnostics& errors) {
  if (ok()) errors_ = errors;
}

Operand Composite::take(Result<Operand> value) {
  if (value.ok()) return *value;
  fail(value.errors());
  return nullptr;
}

bool Composite::is_whole(const std::vector<Operand>& args) const {
  return ok() && std::find(args.begin(), args.end(), nullptr) == args.end();
}

Operand Composite::call(const char* op, std::vector<Operand> args, Attrs attrs) {
  if (!is_whole(args)) return nullptr;
  return take(c_.call(op, std::move(args), std::move(attrs)));
}

std::vector<Operand> Composite::call_tuple(const char* op, std::vector<Operand> args, Attrs attrs,
                                           size_t count) {
  if (is_whole(args)) {
    auto parts = c_.call_tuple(op, std::move(args), std::move(attrs));
    if (parts.ok()) return *parts;
    fail(parts.errors());
  }
  return std::vector<Operand>(count);
}

void Composite::require(const Expr& condition, const std::string& text, std::vector<Expr> values) {
  if (!ok()) return;
  if (auto stated = c_.require(condition, text, std::move(values)); !stated.ok()) {
    fail(stated.errors());
  }
}

// ---- Types
// ---------------------------------------------------------------------------------------

Dims Composite::shape(const Operand& x) {
  if (!ok() || !x) return {};
  auto dims = c_.shape(x);
  if (dims.ok()) return *dims;
  fail(dims.errors());
  return {};
}

Dims Composite::shape(const Operand& x, int64_t rank, size_t operand) {
  const size_t count = static_cast<size_t>(rank);
  Dims dims = shape(x);
  if (ok() && x && dims.size() == count) return dims;
  if (ok() && x) {
    fail({c_.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected {}", operand,
                  dims.size(), rank)});
  }
  return Dims(count, make_int(1));
}

// ---- Elementwise
// ---------------------------------------------------------------------------------

Operand Composite::binary(const char* op, const Operand& a, double b) {
  return a ? binary(op, a, scalar(dtype(a), b)) : nullptr;
}

Operand Composite::binary(const char* op, double a, const Operand& b) {
  return b ? binary(op, scalar(dtype(b), a), b) : nullptr;
}

Operand Composite::where(const Operand& condition, const Operand& a, const Operand& b) {
  return call("where", {condition, a, b});
}

Operand Composite::where(const Operand& condition, const Operand& a, double b) {
  return a ? where(condition, a, scalar(dtype(a), b)) : nullptr;
}

Operand Composite::where(const Operand& condition, double a, const Operand& b) {
  return b ? where(condition, scalar(dtype(b), a), b) : nullptr;
}

Operand Composite::cast(const Operand& x, DType to) {
  return ok() && x ? take(c_.cast(x, to)) : nullptr;
}

Operand Composite::clip(const Operand& x, double low, double high) {
  if (!x) return nullptr;
  const DType t = dtype(x);
  return call("clip",
              {x, graph::make_prim(make_const(t, low)), graph::make_prim(make_const(t, high))});
}

// ---- Reductions
// ----------------------------------------------------------------------------------

Operand Composite::reduce(const char* op, const Operand& x, std::vector<int64_t> axes, bool keep) {
  return call(op, {x}, {{"axis", std::move(axes)}, {"keepdims", keep}});
}

// ---- Shapes
// --------------------------------------------------------------------------------------

Operand Composite::reshape(const Operand& x, Dims dims) {
  return ok() && x ? take(c_.reshape(x, std::move(dims))) : nullptr;
}

Operand Composite::permute(const Operand& x, std::vector<int64_t> axes) {
  return call("permute_dims", {x}, {{"axes", std::move(axes)}});
}

Operand Composite::unsqueeze(const Operand& x, std::vector<int64_t> axes) {
  return axes.empty() ? x : call("expand_dims", {x}, {{"axis", std::move(axes)}});
}

Operand Composite::squeeze(const Operand& x, std::vector<int64_t> axes) {
  return axes.empty() ? x : call("squeeze", {x}, {{"axis", std::move(axes)}});
}

Operand Composite::broadcast(const Operand& x, Dims dims) {
  return call("broadcast_to", {x, graph::make_shape(std::move(dims))});
}

Operand Composite::concat(std::vector<Operand> parts, int64_t axis) {
  if (!is_whole(parts)) return nullptr;
  if (parts.size() == 1) return parts[0];
  return call("concat", {graph::make_tuple(std::move(parts))}, {{"axis", axis}});
}

Operand Composite::slice(const Operand& x, int64_t axis, const Expr& begin, const Expr& end,
                         int64_t step) {
  std::vector<Operand> args{x, graph::make_shape({begin}), graph::make_shape({end})};
  if (step != 1) args.push_back(graph::make_shape({make_int(step)}));
  return call("strided_slice", std::move(args),
              {{"axes", std::vector<int64_t>{axis}}, {"assume_inbound", true}});
}

Operand Composite::pad(const Operand& x, int64_t axis, const Expr& before, const Expr& after,
                       const Operand& fill) {
  const size_t rank = shape(x).size();
  if (!ok() || !x) return nullptr;
  const size_t at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
  Dims widths(2 * rank, make_int(0));
  widths[2 * at] = before;
  widths[2 * at + 1] = after;
  std::vector<Operand> args{x, graph::make_shape(std::move(widths))};
  if (fill) args.push_back(fill);
  return call("nn.pad", std::move(args));
}

Operand Composite::gather(const Operand& x, const Operand& indices, int64_t axis) {
  return call("take", {x, indices}, {{"axis", axis}});
}

Operand Composite::gather_inside(const Operand& x, const Operand& indices, int64_t axis) {
  return call("take", {x, indices}, {{"axis", axis}, {"mode", "clip"}});
}

Operand Composite::arange(const Expr& extent, DType dtype) {
  return cast(call("arange", {graph::make_prim(extent)}), dtype);
}

Operand Composite::arange_along(const Expr& extent, DType dtype, int64_t axis, int64_t rank) {
  Dims dims(static_cast<size_t>(rank), make_int(1));
  dims[static_cast<size_t>(axis)] = extent;
  return reshape(arange(extent, dtype), std::move(dims));
}

Operand Composite::full(Dims dims, const Operand& value) {
  return call("full", {graph::make_shape(std::move(dims)), value});
}

Operand Composite::number(const Expr& size, DType dtype) {
  return cast(reshape(call("shape_to_tensor", {graph::make_shape({size})}), {}), dtype);
}

}  // namespace repose::frontend
