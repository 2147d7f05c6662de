// Logarithms and what is made of them: asinh, acosh, atanh, pow.
//
// Polynomials are minimax (Remez) on the reduced ranges that are stated beside them.
#include "passes/tensor/math_functions.h"

#include <cmath>

#include "passes/tensor/math_notation.h"

namespace repose::math {

namespace {

// (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2)
constexpr double log_float[] = {0x1.55554a32a451fp-2,  -0x1.00021fd8b50b6p-2, 0x1.99a5954ddfddfp-3,
                                -0x1.54788b2b55ad7p-3, 0x1.226e57ba3c384p-3,  -0x1.0ce08229d472bp-3,
                                0x1.07d0a3404db35p-3,  -0x1.41ed468a2305fp-4};
// (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2, same range, s = f / (2 + f)
constexpr double log_double[] = {0x1.5555555555555p-1, 0x1.9999999999a3ap-2, 0x1.2492492476692p-2,
                                 0x1.c71c7201ff619p-3, 0x1.745cf8c29dd55p-3, 0x1.3b1c42bf72748p-3,
                                 0x1.0fbd3d17e8059p-3, 0x1.0c113466f2faep-3};

// x = 2^n * (1 + f); the integer n as a float. Subnormals are scaled first.
struct Decomposed {
  Expr f, n;
};
Decomposed decompose(const Expr& x) {
  const Format& format = format_of(x);
  Expr subnormal = less(x, format.smallest_normal);
  Expr scaled = choose(subnormal, x * std::ldexp(1.0, format.mantissa_bits), x);
  Expr bits = bits_of(scaled);
  int64_t root = is_double(x) ? 0x3fe6a09e667f3bcd : 0x3f3504f3;  // of 1/2
  Expr n = shift_right(bits - integer(bits, root), format.mantissa_bits);
  Expr m = float_of_bits(bits - shift_left(n, format.mantissa_bits), x);
  n = n - make_select(subnormal, integer(n, format.mantissa_bits), integer(n, 0));
  return {m - 1.0, make_cast(x->dtype, n)};
}

// What is not a positive finite number: log(0) = -inf, log(-1) = NaN, log(inf) = inf.
Expr with_log_edges(const Expr& x, const Expr& result) {
  Expr r = choose(less(x, infinity), result, x);
  Expr zero = choose(equals(x, 0), constant(x, -infinity), not_a_number);
  return choose(greater(x, 0), r, zero);
}

// log(1 + f) - f
Expr log_tail(const Expr& f) {
  Expr z = f * f;
  Expr half = z * 0.5;
  if (!is_double(f)) {
    Expr cubic = z * f * polynomial(f, log_float);
    return cubic - half;
  }
  Expr s = f / (f + 2.0);
  Expr s2 = s * s;
  Expr r = s2 * polynomial(s2, log_double);
  Expr inner = s * (half + r);
  return inner - half;
}

// The sum n * (high + low) + (f + tail) from small to large.
Expr log_sum(const Decomposed& d, const Expr& tail, double high, double low) {
  Expr sum = fma(d.n, low, tail);
  return fma(d.n, high, d.f + sum);
}

}  // namespace

Expr make_log(const Expr& x) {
  const Format& format = format_of(x);
  Decomposed d = decompose(x);
  return with_log_edges(x, log_sum(d, log_tail(d.f), format.ln2_high, format.ln2_low));
}

namespace {

// log(1 + f) times 1 / log(base), with the constant in two parts.
Expr scaled_log(const Decomposed& d, double high, double low, double exponent_high,
                double exponent_low) {
  Expr tail = log_tail(d.f);
  // (f + tail) * (high + low), where f * high carries the weight
  const bool wide = is_double(d.f);
  // f with half of its bits, so that the product with `high` is exact
  Expr f_high =
      float_of_bits(bit_and(bits_of(d.f), wide ? ~int64_t{0xffffffff} : ~int64_t{0xfff}), d.f);
  Expr f_low = d.f - f_high;
  Expr rest = f_low + tail;
  Expr small = (f_high + rest) * low + rest * high;
  small = fma(d.n, exponent_low, small);
  Expr large = f_high * high;
  return fma(d.n, exponent_high, large + small);
}

}  // namespace

Expr make_log2(const Expr& x) {
  double high = is_double(x) ? 0x1.715476p+0 : 0x1.714p+0;
  double low =
      static_cast<double>(0x1.71547652b82fe1777d0ffda0d24p+0L - static_cast<long double>(high));
  return with_log_edges(x, scaled_log(decompose(x), high, low, 1.0, 0.0));
}

Expr make_log10(const Expr& x) {
  constexpr long double log10_e = 0x1.bcb7b1526e50e32a6ab7555f5a68p-2L;
  constexpr long double log10_2 = 0x1.34413509f79fef311f12b35816f9p-2L;
  double high = 0x1.bcb7bp-2, exponent_high = 0x1.34413509f78p-2;
  return with_log_edges(x, scaled_log(decompose(x), high, static_cast<double>(log10_e - high),
                                      exponent_high, static_cast<double>(log10_2 - exponent_high)));
}

// The rounding error of 1 + x is put back through its derivative.
Expr make_log1p(const Expr& x) {
  Expr u = x + 1.0;
  Expr lost = x - (u - 1.0);
  Expr correction = choose(greater(magnitude(lost), 0), lost / u, 0.0);
  Expr sum = make_log(u) + correction;
  return choose(less(magnitude(x), 0x1p-60), x, sum);
}

Expr make_asinh(const Expr& x) {
  Expr a = magnitude(x);
  Expr z = a * a;
  Expr root = call(Intrinsic::sqrt, z + 1.0);
  Expr middle = make_log1p(a + z / (root + 1.0));
  Expr large = make_log(a) + M_LN2;
  return with_sign_of(choose(greater(a, 0x1p28), large, middle), x);
}

Expr make_acosh(const Expr& x) {
  Expr t = x - 1.0;
  Expr root = call(Intrinsic::sqrt, t * (t + 2.0));
  Expr middle = make_log1p(t + root);
  Expr large = make_log(x) + M_LN2;
  return choose(less(x, 1), not_a_number, choose(greater(x, 0x1p28), large, middle));
}

Expr make_atanh(const Expr& x) {
  Expr a = magnitude(x);
  Expr argument = (a + a) / (1.0 - a);
  return with_sign_of(make_log1p(argument) * 0.5, x);
}

namespace {

// (log((1 + s) / (1 - s)) / s - 2 - 2/3 s^2) / s^4 in s^2
constexpr double log_tail_double[] = {
    0x1.999999999999ap-2, 0x1.2492492492524p-2, 0x1.c71c71c6e9f37p-3, 0x1.745d177b267cap-3,
    0x1.3b139598f86bfp-3, 0x1.1118d377f4eebp-3, 0x1.df7a766b0e801p-4, 0x1.e045d42c33e1ep-4};

// log(x) to about 60 bits for positive finite x: log(2^n (1 + f)) = n log 2 + 2 atanh(f / (2 + f)).
Pair accurate_log(const Expr& x) {
  Decomposed d = decompose(x);
  Expr denominator = d.f + 2.0;
  Expr denominator_low = d.f - (denominator - 2.0);
  Expr s = d.f / denominator;
  Pair product = exact_product(s, denominator);
  Expr rest = d.f - product.high - product.low - s * denominator_low;
  Expr s_low = rest / denominator;
  Expr z = s * s;
  Expr series = s * z * fma(z, polynomial(z, log_tail_double), 0x1.5555555555555p-1);
  Pair sum = exact_sum(d.n * double_format.ln2_high, s * 2.0);
  Expr low = sum.low + (fma(d.n, double_format.ln2_low, s_low * 2.0) + series);
  return exact_sum(sum.high, low);
}

// Signs and special values around |x|^y.
Expr with_power_edges(const Expr& x, const Expr& y, const Expr& power) {
  Expr a = magnitude(x);
  auto is_integer = [](const Expr& v) { return eq(call(Intrinsic::floor, v), v); };
  Expr whole = is_integer(y);
  Expr odd = logical_and(whole, make_not(is_integer(y * 0.5)));
  Expr negative = has_sign_bit(x);
  Expr r = choose(equals(a, 1), 1.0, power);  // also 1^inf
  r = choose(either_is_nan(x, y), not_a_number, r);
  r = make_select(logical_and(negative, odd), negated(r), r);
  Expr finite = logical_and(less(x, 0), greater(x, -infinity));
  r = choose(logical_and(finite, make_not(whole)), not_a_number, r);
  return choose(either(equals(x, 1), equals(y, 0)), 1.0, r);
}

}  // namespace

Expr make_pow(const Expr& x, const Expr& y) {
  Expr a = magnitude(x);
  Pair log = accurate_log(a);
  // 0 and infinity have no such logarithm.
  Expr special = either(equals(a, 0), make_not(less(a, infinity)));
  Expr log_high = make_select(special, make_log(a), log.high);
  Expr log_low = choose(special, 0.0, log.low);
  Pair product = exact_product(log_high, y);
  Expr low = fma(log_low, y, product.low);
  Expr in_range = less(magnitude(product.high), 1000.0);
  return with_power_edges(x, y, make_exp(product.high, choose(in_range, low, 0.0)));
}

// For float32, in float64: plain logarithms are accurate enough.
Expr make_float_pow(const Expr& x, const Expr& y) {
  Expr log = make_log(magnitude(x));
  return with_power_edges(x, y, make_exp(log * y));
}

}  // namespace repose::math
