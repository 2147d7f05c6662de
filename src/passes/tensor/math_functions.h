// Mathematical functions as formulas over +, *, fma, select and bits. Private to expand_math.cpp.
//
// The operand is a float32 or float64, scalar or vector; "float64" below: of that dtype only.
#pragma once

#include "expr/expr.h"

namespace repose::math {

// math_exp.cpp. e^(x + low) for a small correction `low` (may be null):
Expr make_exp(const Expr& x, const Expr& low = nullptr);
Expr make_exp2(const Expr& x);
Expr make_expm1(const Expr& x);
Expr make_tanh(const Expr& x);
Expr make_sigmoid(const Expr& x);
Expr make_sinh(const Expr& x);
Expr make_cosh(const Expr& x);
Expr make_erf(const Expr& x);

// math_log.cpp
Expr make_log(const Expr& x);
Expr make_log2(const Expr& x);
Expr make_log10(const Expr& x);
Expr make_log1p(const Expr& x);
Expr make_asinh(const Expr& x);
Expr make_acosh(const Expr& x);
Expr make_atanh(const Expr& x);
Expr make_pow(const Expr& x, const Expr& y);        // float64
Expr make_float_pow(const Expr& x, const Expr& y);  // float64, to the accuracy of float32

// math_circular.cpp, float64
Expr make_sine(const Expr& x, int shift);  // sin(x + shift * pi / 2)
Expr make_tan(const Expr& x);
Expr make_asin(const Expr& x);
Expr make_acos(const Expr& x);
Expr make_atan(const Expr& x);
Expr make_atan2(const Expr& y, const Expr& x);

}  // namespace repose::math
