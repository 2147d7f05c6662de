// Values of scalar expressions, and what every operation does to them at its edges: the one place
// that defines arithmetic for constant folding, the interpreter and the rule tester.
//   - data integers wrap; division by zero gives 0, MIN / -1 wraps; shift counts modulo the width
//   - float to integer saturates, NaN gives 0
//   - floats of 16 bits and less compute in float32 and round per operation
//   - index is a mathematical integer: leaving int64 is an error
//   - minimum and maximum of floats: NaN if either is, and -0 < +0; floor_div of floats is
//     floor(a / b), floor_mod has the divisor's sign
//   - float64 to a float of 16 bits or less rounds once
#pragma once

#include <cstdint>
#include <optional>

#include "expr/expr.h"

namespace repose {

// An integer (bool, index and data integers: sign- or zero-extended to 64 bits; uint64 as bits) or
// a float (as double, exactly representable in the dtype).
struct Scalar {
  DType dtype;
  int64_t i = 0;
  double f = 0;

  static Scalar of_int(int64_t value, DType dtype);   // wraps to the dtype (index: as is)
  static Scalar of_float(double value, DType dtype);  // rounds to the dtype
  bool operator==(const Scalar&) const;               // bitwise; NaN equals NaN
};

double round_to(DType dtype,
                double value);  // to float32 and less: nearest even (tiny_float.h); float64: as is
uint16_t float_to_half(float value);
float half_to_float(uint16_t bits);
uint16_t float_to_bfloat(float value);
float bfloat_to_float(uint16_t bits);

// Nothing: index overflow, or floor_div / floor_mod of an index by zero.
std::optional<Scalar> eval_binary(ExprKind kind, const Scalar& a, const Scalar& b);
std::optional<Scalar> eval_cast(DType to, const Scalar& value);
// Pure mathematical and bit intrinsics; nothing for the others.
std::optional<Scalar> eval_intrinsic(Intrinsic intrinsic, DType dtype, const Scalar* args,
                                     int count);

// Whether a `select` has a value only where both sides have one, or where the chosen one has: the
// host function computes no other.
enum class SelectSides : uint8_t { both, chosen };
// `and` and `or` evaluate the right side only where it matters, if_then_else the taken side.
// Value of an expression without loads and calls by name; variables come from `lookup`. Nothing:
// an overflow, a division of an index by zero, or something that has no value here.
std::optional<Scalar> evaluate(const Expr& e,
                               const std::function<std::optional<Scalar>(const Var&)>& lookup,
                               SelectSides sides = SelectSides::both);
Expr to_expr(const Scalar& value);

}  // namespace repose
