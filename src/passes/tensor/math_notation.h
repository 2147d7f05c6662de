// A notation for floating-point formulas: what the files of functions (math_functions.h) are
// written in. Private to the expansion of mathematical functions.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <span>

#include "expr/expr.h"

namespace repose::math {

// ---- Expressions of one floating-point dtype ----------------------------------------------------

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline Expr operator/(const Expr& a, const Expr& b) {
  return make_binary(ExprKind::div, a, b);
}
inline Expr constant(const Expr& like, double value) {
  return make_float(value, like->dtype);
}
inline Expr operator+(const Expr& a, double b) {
  return make_binary(ExprKind::add, a, constant(a, b));
}
inline Expr operator-(const Expr& a, double b) {
  return make_binary(ExprKind::sub, a, constant(a, b));
}
inline Expr operator-(double a, const Expr& b) {
  return make_binary(ExprKind::sub, constant(b, a), b);
}
inline Expr operator*(const Expr& a, double b) {
  return make_binary(ExprKind::mul, a, constant(a, b));
}
inline Expr operator/(double a, const Expr& b) {
  return make_binary(ExprKind::div, constant(b, a), b);
}
inline Expr less(const Expr& a, double b) {
  return lt(a, constant(a, b));
}
inline Expr greater(const Expr& a, double b) {
  return make_binary(ExprKind::gt, a, constant(a, b));
}
inline Expr equals(const Expr& a, double b) {
  return eq(a, constant(a, b));
}
inline Expr either(const Expr& a, const Expr& b) {
  return logical_or(a, b);
}
inline Expr choose(const Expr& c, const Expr& a, const Expr& b) {
  return make_select(c, a, b);
}
inline Expr choose(const Expr& c, double a, const Expr& b) {
  return make_select(c, constant(b, a), b);
}
inline Expr choose(const Expr& c, const Expr& a, double b) {
  return make_select(c, a, constant(a, b));
}
inline Expr call(Intrinsic i, const Expr& a) {
  return make_call(i, a);
}
inline Expr fma(const Expr& a, const Expr& b, const Expr& c) {
  return make_call(Intrinsic::fma, a->dtype, {a, b, c});
}
inline Expr fma(const Expr& a, double b, const Expr& c) {
  return fma(a, constant(a, b), c);
}
inline Expr fma(const Expr& a, const Expr& b, double c) {
  return fma(a, b, constant(a, c));
}
inline Expr negated(const Expr& x) {
  return x * -1.0;
}
inline Expr either_is_nan(const Expr& x, const Expr& y) {
  return either(call(Intrinsic::isnan, x), call(Intrinsic::isnan, y));
}
inline Expr magnitude(const Expr& x) {
  return call(Intrinsic::abs, x);
}
inline Expr with_sign_of(const Expr& x, const Expr& sign) {
  return make_call(Intrinsic::copysign, x, sign);
}
// NaN stays.
inline Expr at_least(const Expr& x, double bound) {
  return choose(less(x, bound), bound, x);
}
inline Expr at_most(const Expr& x, double bound) {
  return choose(greater(x, bound), bound, x);
}

// Estrin's rule, coefficients from the constant on: a third of the steps of Horner's rule wait for
// each other, and a processor has room for few elements at once.
inline Expr polynomial(const Expr& x, std::span<const double> c) {
  std::vector<Expr> terms;
  for (size_t i = 0; i < c.size(); i += 2) {
    terms.push_back(i + 1 < c.size() ? fma(constant(x, c[i + 1]), x, c[i]) : constant(x, c[i]));
  }
  for (Expr power = x * x; terms.size() > 1; power = power * power) {
    std::vector<Expr> sums;
    for (size_t i = 0; i < terms.size(); i += 2) {
      sums.push_back(i + 1 < terms.size() ? fma(terms[i + 1], power, terms[i]) : terms[i]);
    }
    terms = std::move(sums);
  }
  return terms[0];
}

// ---- Formats ------------------------------------------------------------------------------------

inline bool is_double(const Expr& x) {
  return x->dtype.bits == 64;
}

struct Format {
  int mantissa_bits;  // without the hidden bit
  int bias;
  double round_magic;  // adding it rounds to an integer, which the low bits then hold
  double smallest_normal;
  double ln2_high, ln2_low;  // ln2_high times an exponent is exact
};
inline constexpr Format float_format{23, 127, 0x1.8p23, 0x1p-126, 0.693359375, -2.12194440e-4};
inline constexpr Format double_format{
    52, 1023, 0x1.8p52, 0x1p-1022, 6.93147180369123816490e-01, 1.90821492927058770002e-10};

inline const Format& format_of(const Expr& x) {
  return is_double(x) ? double_format : float_format;
}

inline DType int_type(const Expr& x) {
  return (is_double(x) ? dtypes::int64 : dtypes::int32).with_lanes(x->dtype.lanes);
}
inline Expr bits_of(const Expr& x) {
  return make_call(Intrinsic::reinterpret, int_type(x), {x});
}
inline Expr has_sign_bit(const Expr& x) {
  Expr bits = bits_of(x);
  return lt(bits, make_int(0, bits->dtype));
}
inline Expr float_of_bits(const Expr& bits, const Expr& like) {
  return make_call(Intrinsic::reinterpret, like->dtype, {bits});
}
inline Expr integer(const Expr& like, int64_t value) {
  return make_int(value, like->dtype);
}
inline Expr shift_left(const Expr& x, int n) {
  return make_binary(ExprKind::shift_left, x, integer(x, n));
}
inline Expr shift_right(const Expr& x, int n) {
  return make_binary(ExprKind::shift_right, x, integer(x, n));
}
inline Expr bit_and(const Expr& x, int64_t mask) {
  return make_binary(ExprKind::bit_and, x, integer(x, mask));
}

inline Expr widen(const Expr& x) {
  return make_cast(dtypes::float64.with_lanes(x->dtype.lanes), x);
}
inline Expr narrow(const Expr& x) {
  return make_cast(dtypes::float32.with_lanes(x->dtype.lanes), x);
}

// The integer nearest to x, as a float and as an integer.
struct Rounded {
  Expr value, bits;
};
inline Rounded round_product(const Expr& x, double factor) {
  double magic = format_of(x).round_magic;
  Expr t = fma(x, factor, constant(x, magic));
  int64_t magic_bits = is_double(x) ? std::bit_cast<int64_t>(magic)
                                    : int64_t{std::bit_cast<int32_t>(static_cast<float>(magic))};
  return {t - magic, bits_of(t) - make_int(magic_bits, int_type(x))};
}

// 2^n for n in the normal range of exponents.
inline Expr power_of_two(const Expr& n, const Expr& like) {
  const Format& f = format_of(like);
  return float_of_bits(shift_left(n + integer(n, f.bias), f.mantissa_bits), like);
}

// x * 2^n where the result may be subnormal or overflow: in two steps, the first of which is exact.
inline Expr scale(const Expr& x, const Expr& n) {
  Expr half = shift_right(n, 1);
  Expr rest = n - half;
  return x * power_of_two(half, x) * power_of_two(rest, x);
}

// ---- Compensated arithmetic (Dekker, 1971) ------------------------------------------------------

struct Pair {
  Expr high, low;  // an unevaluated sum
};

// a - b exactly (Knuth's sum of two numbers).
inline Pair exact_difference(const Expr& a, const Expr& b) {
  Expr high = a - b;
  Expr b_part = a - high;
  Expr a_part = high + b_part;
  return {high, (a - a_part) + (b_part - b)};
}

// a * b exactly (Dekker), without fma, so that every target gets the same.
inline Pair exact_product(const Expr& a, const Expr& b) {
  auto split = [](const Expr& x) {
    Expr c = x * 134217729.0;
    Expr high = c - (c - x);
    return Pair{high, x - high};
  };
  Pair x = split(a), y = split(b);
  Expr high = a * b;
  Expr error = x.high * y.high - high;
  error = error + x.high * y.low;
  error = error + x.low * y.high;
  return {high, error + x.low * y.low};
}

// a + b exactly for |a| >= |b| (or a = 0).
inline Pair exact_sum(const Expr& a, const Expr& b) {
  Expr high = a + b;
  return {high, b - (high - a)};
}

}  // namespace repose::math
