// Polynomials are minimax (Remez) on the reduced ranges that are stated beside them. Reductions
// follow Cody and Waite; compensated arithmetic follows Dekker (1971).
#include "passes/tensor/expand_math.h"

#include <bit>
#include <cmath>
#include <limits>
#include <span>

namespace repose {

namespace {

// ---- A notation for expressions of one floating-point dtype -------------------------------------

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Expr operator/(const Expr& a, const Expr& b) {
  return make_binary(ExprKind::div, a, b);
}
Expr constant(const Expr& like, double value) {
  return make_float(value, like->dtype);
}
Expr operator+(const Expr& a, double b) {
  return make_binary(ExprKind::add, a, constant(a, b));
}
Expr operator-(const Expr& a, double b) {
  return make_binary(ExprKind::sub, a, constant(a, b));
}
Expr operator-(double a, const Expr& b) {
  return make_binary(ExprKind::sub, constant(b, a), b);
}
Expr operator*(const Expr& a, double b) {
  return make_binary(ExprKind::mul, a, constant(a, b));
}
Expr operator/(double a, const Expr& b) {
  return make_binary(ExprKind::div, constant(b, a), b);
}
Expr less(const Expr& a, double b) {
  return lt(a, constant(a, b));
}
Expr greater(const Expr& a, double b) {
  return make_binary(ExprKind::gt, a, constant(a, b));
}
Expr equals(const Expr& a, double b) {
  return eq(a, constant(a, b));
}
Expr either(const Expr& a, const Expr& b) {
  return logical_or(a, b);
}
Expr choose(const Expr& c, const Expr& a, const Expr& b) {
  return make_select(c, a, b);
}
Expr choose(const Expr& c, double a, const Expr& b) {
  return make_select(c, constant(b, a), b);
}
Expr choose(const Expr& c, const Expr& a, double b) {
  return make_select(c, a, constant(a, b));
}
Expr call(Intrinsic i, const Expr& a) {
  return make_call(i, a);
}
Expr fma(const Expr& a, const Expr& b, const Expr& c) {
  return make_call(Intrinsic::fma, a->dtype, {a, b, c});
}
Expr fma(const Expr& a, double b, const Expr& c) {
  return fma(a, constant(a, b), c);
}
Expr fma(const Expr& a, const Expr& b, double c) {
  return fma(a, b, constant(a, c));
}
Expr magnitude(const Expr& x) {
  return call(Intrinsic::abs, x);
}
Expr with_sign_of(const Expr& x, const Expr& sign) {
  return make_call(Intrinsic::copysign, x, sign);
}
// NaN stays.
Expr at_least(const Expr& x, double bound) {
  return choose(less(x, bound), bound, x);
}
Expr at_most(const Expr& x, double bound) {
  return choose(greater(x, bound), bound, x);
}

// Horner's rule, coefficients from the constant on.
Expr polynomial(const Expr& x, std::span<const double> c) {
  Expr sum = constant(x, c.back());
  for (size_t i = c.size() - 1; i-- > 0;) sum = fma(sum, x, c[i]);
  return sum;
}

// ---- Formats ------------------------------------------------------------------------------------

struct Format {
  bool is_double;
  int mantissa_bits;  // without the hidden bit
  int bias;
  double round_magic;  // adding it rounds to an integer, which the low bits then hold
  double smallest_normal;
  double ln2_high, ln2_low;  // ln2_high times an exponent is exact
};
const Format float_format{false, 23, 127, 0x1.8p23, 0x1p-126, 0.693359375, -2.12194440e-4};
const Format double_format{
    true, 52, 1023, 0x1.8p52, 0x1p-1022, 6.93147180369123816490e-01, 1.90821492927058770002e-10};

const Format& format_of(const Expr& x) {
  return x->dtype.bits == 64 ? double_format : float_format;
}

DType int_type(const Expr& x) {
  return (x->dtype.bits == 64 ? dtypes::int64 : dtypes::int32).with_lanes(x->dtype.lanes);
}
Expr bits_of(const Expr& x) {
  return make_call(Intrinsic::reinterpret, int_type(x), {x});
}
Expr float_of_bits(const Expr& bits, const Expr& like) {
  return make_call(Intrinsic::reinterpret, like->dtype, {bits});
}
Expr integer(const Expr& like, int64_t value) {
  return make_int(value, like->dtype);
}
Expr shift_left(const Expr& x, int n) {
  return make_binary(ExprKind::shift_left, x, integer(x, n));
}
Expr shift_right(const Expr& x, int n) {
  return make_binary(ExprKind::shift_right, x, integer(x, n));
}
Expr bit_and(const Expr& x, int64_t mask) {
  return make_binary(ExprKind::bit_and, x, integer(x, mask));
}

Expr widen(const Expr& x) {
  return make_cast(dtypes::float64.with_lanes(x->dtype.lanes), x);
}
Expr narrow(const Expr& x) {
  return make_cast(dtypes::float32.with_lanes(x->dtype.lanes), x);
}
bool is_double(const Expr& x) {
  return x->dtype.bits == 64;
}

// The integer nearest to x, as a float and as an integer.
struct Rounded {
  Expr value, bits;
};
Rounded round_product(const Expr& x, double factor) {
  double magic = format_of(x).round_magic;
  Expr t = fma(x, factor, constant(x, magic));
  int64_t magic_bits = is_double(x) ? std::bit_cast<int64_t>(magic)
                                    : int64_t{std::bit_cast<int32_t>(static_cast<float>(magic))};
  return {t - magic, make_binary(ExprKind::sub, bits_of(t), make_int(magic_bits, int_type(x)))};
}

// 2^n for n in the normal range of exponents.
Expr power_of_two(const Expr& n, const Expr& like) {
  const Format& f = format_of(like);
  return float_of_bits(
      shift_left(make_binary(ExprKind::add, n, integer(n, f.bias)), f.mantissa_bits), like);
}

// x * 2^n where the result may be subnormal or overflow: in two steps, the first of which is exact.
Expr scale(const Expr& x, const Expr& n) {
  Expr half = shift_right(n, 1);
  Expr rest = make_binary(ExprKind::sub, n, half);
  return make_binary(ExprKind::mul, make_binary(ExprKind::mul, x, power_of_two(half, x)),
                     power_of_two(rest, x));
}

// ---- Exponentials -------------------------------------------------------------------------------

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

std::span<const double> exp_coefficients(const Expr& x) {
  if (is_double(x)) return exp_double;
  return exp_float;
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

// e^(x + low) for a small correction `low` (may be null).
Expr make_exp(const Expr& x, const Expr& low = nullptr) {
  auto [r, n] = reduce_exponent(clamp_exponent(x));
  if (low) r = make_binary(ExprKind::add, r, low);
  Expr p = fma(fma(polynomial(r, exp_coefficients(x)), r, 1.0), r, 1.0);
  return scale(p, n);
}

// e^x for x <= 0 whose result is normal or does not matter.
Expr make_exp_normal(const Expr& x) {
  auto [r, n] = reduce_exponent(x);
  Expr p = fma(fma(polynomial(r, exp_coefficients(x)), r, 1.0), r, 1.0);
  return make_binary(ExprKind::mul, p, power_of_two(n, x));
}

Expr make_exp2(const Expr& x) {
  Expr y = is_double(x) ? at_most(at_least(x, -1076), 1025) : at_most(at_least(x, -151), 129);
  Rounded n = round_product(y, 1.0);
  Expr r = make_binary(ExprKind::sub, y, n.value);
  std::span<const double> c = exp2_float;
  if (is_double(x)) c = exp2_double;
  return scale(fma(polynomial(r, c), r, 1.0), n.bits);
}

// e^r - 1 on the reduced range
Expr expm1_kernel(const Expr& r) {
  std::span<const double> c = expm1_float;
  if (is_double(r)) c = exp_double;
  return fma(polynomial(r, c), make_binary(ExprKind::mul, r, r), r);
}

Expr make_expm1(const Expr& x) {
  Expr y = is_double(x) ? at_most(at_least(x, -40), 710) : at_most(at_least(x, -20), 89);
  auto [r, n] = reduce_exponent(y);
  // Half of it, as 2^n may be too big.
  Expr s = power_of_two(make_binary(ExprKind::sub, n, integer(n, 1)), x);
  Expr half = fma(s, expm1_kernel(r), s - 0.5);
  Expr tiny = less(magnitude(x), is_double(x) ? 0x1p-54 : 0x1p-25);
  return choose(tiny, x, make_binary(ExprKind::add, half, half));
}

Expr make_tanh(const Expr& x) {
  Expr a = magnitude(x);
  Expr y = at_least(a * -2.0, is_double(x) ? -40.0 : -20.0);
  auto [r, n] = reduce_exponent(y);
  Expr s = power_of_two(n, x);
  Expr t = fma(s, expm1_kernel(r), s - 1.0);  // e^(-2|x|) - 1
  Expr y2 = make_binary(ExprKind::div, t, -2.0 - t);
  Expr tiny = less(a, is_double(x) ? 0x1p-28 : 0x1p-13);
  return with_sign_of(choose(tiny, a, y2), x);
}

Expr make_sigmoid(const Expr& x) {
  Expr e = make_exp(magnitude(x) * -1.0);
  Expr r = 1.0 / (e + 1.0);
  return choose(less(x, 0), make_binary(ExprKind::mul, e, r), r);
}

// sinh and cosh for |x| > 22: half of e^|x|, in factors that do not overflow early.
Expr half_exp(const Expr& a) {
  Expr e = make_exp(a * 0.5);
  return make_binary(ExprKind::mul, e * 0.5, e);
}

Expr make_sinh(const Expr& x) {
  Expr a = magnitude(x);
  Expr t = make_expm1(at_most(a, 23));
  Expr small = make_binary(ExprKind::add, t, t / (t + 1.0)) * 0.5;
  return with_sign_of(choose(greater(a, 22), half_exp(a), small), x);
}

Expr make_cosh(const Expr& x) {
  Expr a = magnitude(x);
  Expr e = make_exp(at_most(a, 23));
  Expr small = make_binary(ExprKind::add, e * 0.5, 0.5 / e);
  return choose(greater(a, 22), half_exp(a), small);
}

// ---- Logarithms ---------------------------------------------------------------------------------

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
  Expr n = shift_right(make_binary(ExprKind::sub, bits, integer(bits, root)), format.mantissa_bits);
  Expr m = float_of_bits(make_binary(ExprKind::sub, bits, shift_left(n, format.mantissa_bits)), x);
  n = make_binary(ExprKind::sub, n,
                  make_select(subnormal, integer(n, format.mantissa_bits), integer(n, 0)));
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
  Expr z = make_binary(ExprKind::mul, f, f);
  Expr half = z * 0.5;
  if (!is_double(f)) {
    Expr cubic =
        make_binary(ExprKind::mul, make_binary(ExprKind::mul, z, f), polynomial(f, log_float));
    return make_binary(ExprKind::sub, cubic, half);
  }
  Expr s = f / (f + 2.0);
  Expr s2 = make_binary(ExprKind::mul, s, s);
  Expr r = make_binary(ExprKind::mul, s2, polynomial(s2, log_double));
  Expr inner = make_binary(ExprKind::mul, s, make_binary(ExprKind::add, half, r));
  return make_binary(ExprKind::sub, inner, half);
}

// The sum n * (high + low) + (f + tail) from small to large.
Expr log_sum(const Decomposed& d, const Expr& tail, double high, double low) {
  Expr sum = fma(d.n, low, tail);
  return fma(d.n, high, make_binary(ExprKind::add, d.f, sum));
}

Expr make_log(const Expr& x) {
  const Format& format = format_of(x);
  Decomposed d = decompose(x);
  return with_log_edges(x, log_sum(d, log_tail(d.f), format.ln2_high, format.ln2_low));
}

// log(1 + f) times 1 / log(base), with the constant in two parts.
Expr scaled_log(const Decomposed& d, double high, double low, double exponent_high,
                double exponent_low) {
  Expr tail = log_tail(d.f);
  // (f + tail) * (high + low), where f * high carries the weight
  const bool wide = is_double(d.f);
  // f with half of its bits, so that the product with `high` is exact
  Expr f_high =
      float_of_bits(bit_and(bits_of(d.f), wide ? ~int64_t{0xffffffff} : ~int64_t{0xfff}), d.f);
  Expr f_low = make_binary(ExprKind::sub, d.f, f_high);
  Expr rest = make_binary(ExprKind::add, f_low, tail);
  Expr small =
      make_binary(ExprKind::add, make_binary(ExprKind::add, f_high, rest) * low, rest * high);
  small = fma(d.n, exponent_low, small);
  Expr large = f_high * high;
  return fma(d.n, exponent_high, make_binary(ExprKind::add, large, small));
}

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
  Expr lost = make_binary(ExprKind::sub, x, u - 1.0);
  Expr correction = choose(greater(magnitude(lost), 0), lost / u, 0.0);
  Expr sum = make_binary(ExprKind::add, make_log(u), correction);
  return choose(less(magnitude(x), 0x1p-60), x, sum);
}

Expr make_asinh(const Expr& x) {
  Expr a = magnitude(x);
  Expr z = make_binary(ExprKind::mul, a, a);
  Expr root = call(Intrinsic::sqrt, z + 1.0);
  Expr middle = make_log1p(make_binary(ExprKind::add, a, z / (root + 1.0)));
  Expr large = make_log(a) + M_LN2;
  return with_sign_of(choose(greater(a, 0x1p28), large, middle), x);
}

Expr make_acosh(const Expr& x) {
  Expr t = x - 1.0;
  Expr root = call(Intrinsic::sqrt, make_binary(ExprKind::mul, t, t + 2.0));
  Expr middle = make_log1p(make_binary(ExprKind::add, t, root));
  Expr large = make_log(x) + M_LN2;
  return choose(less(x, 1), not_a_number, choose(greater(x, 0x1p28), large, middle));
}

Expr make_atanh(const Expr& x) {
  Expr a = magnitude(x);
  Expr argument = make_binary(ExprKind::add, a, a) / (1.0 - a);
  return with_sign_of(make_log1p(argument) * 0.5, x);
}

// ---- Error function -----------------------------------------------------------------------------

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

Expr make_erf(const Expr& x) {
  Expr a = magnitude(x);
  Expr z = make_binary(ExprKind::mul, x, x);
  if (!is_double(x)) {
    Expr small = fma(polynomial(z, erf_float), x, x);
    Expr t = at_most(a, 4.0);
    Expr e = make_exp_normal(make_binary(ExprKind::mul, t * -1.0, polynomial(t, erfc_float)));
    return choose(less(a, 0.92), small, with_sign_of(1.0 - e, x));
  }
  Expr small = fma(polynomial(z, erf_double), x, x);
  Expr t = at_most(a, 6.0);
  Expr q = (t - 2.0) / (t + 2.0);
  Expr e = make_exp_normal(make_binary(ExprKind::mul, t * -1.0, t));
  Expr large = 1.0 - make_binary(ExprKind::mul, e, polynomial(q, erfc_double));
  return choose(less(a, 0.9), small, with_sign_of(large, x));
}

// ---- Circular functions (float64) ---------------------------------------------------------------

// (sin(r) / r - 1) / r^2 and (cos(r) - 1 + r^2 / 2) / r^4 in r^2 for |r| <= pi / 4
constexpr double sin_double[] = {
    -0x1.5555555555555p-3,  0x1.111111111110bp-7,  -0x1.a01a01a018a7cp-13, 0x1.71de3a5330d6fp-19,
    -0x1.ae64528cd8f27p-26, 0x1.61208b4b779e3p-33, -0x1.aaa18969a6087p-41};
constexpr double cos_double[] = {
    0x1.5555555555555p-5,  -0x1.6c16c16c16c10p-10, 0x1.a01a01a018d90p-16, -0x1.27e4fb75f7611p-22,
    0x1.1eed8c9cbc331p-29, -0x1.9393304edd1bdp-37, 0x1.aac20d9048858p-45};

struct Pair {
  Expr high, low;  // an unevaluated sum
};

// a - b exactly (Knuth's sum of two numbers).
Pair exact_difference(const Expr& a, const Expr& b) {
  auto sub = [](const Expr& p, const Expr& q) { return make_binary(ExprKind::sub, p, q); };
  Expr high = sub(a, b);
  Expr b_part = sub(a, high);
  Expr a_part = make_binary(ExprKind::add, high, b_part);
  return {high, make_binary(ExprKind::add, sub(a, a_part), sub(b_part, b))};
}

struct SinCos {
  Expr sin, cos;  // of the reduced argument
  Expr quadrant;  // integer; its two low bits count
};
SinCos reduced_sin_cos(const Expr& x) {
  // pi / 2 in pieces of 25 bits: products with integers up to 2^26 are exact, with fma or without.
  // What the differences lose is kept, so that arguments near a multiple of pi / 2 keep their
  // digits.
  constexpr double pieces[] = {0x1.921fb4p+0, 0x1.4442d0p-24, 0x1.846988p-48,
                               0x1.8cc51701b839ap-72};
  Rounded n = round_product(x, M_2_PI);
  Expr r0 = fma(n.value, -pieces[0], x);
  Pair r1 = exact_difference(r0, n.value * pieces[1]);
  Pair r2 = exact_difference(r1.high, n.value * pieces[2]);
  Expr low = make_binary(ExprKind::add, r1.low, r2.low);
  low = make_binary(ExprKind::sub, low, n.value * pieces[3]);
  Expr y = make_binary(ExprKind::add, r2.high, low);
  Expr tail = make_binary(ExprKind::add, make_binary(ExprKind::sub, r2.high, y), low);
  y = at_most(at_least(y, -0.79), 0.79);
  Expr z = make_binary(ExprKind::mul, y, y);
  // sin(y + tail) = sin(y) + tail, cos(y + tail) = cos(y) - y * tail, to the last bit
  Expr cubic =
      make_binary(ExprKind::mul, make_binary(ExprKind::mul, z, y), polynomial(z, sin_double));
  Expr sin = make_binary(ExprKind::add, y, make_binary(ExprKind::add, cubic, tail));
  Expr half = z * 0.5;
  Expr one = 1.0 - half;
  Expr rounding = make_binary(ExprKind::sub, 1.0 - one, half);
  Expr quartic =
      make_binary(ExprKind::mul, make_binary(ExprKind::mul, z, z), polynomial(z, cos_double));
  Expr correction = make_binary(ExprKind::sub, quartic, make_binary(ExprKind::mul, y, tail));
  Expr cos = make_binary(ExprKind::add, one, make_binary(ExprKind::add, rounding, correction));
  return {sin, cos, n.bits};
}

Expr is_odd(const Expr& n) {
  return ne(bit_and(n, 1), integer(n, 0));
}
Expr negated(const Expr& x) {
  return x * -1.0;
}

// sin(x + shift * pi / 2)
Expr make_sine(const Expr& x, int shift) {
  SinCos s = reduced_sin_cos(x);
  Expr q =
      shift == 0 ? s.quadrant : make_binary(ExprKind::add, s.quadrant, integer(s.quadrant, shift));
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
  Expr z = make_select(big, complement, make_binary(ExprKind::mul, a, a));
  Expr tail =
      make_binary(ExprKind::mul, make_binary(ExprKind::mul, root, z), polynomial(z, asin_double));
  return {big, root, tail};
}

Expr make_asin(const Expr& x) {
  ArcSine s = arc_sine(magnitude(x));
  Expr small = make_binary(ExprKind::add, s.root, s.tail);
  Expr twice = make_binary(ExprKind::sub, small * 2.0, constant(x, half_pi_low));
  return with_sign_of(make_select(s.big, half_pi_high - twice, small), x);
}

Expr make_acos(const Expr& x) {
  ArcSine s = arc_sine(magnitude(x));
  Expr negative = less(x, 0);
  Expr angle = make_binary(ExprKind::add, s.root, s.tail);
  Expr twice = angle * 2.0;
  Expr pi = constant(x, 2 * half_pi_high);
  Expr far = make_select(negative, make_binary(ExprKind::sub, pi, twice - 2 * half_pi_low), twice);
  Expr signed_angle = with_sign_of(angle, x);
  Expr near = half_pi_high - (signed_angle - half_pi_low);
  return make_select(s.big, far, near);
}

// For a >= 0.
Expr arc_tangent(const Expr& a) {
  Expr big = greater(a, 2.414213562373095), middle = greater(a, 0.4142135623730951);
  Expr numerator = make_select(big, constant(a, -1), make_select(middle, a - 1.0, a));
  Expr denominator = make_select(big, a, choose(middle, a + 1.0, 1.0));
  Expr t = numerator / denominator;
  Expr z = make_binary(ExprKind::mul, t, t);
  Expr tail =
      make_binary(ExprKind::mul, make_binary(ExprKind::mul, t, z), polynomial(z, atan_double));
  Expr low = choose(big, half_pi_low, choose(middle, half_pi_low / 2, constant(a, 0)));
  Expr high = choose(big, half_pi_high, choose(middle, half_pi_high / 2, constant(a, 0)));
  return make_binary(ExprKind::add, high,
                     make_binary(ExprKind::add, t, make_binary(ExprKind::add, tail, low)));
}

Expr make_atan(const Expr& x) {
  return with_sign_of(arc_tangent(magnitude(x)), x);
}

Expr make_atan2(const Expr& y, const Expr& x) {
  Expr ay = magnitude(y), ax = magnitude(x);
  Expr both_infinite = logical_and(equals(ay, infinity), equals(ax, infinity));
  Expr ratio = choose(equals(ay, 0), constant(y, 0), choose(both_infinite, 1.0, ay / ax));
  Expr angle = arc_tangent(ratio);
  Expr is_negative = lt(bits_of(x), make_int(0, int_type(x)));
  Expr flipped = 2 * half_pi_high - (angle - 2 * half_pi_low);
  Expr result = with_sign_of(make_select(is_negative, flipped, angle), y);
  Expr undefined = either(call(Intrinsic::isnan, x), call(Intrinsic::isnan, y));
  return choose(undefined, not_a_number, result);
}

// ---- Powers (float64) ---------------------------------------------------------------------------

// a * b exactly (Dekker), without fma, so that every target gets the same.
Pair exact_product(const Expr& a, const Expr& b) {
  auto split = [](const Expr& x) {
    Expr c = x * 134217729.0;
    Expr high = make_binary(ExprKind::sub, c, make_binary(ExprKind::sub, c, x));
    return Pair{high, make_binary(ExprKind::sub, x, high)};
  };
  auto mul = [](const Expr& p, const Expr& q) { return make_binary(ExprKind::mul, p, q); };
  Pair x = split(a), y = split(b);
  Expr high = mul(a, b);
  Expr error = make_binary(ExprKind::sub, mul(x.high, y.high), high);
  error = make_binary(ExprKind::add, error, mul(x.high, y.low));
  error = make_binary(ExprKind::add, error, mul(x.low, y.high));
  return {high, make_binary(ExprKind::add, error, mul(x.low, y.low))};
}

// a + b exactly for |a| >= |b| (or a = 0).
Pair exact_sum(const Expr& a, const Expr& b) {
  Expr high = make_binary(ExprKind::add, a, b);
  return {high, make_binary(ExprKind::sub, b, make_binary(ExprKind::sub, high, a))};
}

// (log((1 + s) / (1 - s)) / s - 2 - 2/3 s^2) / s^4 in s^2
constexpr double log_tail_double[] = {
    0x1.999999999999ap-2, 0x1.2492492492524p-2, 0x1.c71c71c6e9f37p-3, 0x1.745d177b267cap-3,
    0x1.3b139598f86bfp-3, 0x1.1118d377f4eebp-3, 0x1.df7a766b0e801p-4, 0x1.e045d42c33e1ep-4};

// log(x) to about 60 bits for positive finite x: log(2^n (1 + f)) = n log 2 + 2 atanh(f / (2 + f)).
Pair accurate_log(const Expr& x) {
  auto add = [](const Expr& a, const Expr& b) { return make_binary(ExprKind::add, a, b); };
  auto sub = [](const Expr& a, const Expr& b) { return make_binary(ExprKind::sub, a, b); };
  auto mul = [](const Expr& a, const Expr& b) { return make_binary(ExprKind::mul, a, b); };
  Decomposed d = decompose(x);
  Expr denominator = d.f + 2.0;
  Expr denominator_low = sub(d.f, denominator - 2.0);
  Expr s = d.f / denominator;
  Pair product = exact_product(s, denominator);
  Expr rest = sub(sub(sub(d.f, product.high), product.low), mul(s, denominator_low));
  Expr s_low = rest / denominator;
  Expr z = mul(s, s);
  Expr series = mul(mul(s, z), fma(z, polynomial(z, log_tail_double), 0x1.5555555555555p-1));
  Pair sum = exact_sum(d.n * double_format.ln2_high, s * 2.0);
  Expr low = add(sum.low, add(fma(d.n, double_format.ln2_low, s_low * 2.0), series));
  return exact_sum(sum.high, low);
}

// Signs and special values around |x|^y.
Expr with_power_edges(const Expr& x, const Expr& y, const Expr& power) {
  Expr a = magnitude(x);
  auto is_integer = [](const Expr& v) { return eq(call(Intrinsic::floor, v), v); };
  Expr whole = is_integer(y);
  Expr odd = logical_and(whole, make_not(is_integer(y * 0.5)));
  Expr negative = lt(bits_of(x), make_int(0, int_type(x)));
  Expr r = choose(equals(a, 1), 1.0, power);  // also 1^inf
  r = choose(either(call(Intrinsic::isnan, x), call(Intrinsic::isnan, y)), not_a_number, r);
  r = make_select(logical_and(negative, odd), negated(r), r);
  Expr finite = logical_and(less(x, 0), greater(x, -infinity));
  r = choose(logical_and(finite, make_not(whole)), not_a_number, r);
  return choose(either(equals(x, 1), equals(y, 0)), 1.0, r);
}

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
  return with_power_edges(x, y, make_exp(make_binary(ExprKind::mul, log, y)));
}

// ---- Dispatch -----------------------------------------------------------------------------------

Expr expand_in_double(Intrinsic intrinsic, const Expr& x) {
  switch (intrinsic) {
    case Intrinsic::log10:
      return make_log10(x);
    case Intrinsic::log1p:
      return make_log1p(x);
    case Intrinsic::sin:
      return make_sine(x, 0);
    case Intrinsic::cos:
      return make_sine(x, 1);
    case Intrinsic::tan:
      return make_tan(x);
    case Intrinsic::asin:
      return make_asin(x);
    case Intrinsic::acos:
      return make_acos(x);
    case Intrinsic::atan:
      return make_atan(x);
    case Intrinsic::sinh:
      return make_sinh(x);
    case Intrinsic::cosh:
      return make_cosh(x);
    case Intrinsic::asinh:
      return make_asinh(x);
    case Intrinsic::acosh:
      return make_acosh(x);
    case Intrinsic::atanh:
      return make_atanh(x);
    default:
      return nullptr;
  }
}

// Of float32 or float64; null: not a function of the table.
Expr expand_unary(Intrinsic intrinsic, const Expr& x) {
  switch (intrinsic) {
    case Intrinsic::exp:
      return make_exp(x);
    case Intrinsic::exp2:
      return make_exp2(x);
    case Intrinsic::expm1:
      return make_expm1(x);
    case Intrinsic::log:
      return make_log(x);
    case Intrinsic::log2:
      return make_log2(x);
    case Intrinsic::tanh:
      return make_tanh(x);
    case Intrinsic::sigmoid:
      return make_sigmoid(x);
    case Intrinsic::erf:
      return make_erf(x);
    case Intrinsic::rsqrt:
      return 1.0 / call(Intrinsic::sqrt, x);
    default:
      break;
  }
  if (is_double(x)) return expand_in_double(intrinsic, x);
  Expr wide = expand_in_double(intrinsic, widen(x));
  return wide ? narrow(wide) : nullptr;
}

Expr expand_binary(Intrinsic intrinsic, const Expr& x, const Expr& y) {
  bool wide = is_double(x);
  if (intrinsic == Intrinsic::pow) {
    return wide ? make_pow(x, y) : narrow(make_float_pow(widen(x), widen(y)));
  }
  if (intrinsic == Intrinsic::atan2) {
    return wide ? make_atan2(x, y) : narrow(make_atan2(widen(x), widen(y)));
  }
  return nullptr;
}

Expr expand_call(const Expr& e) {
  const auto* c = as<CallNode>(e);
  if (!c || !intrinsic_is_pure(c->intrinsic) || !e->dtype.is_float() || c->args.empty() ||
      c->args.size() > 2 || c->args[0]->dtype != e->dtype) {
    return e;
  }
  std::vector<Expr> args = c->args;
  bool is_narrow = e->dtype.bits == 16;
  if (is_narrow) {
    for (Expr& a : args) a = narrow(a);
  }
  Expr expanded = args.size() == 1 ? expand_unary(c->intrinsic, args[0])
                                   : expand_binary(c->intrinsic, args[0], args[1]);
  if (!expanded) return e;
  return is_narrow ? make_cast(e->dtype, expanded) : expanded;
}

class MathExpander : public tir::StmtRewriter {
 protected:
  Expr rewrite_expr(const Expr& e) override { return expand_math(e); }
};

}  // namespace

Expr expand_math(const Expr& e) {
  return rewrite(e, expand_call);
}

tir::PrimFunc expand_math(const tir::PrimFunc& f) {
  return tir::with_body(f, MathExpander().rewrite(f->body));
}

}  // namespace repose
