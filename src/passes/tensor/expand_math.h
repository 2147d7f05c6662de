// Replaces mathematical functions by arithmetic: polynomials over +, *, fma, select and bits.
//
// before: B[i] = T.exp(A[i])
// after:  B[i] = <about 20 operations on A[i]>
//
// Scalars and vectors get the same operations, so a lane has the bits of a scalar. What remains are
// the intrinsics with an instruction (sqrt, floor, ceil, round, trunc, abs, copysign, fma, isnan,
// isinf, isfinite) and integer ones. Expressions become graphs with shared nodes (an argument is
// used many times): run this last, just before code generation; do not print what it returns.
//
// The largest error found in dense samples of all magnitudes (tests/passes/expand_math_test.cpp),
// in units in the last place, with fma. Without it (x86-64-v2) the bounds in brackets hold.
//
//   function               float32    float64
//   exp, exp2              2 (2)      2 (3)
//   log, log2, log10       2 (3)      2 (3)
//   expm1, log1p           2 (3)      3 (3)
//   tanh                   3 (4)      4 (4)
//   sigmoid                3 (3)      3 (3)
//   erf                    2 (2)      2 (2)
//   sin, cos               1 (1)      2 (2)   for |x| <= 1e8; beyond, some value in [-1, 1]
//   tan                    1 (1)      4 (4)   for |x| <= 1e8; beyond, some finite value
//   asin, acos, atan       1 (1)      3 (3)
//   atan2                  1 (1)      3 (3)
//   sinh, cosh             1 (1)      4 (4)
//   asinh, acosh, atanh    1 (1)      4 (4)
//   pow                    1 (1)      32 (32)
//   rsqrt                  2 (2)      2 (2)
//
// float32 functions from sin on, log10, log1p and pow go through float64. float16 and bfloat16 go
// through float32 and round once. Infinities, NaNs, signed zeros, subnormal arguments and results,
// and overflow are as in C (Annex F).
//
// requires: float operands. ensures: no intrinsic of the table remains.
#pragma once

#include "ir/tir.h"

namespace repose {

tir::PrimFunc expand_math(const tir::PrimFunc& f);

// The same on one expression.
Expr expand_math(const Expr& e);

}  // namespace repose
