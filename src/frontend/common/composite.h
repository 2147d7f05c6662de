// Writes composites of many operators as formulas: the first error ends the rest.
#pragma once

#include "frontend/common/call_context.h"

namespace repose::frontend {

// Each function gives null once an error has happened, and does nothing with a null operand;
// `result` gives the value, or that error.
//
//   Composite m(c);
//   const Operand centred = m.subtract(x, m.mean(x, {-1}));
//   return m.result(m.multiply(centred, 0.5));
class Composite {
 public:
  explicit Composite(CallContext& context) : c_(context) {}

  bool ok() const { return errors_.empty(); }
  Result<Operand> result(const Operand& value) const;
  Result<Values> results(Values values) const;
  void fail(const Diagnostics& errors);
  // The value of a Result; null if it has none.
  Operand take(Result<Operand> value);

  Operand call(const char* op, std::vector<Operand> args, Attrs attrs = {});
  std::vector<Operand> call_tuple(const char* op, std::vector<Operand> args, Attrs attrs,
                                  size_t count);
  void require(const Expr& condition, const std::string& text, std::vector<Expr> values);

  // ---- Types
  // An error, and a shape of `rank` ones, where the operand has another rank.
  Dims shape(const Operand& x, int64_t rank, size_t operand);
  Dims shape(const Operand& x);  // of any rank, as long as it is known
  DType dtype(const Operand& x) const { return x ? c_.dtype(x) : dtypes::float32; }

  // ---- Elementwise; a number stands for a scalar of the other operand's dtype
  Operand unary(const char* op, const Operand& x) { return call(op, {x}); }
  Operand binary(const char* op, const Operand& a, const Operand& b) { return call(op, {a, b}); }
  Operand binary(const char* op, const Operand& a, double b);
  Operand binary(const char* op, double a, const Operand& b);
#define COMPOSITE_BINARY(name, op)       \
  template <class A, class B>            \
  Operand name(const A& a, const B& b) { \
    return binary(op, a, b);             \
  }
  COMPOSITE_BINARY(add, "add")
  COMPOSITE_BINARY(subtract, "subtract")
  COMPOSITE_BINARY(multiply, "multiply")
  COMPOSITE_BINARY(divide, "divide")
  COMPOSITE_BINARY(power, "power")
  COMPOSITE_BINARY(maximum, "maximum")
  COMPOSITE_BINARY(minimum, "minimum")
  COMPOSITE_BINARY(equal, "equal")
  COMPOSITE_BINARY(not_equal, "not_equal")
  COMPOSITE_BINARY(less, "less")
  COMPOSITE_BINARY(less_equal, "less_equal")
  COMPOSITE_BINARY(greater, "greater")
  COMPOSITE_BINARY(floor_divide, "floor_divide")
  COMPOSITE_BINARY(floor_mod, "floor_mod")
  COMPOSITE_BINARY(both, "logical_and")
  COMPOSITE_BINARY(either, "logical_or")
#undef COMPOSITE_BINARY
  Operand where(const Operand& condition, const Operand& a, const Operand& b);
  Operand where(const Operand& condition, const Operand& a, double b);
  Operand where(const Operand& condition, double a, const Operand& b);
  Operand cast(const Operand& x, DType dtype);
  Operand scalar(DType dtype, double value) const { return c_.scalar(dtype, value); }
  // In [low, high], which the dtype holds.
  Operand clip(const Operand& x, double low, double high);

  // ---- Reductions
  Operand reduce(const char* op, const Operand& x, std::vector<int64_t> axes, bool keep = true);
  Operand sum(const Operand& x, std::vector<int64_t> axes, bool keep = true) {
    return reduce("sum", x, std::move(axes), keep);
  }
  Operand max(const Operand& x, std::vector<int64_t> axes, bool keep = true) {
    return reduce("max", x, std::move(axes), keep);
  }
  Operand mean(const Operand& x, std::vector<int64_t> axes, bool keep = true) {
    return reduce("mean", x, std::move(axes), keep);
  }
  Operand matmul(const Operand& a, const Operand& b) { return call("matmul", {a, b}); }

  // ---- Shapes
  Operand reshape(const Operand& x, Dims dims);
  Operand permute(const Operand& x, std::vector<int64_t> axes);
  Operand unsqueeze(const Operand& x, std::vector<int64_t> axes);
  Operand squeeze(const Operand& x, std::vector<int64_t> axes);
  Operand broadcast(const Operand& x, Dims dims);
  Operand concat(std::vector<Operand> parts, int64_t axis);
  // x[…, begin : end : step, …], bounds in [0, extent].
  Operand slice(const Operand& x, int64_t axis, const Expr& begin, const Expr& end,
                int64_t step = 1);
  // Zeros (or `fill`) before and after along one axis.
  Operand pad(const Operand& x, int64_t axis, const Expr& before, const Expr& after,
              const Operand& fill = nullptr);
  Operand gather(const Operand& x, const Operand& indices, int64_t axis);
  // The same for indices that are inside of x, which nothing checks.
  Operand gather_inside(const Operand& x, const Operand& indices, int64_t axis);
  // 0, 1, … extent - 1.
  Operand arange(const Expr& extent, DType dtype);
  // The same along one axis of a shape of `rank` dimensions, which is 1 elsewhere.
  Operand arange_along(const Expr& extent, DType dtype, int64_t axis, int64_t rank);
  Operand full(Dims dims, const Operand& value);
  Operand zeros(Dims dims, DType dtype) { return full(std::move(dims), scalar(dtype, 0)); }
  // A size as a scalar.
  Operand number(const Expr& size, DType dtype);

 private:
  bool is_whole(const std::vector<Operand>& args) const;
  CallContext& c_;
  Diagnostics errors_;
};

}  // namespace repose::frontend
