// Circular functions and their inverses, in float64.
//
// Polynomials are minimax (Remez) on the reduced ranges that are stated beside them; reductions
// follow Cody and Waite.
#include "passes/tensor/math_functions.h"

#include <cmath>

#include "passes/tensor/math_notation.h"

namespace repose::math {

namespace {

// (sin(r) / r - 1) / r^2 and (cos(r) - 1 + r^2 / 2) / r^4 in r^2 for |r| <= pi / 4
constexpr double sin_double[] = {
    -0x1.5555555555555p-3,  0x1.111111111110bp-7,  -0x1.a01a01a018a7cp-13, 0x1.71de3a5330d6fp-19,
    -0x1.ae64528cd8f27p-26, 0x1.61208b4b779e3p-33, -0x1.aaa18969a6087p-41};
constexpr double cos_double[] = {
    0x1.5555555555555p-5,  -0x1.6c16c16c16c10p-10, 0x1.a01a01a018d90p-16, -0x1.27e4fb75f7611p-22,
    0x1.1eed8c9cbc331p-29, -0x1.9393304edd1bdp-37, 0x1.aac20d9048858p-45};

struct SinCos {
  Expr sin, cos;  // of the reduced argument
  Expr quadrant;  // integer; its two low bits count
};
SinCos reduced_sin_cos(const Expr& given) {
  // Beyond, the multiple of pi / 2 leaves the integers that `round_product` finds, and what remains
  // is no angle. 0 stands for such arguments, NaN for infinities.
  Expr x = make_select(less(magnitude(given), 0x1p50), given, given - given);
  // pi / 2 in pieces of 25 bits: products with integers up to 2^26 are exact, with fma or without.
  // What the differences lose is kept, so that arguments near a multiple of pi / 2 keep their
  // digits.
  constexpr double pieces[] = {0x1.921fb4p+0, 0x1.4442d0p-24, 0x1.846988p-48,
                               0x1.8cc51701b839ap-72};
  Rounded n = round_product(x, M_2_PI);
  Expr r0 = fma(n.value, -pieces[0], x);
  Pair r1 = exact_difference(r0, n.value * pieces[1]);
  Pair r2 = exact_difference(r1.high, n.value * pieces[2]);
  Expr low = r1.low + r2.low;
  low = low - n.value * pieces[3];
  Expr y = r2.high + low;
  Expr tail = (r2.high - y) + low;
  Expr z = y * y;
  // sin(y + tail) = sin(y) + tail, cos(y + tail) = cos(y) - y * tail, to the last bit
  Expr cubic = z * y * polynomial(z, sin_double);
  Expr sin = y + (cubic + tail);
  Expr half = z * 0.5;
  Expr one = 1.0 - half;
  Expr rounding = (1.0 - one) - half;
  Expr quartic = z * z * polynomial(z, cos_double);
  Expr correction = quartic - y * tail;
  Expr cos = one + (rounding + correction);
  return {sin, cos, n.bits};
}

Expr is_odd(const Expr& n) {
  return ne(bit_and(n, 1), integer(n, 0));
}

}  // namespace

// sin(x + shift * pi / 2)
Expr make_sine(const Expr& x, int shift) {
  SinCos s = reduced_sin_cos(x);
  Expr q = shift == 0 ? s.quadrant : s.quadrant + integer(s.quadrant, shift);
  Expr value = make_select(is_odd(q), s.cos, s.sin);
  Expr result = make_select(ne(bit_and(q, 2), integer(q, 0)), negated(value), value);
  return shift == 0 ? choose(less(magnitude(x), 0x1p-27), x, result) : result;
}

Expr make_tan(const Expr& x) {
  SinCos s = reduced_sin_cos(x);
  Expr odd = is_odd(s.quadrant);
  Expr result = make_select(odd, negated(s.cos), s.sin) / make_select(odd, s.sin, s.cos);
  return choose(less(magnitude(x), 0x1p-27), x, result);
}

namespace {

// (asin(x) / x - 1) / x^2 in x^2 for |x| <= 1/2
constexpr double asin_double[] = {0x1.5555555555578p-3, 0x1.333333332df02p-4, 0x1.6db6db722c24ap-5,
                                  0x1.f1c71a8b5fb67p-6, 0x1.6e8bdfec69479p-6, 0x1.1c49dda58d401p-6,
                                  0x1.ca214bf5b40e1p-7, 0x1.757754dfd8533p-7, 0x1.618bd75138726p-7,
                                  0x1.e14bffb76c1b8p-9, 0x1.65063db871c48p-6, -0x1.59fc028cff558p-6,
                                  0x1.0be5fb872f7ffp-5};
// (atan(x) / x - 1) / x^2 in x^2 for |x| <= tan(pi / 8)
constexpr double atan_double[] = {
    -0x1.5555555555555p-2, 0x1.9999999999977p-3, -0x1.2492492490d35p-3, 0x1.c71c71c623cbap-4,
    -0x1.745d17159c210p-4, 0x1.3b13ab417c99dp-4, -0x1.1110912edc27bp-4, 0x1.e1d3001cc7c06p-5,
    -0x1.ae8bc27d603cfp-5, 0x1.81886a26249b6p-5, -0x1.4c5a5e2310b46p-5, 0x1.e5beb200afcc8p-6,
    -0x1.aa4d63004b2d8p-7};
constexpr double half_pi_high = 0x1.921fb54442d18p+0, half_pi_low = 0x1.1a62633145c07p-54;

struct ArcSine {
  Expr big;   // |x| > 1/2
  Expr root;  // where big: sqrt((1 - |x|) / 2), else |x|
  Expr tail;  // asin(root) - root
};
ArcSine arc_sine(const Expr& a) {
  Expr big = greater(a, 0.5);
  Expr complement = (1.0 - a) * 0.5;
  Expr root = make_select(big, call(Intrinsic::sqrt, complement), a);
  Expr z = make_select(big, complement, a * a);
  Expr tail = root * z * polynomial(z, asin_double);
  return {big, root, tail};
}

}  // namespace

Expr make_asin(const Expr& x) {
  ArcSine s = arc_sine(magnitude(x));
  Expr small = s.root + s.tail;
  Expr twice = small * 2.0 - constant(x, half_pi_low);
  return with_sign_of(make_select(s.big, half_pi_high - twice, small), x);
}

Expr make_acos(const Expr& x) {
  ArcSine s = arc_sine(magnitude(x));
  Expr negative = less(x, 0);
  Expr angle = s.root + s.tail;
  Expr twice = angle * 2.0;
  Expr pi = constant(x, 2 * half_pi_high);
  Expr far = make_select(negative, pi - (twice - 2 * half_pi_low), twice);
  Expr signed_angle = with_sign_of(angle, x);
  Expr near = half_pi_high - (signed_angle - half_pi_low);
  return make_select(s.big, far, near);
}

namespace {

// For a >= 0.
Expr arc_tangent(const Expr& a) {
  Expr big = greater(a, 2.414213562373095), middle = greater(a, 0.4142135623730951);
  Expr numerator = make_select(big, constant(a, -1), make_select(middle, a - 1.0, a));
  Expr denominator = make_select(big, a, choose(middle, a + 1.0, 1.0));
  Expr t = numerator / denominator;
  Expr z = t * t;
  Expr tail = t * z * polynomial(z, atan_double);
  Expr low = choose(big, half_pi_low, choose(middle, half_pi_low / 2, constant(a, 0)));
  Expr high = choose(big, half_pi_high, choose(middle, half_pi_high / 2, constant(a, 0)));
  return high + (t + (tail + low));
}

}  // namespace

Expr make_atan(const Expr& x) {
  return with_sign_of(arc_tangent(magnitude(x)), x);
}

Expr make_atan2(const Expr& y, const Expr& x) {
  Expr ay = magnitude(y), ax = magnitude(x);
  Expr both_infinite = logical_and(equals(ay, infinity), equals(ax, infinity));
  Expr ratio = choose(equals(ay, 0), constant(y, 0), choose(both_infinite, 1.0, ay / ax));
  Expr angle = arc_tangent(ratio);
  Expr is_negative = has_sign_bit(x);
  Expr flipped = 2 * half_pi_high - (angle - 2 * half_pi_low);
  Expr result = with_sign_of(make_select(is_negative, flipped, angle), y);
  Expr undefined = either_is_nan(x, y);
  return choose(undefined, not_a_number, result);
}

}  // namespace repose::math
