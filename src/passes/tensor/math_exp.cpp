// Exponentials and what is made of them: tanh, sigmoid, sinh, cosh, erf.
//
// Polynomials are minimax (Remez) on the reduced ranges that are stated beside them; reductions
// follow Cody and Waite.
#include "passes/tensor/math_functions.h"

#include <cmath>

#include "passes/tensor/math_notation.h"

namespace repose::math {

namespace {

// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2
constexpr double exp_float[] = {0x1.fffffb94717e9p-2, 0x1.5554909f93498p-3, 0x1.5558f4b0200b1p-5,
                                0x1.123a6b6752627p-7, 0x1.6a2364b8edf2ap-10};
constexpr double expm1_float[] = {0x1.00000028161d7p-1,  0x1.555555892a082p-3,
                                  0x1.5554ad377689cp-5,  0x1.11108f56c23d3p-7,
                                  0x1.6d7529406f6b1p-10, 0x1.a1a1d2bbd6018p-13};
constexpr double exp_double[] = {
    0x1.0000000000000p-1,  0x1.5555555555559p-3,  0x1.555555555555ap-5,  0x1.111111110f67dp-7,
    0x1.6c16c16c14418p-10, 0x1.a01a01affb28ep-13, 0x1.a01a01b0c93f2p-16, 0x1.71ddf81663c7dp-19,
    0x1.27e4c57907f6dp-22, 0x1.af5f33093242ep-26, 0x1.1f95a1eb79b91p-29};
// (2^r - 1) / r for |r| <= 1/2
constexpr double exp2_float[] = {0x1.62e42fef7b16fp-1, 0x1.ebfbe07b814efp-3,  0x1.c6b08df5238a3p-5,
                                 0x1.3b29f032e48e1p-7, 0x1.5d8722cb4b443p-10, 0x1.445f199bc8611p-13,
                                 0x1.00f1bb8efe896p-16};
constexpr double exp2_double[] = {
    0x1.62e42fefa39efp-1,  0x1.ebfbdff82c58fp-3,  0x1.c6b08d704a0d1p-5,  0x1.3b2ab6fba4e82p-7,
    0x1.5d87fe78a223fp-10, 0x1.430912f868d31p-13, 0x1.ffcbfc7611e73p-17, 0x1.62c0224db13b8p-20,
    0x1.b524daee3b56ep-24, 0x1.e4cee8096839ep-28, 0x1.ea04c159e3a4ep-32, 0x1.c4daede40848ap-36};

// e^r on the reduced range
Expr exp_kernel(const Expr& r) {
  std::span<const double> c = exp_float;
  if (is_double(r)) c = exp_double;
  return fma(fma(polynomial(r, c), r, 1.0), r, 1.0);
}

struct Reduced {
  Expr r, n;  // x = n * ln(2) + r
};
Reduced reduce_exponent(const Expr& x) {
  const Format& f = format_of(x);
  Rounded n = round_product(x, M_LOG2E);
  Expr r = fma(n.value, -f.ln2_high, x);
  return {fma(n.value, -f.ln2_low, r), n.bits};
}

Expr clamp_exponent(const Expr& x) {
  return is_double(x) ? at_most(at_least(x, -746), 710) : at_most(at_least(x, -104), 89);
}

}  // namespace

// e^(x + low) for a small correction `low` (may be null).
Expr make_exp(const Expr& x, const Expr& low) {
  auto [r, n] = reduce_exponent(clamp_exponent(x));
  if (low) r = r + low;
  return scale(exp_kernel(r), n);
}

namespace {

// e^x for x <= 0 whose result is normal or does not matter.
Expr make_exp_normal(const Expr& x) {
  auto [r, n] = reduce_exponent(x);
  return exp_kernel(r) * power_of_two(n, x);
}

}  // namespace

Expr make_exp2(const Expr& x) {
  Expr y = is_double(x) ? at_most(at_least(x, -1076), 1025) : at_most(at_least(x, -151), 129);
  Rounded n = round_product(y, 1.0);
  Expr r = y - n.value;
  std::span<const double> c = exp2_float;
  if (is_double(x)) c = exp2_double;
  return scale(fma(polynomial(r, c), r, 1.0), n.bits);
}

namespace {

// e^r - 1 on the reduced range
Expr expm1_kernel(const Expr& r) {
  std::span<const double> c = expm1_float;
  if (is_double(r)) c = exp_double;
  return fma(polynomial(r, c), r * r, r);
}

}  // namespace

Expr make_expm1(const Expr& x) {
  Expr y = is_double(x) ? at_most(at_least(x, -40), 710) : at_most(at_least(x, -20), 89);
  auto [r, n] = reduce_exponent(y);
  // Half of it, as 2^n may be too big.
  Expr s = power_of_two(n - integer(n, 1), x);
  Expr half = fma(s, expm1_kernel(r), s - 0.5);
  Expr tiny = less(magnitude(x), is_double(x) ? 0x1p-54 : 0x1p-25);
  return choose(tiny, x, half + half);
}

Expr make_tanh(const Expr& x) {
  Expr a = magnitude(x);
  Expr y = at_least(a * -2.0, is_double(x) ? -40.0 : -20.0);
  auto [r, n] = reduce_exponent(y);
  Expr s = power_of_two(n, x);
  Expr t = fma(s, expm1_kernel(r), s - 1.0);  // e^(-2|x|) - 1
  Expr y2 = t / (-2.0 - t);
  Expr tiny = less(a, is_double(x) ? 0x1p-28 : 0x1p-13);
  return with_sign_of(choose(tiny, a, y2), x);
}

Expr make_sigmoid(const Expr& x) {
  Expr e = make_exp(magnitude(x) * -1.0);
  Expr r = 1.0 / (e + 1.0);
  return choose(less(x, 0), e * r, r);
}

namespace {

// sinh and cosh for |x| > 22: half of e^|x|, in factors that do not overflow early.
Expr half_exp(const Expr& a) {
  Expr e = make_exp(a * 0.5);
  return e * 0.5 * e;
}

}  // namespace

Expr make_sinh(const Expr& x) {
  Expr a = magnitude(x);
  Expr t = make_expm1(at_most(a, 23));
  Expr small = (t + t / (t + 1.0)) * 0.5;
  return with_sign_of(choose(greater(a, 22), half_exp(a), small), x);
}

Expr make_cosh(const Expr& x) {
  Expr a = magnitude(x);
  Expr e = make_exp(at_most(a, 23));
  Expr small = e * 0.5 + 0.5 / e;
  return choose(greater(a, 22), half_exp(a), small);
}

namespace {

// erf(x) / x - 1 in x^2 for |x| < 0.92, and -log(erfc(x)) / x up to 4
constexpr double erf_float[] = {0x1.06eba5d731037p-3, -0x1.8126e5a8dedc2p-2,
                                0x1.ce1a46c289fd9p-4, -0x1.b686ed2fcdcb3p-6,
                                0x1.4716c30c93ef1p-8, -0x1.395c899c65299p-11};
constexpr double erfc_float[] = {
    0x1.20ef1b812e866p+0, 0x1.45328db0bec8cp-1,   0x1.b3257041f0e8ep-4, -0x1.85514f50cb63dp-6,
    0x1.dd6c9f76339e0p-9, -0x1.527bf6106d283p-12, 0x1.78dc1091e4549p-17};
// the first for |x| < 0.9, and erfc(x) e^(x^2) in (x - 2) / (x + 2) up to 6
constexpr double erf_double[] = {
    0x1.06eba8214db69p-3,  -0x1.812746b0379e7p-2,  0x1.ce2f21a042bcfp-4,  -0x1.b82ce3128835fp-6,
    0x1.565bcd0e4e29dp-8,  -0x1.c02db3f8d299dp-11, 0x1.f9a325b763e9dp-14, -0x1.f4d23799181e6p-17,
    0x1.b9e3ee7850e29p-20, -0x1.5f4ce686790fbp-23, 0x1.f9e783e1d0e51p-27, -0x1.405597426d396p-30,
    0x1.1dc3c6ac58a3fp-34};
constexpr double erfc_double[] = {
    0x1.058671b52c776p-2,   -0x1.b57034efd3f72p-2, 0x1.eeea7dc8a78b3p-3,   -0x1.437f0b68c0c42p-4,
    0x1.e9471597a0fedp-9,   0x1.ca95ed535b384p-8,  -0x1.bc25a47c64104p-11, -0x1.016b5cfd20af3p-10,
    0x1.6d5ef168a897dp-15,  0x1.6da97ca3526adp-13, 0x1.cdce9b3b59248p-16,  -0x1.ceaeed4df74ecp-16,
    -0x1.d4be98e16f1e6p-17, 0x1.69cfec109c7b1p-20, 0x1.f22915fb54f48p-19,  0x1.71c7ed7a67cb9p-20,
    0x1.cc4d668b10c92p-24};

}  // namespace

Expr make_erf(const Expr& x) {
  Expr a = magnitude(x);
  Expr z = x * x;
  if (!is_double(x)) {
    Expr small = fma(polynomial(z, erf_float), x, x);
    Expr t = at_most(a, 4.0);
    Expr e = make_exp_normal(t * -1.0 * polynomial(t, erfc_float));
    return choose(less(a, 0.92), small, with_sign_of(1.0 - e, x));
  }
  Expr small = fma(polynomial(z, erf_double), x, x);
  Expr t = at_most(a, 6.0);
  Expr q = (t - 2.0) / (t + 2.0);
  Expr e = make_exp_normal(t * -1.0 * t);
  Expr large = 1.0 - e * polynomial(q, erfc_double);
  return choose(less(a, 0.9), small, with_sign_of(large, x));
}

}  // namespace repose::math
