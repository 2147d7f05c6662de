// Arithmetic on ranges with strides. Limits are computed in 128 bits, where infinity is a number.
#include "expr/interval.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "expr/polynomial.h"

namespace repose {

namespace {

__extension__ typedef __int128 int128;

constexpr int64_t minus_infinity = Interval::minus_infinity;
constexpr int64_t plus_infinity = Interval::plus_infinity;
constexpr int128 wide_infinity = static_cast<int128>(1) << 100;

int128 wide_lower(const Interval& a) {
  return a.lower == minus_infinity ? -wide_infinity : static_cast<int128>(a.lower);
}
int128 wide_upper(const Interval& a) {
  return a.upper == plus_infinity ? wide_infinity : static_cast<int128>(a.upper);
}

int128 clamp(int128 v) {
  return std::clamp(v, -wide_infinity, wide_infinity);
}
bool is_infinite(int128 v) {
  return v >= wide_infinity || v <= -wide_infinity;
}

int128 wide_product(int128 a, int128 b) {
  if (a == 0 || b == 0) return 0;
  if (is_infinite(a) || is_infinite(b)) return (a < 0) == (b < 0) ? wide_infinity : -wide_infinity;
  return clamp(a * b);
}

// Of b > 0; infinity divided by anything finite stays infinite, and x // infinity is 0 or -1.
int128 wide_floor_div(int128 a, int128 b) {
  if (is_infinite(b)) {
    if (is_infinite(a)) return a;
    return a < 0 ? -1 : 0;
  }
  if (is_infinite(a)) return a;
  int128 q = a / b;
  return a % b < 0 ? q - 1 : q;
}

// Limits outside int64 become infinite, or the weakest finite limit on the other side.
Interval narrow(int128 lower, int128 upper) {
  Interval r;
  if (lower <= minus_infinity) {
    r.lower = minus_infinity;
  } else {
    r.lower = static_cast<int64_t>(std::min<int128>(lower, plus_infinity - 1));
  }
  if (upper >= plus_infinity) {
    r.upper = plus_infinity;
  } else {
    r.upper = static_cast<int64_t>(std::max<int128>(upper, minus_infinity + 1));
  }
  return r;
}

// A stride in which a point has 0, so that gcd works on it.
struct Stride {
  int128 divisor;
  int128 remainder;
};

Stride stride_of(const Interval& a) {
  if (a.is_point()) return {0, a.lower};
  return {a.divisor, a.remainder};
}

int128 wide_gcd(int128 a, int128 b) {
  if (a < 0) a = -a;
  if (b < 0) b = -b;
  while (b != 0) std::swap(a %= b, b);
  return a;
}

int128 wide_mod(int128 a, int128 b) {
  int128 r = a % b;
  return r < 0 ? r + b : r;
}

Interval with_stride(Interval a, Stride s) {
  if (s.divisor > 0 && s.divisor < plus_infinity) {
    a.divisor = static_cast<int64_t>(s.divisor);
    a.remainder = static_cast<int64_t>(wide_mod(s.remainder, s.divisor));
  }
  return tightened(a);
}

}  // namespace

bool Interval::contains(int64_t v) const {
  if (lower != minus_infinity && v < lower) return false;
  if (upper != plus_infinity && v > upper) return false;
  return floor_remainder(v, divisor) == remainder;
}

Interval interval_point(int64_t value) {
  if (value == minus_infinity || value == plus_infinity) {
    return value < 0 ? Interval{minus_infinity, minus_infinity + 1}
                     : Interval{plus_infinity - 1, plus_infinity};
  }
  return {value, value};
}

Interval interval_between(int64_t lower, int64_t upper) {
  return {lower, upper};
}

Interval interval_of_dtype(DType dtype) {
  if (dtype.is_bool()) return {0, 1};
  if (dtype.is_uint()) {
    return {0, dtype.bits >= 64 ? plus_infinity : (int64_t{1} << dtype.bits) - 1};
  }
  if (dtype.is_sint() && dtype.bits < 64) {
    int64_t half = int64_t{1} << (dtype.bits - 1);
    return {-half, half - 1};
  }
  return {};
}

std::string range_text(const Interval& range) {
  std::string out = range.lower == minus_infinity ? "" : std::to_string(range.lower);
  out += "..";
  if (range.upper != plus_infinity) out += std::to_string(range.upper);
  if (range.divisor != 1) out += "%" + std::to_string(range.divisor);
  return out;
}

bool is_empty(const Interval& a) {
  return a.lower > a.upper;
}
bool is_bounded(const Interval& a) {
  return a.lower != minus_infinity && a.upper != plus_infinity;
}

Interval tightened(Interval a) {
  if (a.divisor > 1) {
    if (a.lower != minus_infinity) {
      int128 step = wide_mod(static_cast<int128>(a.remainder) - a.lower, a.divisor);
      a.lower = static_cast<int64_t>(std::min<int128>(a.lower + step, plus_infinity - 1));
    }
    if (a.upper != plus_infinity) {
      int128 step = wide_mod(static_cast<int128>(a.upper) - a.remainder, a.divisor);
      a.upper = static_cast<int64_t>(std::max<int128>(a.upper - step, minus_infinity + 1));
    }
  }
  if (a.is_point() || is_empty(a)) {
    a.divisor = 1;
    a.remainder = 0;
  }
  return a;
}

namespace {

// x = r1 mod d1 and x = r2 mod d2; false if no x is.
bool combine(const Interval& a, const Interval& b, Stride* out) {
  int128 d1 = a.divisor, d2 = b.divisor;
  int128 g = wide_gcd(d1, d2);
  if (wide_mod(a.remainder, g) != wide_mod(b.remainder, g)) return false;
  int128 lcm = d1 / g * d2;
  if (lcm >= plus_infinity) {  // the larger stride alone is sound
    *out = d1 >= d2 ? Stride{d1, a.remainder} : Stride{d2, b.remainder};
    return true;
  }
  // The inverse of d1 / g modulo d2 / g, by Euclid.
  int128 m = d2 / g, x0 = 1, x1 = 0, p = d1 / g, q = m;
  while (q != 0) {
    int128 t = p / q;
    std::swap(p -= t * q, q);
    std::swap(x0 -= t * x1, x1);
  }
  int128 k =
      m == 1 ? 0 : wide_mod(wide_mod((b.remainder - a.remainder) / g, m) * wide_mod(x0, m), m);
  *out = {lcm, a.remainder + d1 * k};
  return true;
}

}  // namespace

Interval intersection(const Interval& a, const Interval& b) {
  Interval r{std::max(a.lower, b.lower), std::min(a.upper, b.upper)};
  Stride s{};
  if (!combine(a, b, &s)) return {1, 0};
  return with_stride(r, s);
}

Interval hull(const Interval& a, const Interval& b) {
  if (is_empty(a)) return b;
  if (is_empty(b)) return a;
  Interval r{std::min(a.lower, b.lower), std::max(a.upper, b.upper)};
  Stride s = stride_of(a), t = stride_of(b);
  int128 g = wide_gcd(wide_gcd(s.divisor, t.divisor), s.remainder - t.remainder);
  return with_stride(r, {g, s.remainder});
}

bool is_within(const Interval& inner, const Interval& outer) {
  return inner.lower >= outer.lower && inner.upper <= outer.upper;
}

Interval operator+(const Interval& a, const Interval& b) {
  Interval r = narrow(clamp(wide_lower(a) + wide_lower(b)), clamp(wide_upper(a) + wide_upper(b)));
  Stride s = stride_of(a), t = stride_of(b);
  return with_stride(r, {wide_gcd(s.divisor, t.divisor), s.remainder + t.remainder});
}

Interval operator-(const Interval& a) {
  return interval_scaled(a, -1);
}
Interval operator-(const Interval& a, const Interval& b) {
  return a + -b;
}

Interval interval_scaled(const Interval& a, int64_t k) {
  if (k == 0) return interval_point(0);
  int128 x = wide_product(wide_lower(a), k), y = wide_product(wide_upper(a), k);
  Interval r = narrow(std::min(x, y), std::max(x, y));
  if (is_empty(a)) r = {1, 0};
  int128 d = k < 0 ? -static_cast<int128>(k) : static_cast<int128>(k);
  Stride s = stride_of(a);
  return with_stride(r, {s.divisor * d, s.remainder * k});
}

Interval operator*(const Interval& a, const Interval& b) {
  if (b.is_point()) return interval_scaled(a, b.lower);
  if (a.is_point()) return interval_scaled(b, a.lower);
  int128 corners[] = {
      wide_product(wide_lower(a), wide_lower(b)), wide_product(wide_lower(a), wide_upper(b)),
      wide_product(wide_upper(a), wide_lower(b)), wide_product(wide_upper(a), wide_upper(b))};
  Interval r =
      narrow(*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4));
  int128 d1 = a.divisor, d2 = b.divisor, r1 = a.remainder, r2 = b.remainder;
  int128 g = wide_gcd(d1 * d2, wide_gcd(d1 * r2, d2 * r1));
  return with_stride(r, {g, r1 * r2});
}

namespace {

// Of b >= 1.
Interval floor_div_by_positive(const Interval& a, const Interval& b) {
  int128 corners[] = {
      wide_floor_div(wide_lower(a), wide_lower(b)), wide_floor_div(wide_lower(a), wide_upper(b)),
      wide_floor_div(wide_upper(a), wide_lower(b)), wide_floor_div(wide_upper(a), wide_upper(b))};
  Interval r =
      narrow(*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4));
  if (b.is_point() && a.divisor % b.lower == 0) {
    return with_stride(r, {a.divisor / b.lower, floor_quotient(a.remainder, b.lower)});
  }
  return r;
}

}  // namespace

Interval interval_floor_div(const Interval& a, const Interval& b) {
  if (is_empty(a) || is_empty(b)) return {1, 0};
  Interval result{1, 0};
  if (b.upper >= 1) {
    Interval positive = b;
    positive.lower = std::max<int64_t>(b.lower, 1);
    result = floor_div_by_positive(a, positive);
  }
  if (b.lower <= -1) {
    Interval negative = b;
    negative.upper = std::min<int64_t>(b.upper, -1);
    result = hull(result, floor_div_by_positive(-a, -negative));
  }
  return result;
}

namespace {

// Of b >= 1.
Interval floor_mod_by_positive(const Interval& a, const Interval& b) {
  Interval r{0, b.upper == plus_infinity ? plus_infinity : b.upper - 1};
  if (a.lower >= 0) {
    r.upper = std::min(r.upper, a.upper);
    if (a.upper < b.lower) return a;
  }
  if (!b.is_point()) return r;
  int64_t c = b.lower;
  if (is_bounded(a) && floor_quotient(a.lower, c) == floor_quotient(a.upper, c)) {
    return a + interval_scaled(interval_point(floor_quotient(a.lower, c)), -c);
  }
  Stride s = stride_of(a);
  return with_stride(r, {wide_gcd(s.divisor, c), s.remainder});
}

}  // namespace

Interval interval_floor_mod(const Interval& a, const Interval& b) {
  if (is_empty(a) || is_empty(b)) return {1, 0};
  Interval result{1, 0};
  if (b.upper >= 1) {
    Interval positive = b;
    positive.lower = std::max<int64_t>(b.lower, 1);
    result = floor_mod_by_positive(a, positive);
  }
  if (b.lower <= -1) {
    Interval negative = b;
    negative.upper = std::min<int64_t>(b.upper, -1);
    result = hull(result, -floor_mod_by_positive(-a, -negative));
  }
  return result;
}

namespace {
Interval between_with_both_strides(int64_t lower, int64_t upper, const Interval& a,
                                   const Interval& b) {
  Interval h = hull(a, b);
  return tightened({lower, upper, h.divisor, h.remainder});
}
}  // namespace

Interval interval_min(const Interval& a, const Interval& b) {
  if (is_empty(a) || is_empty(b)) return {1, 0};
  if (a.upper <= b.lower) return a;
  if (b.upper <= a.lower) return b;
  return between_with_both_strides(std::min(a.lower, b.lower), std::min(a.upper, b.upper), a, b);
}

Interval interval_max(const Interval& a, const Interval& b) {
  if (is_empty(a) || is_empty(b)) return {1, 0};
  if (a.upper <= b.lower) return b;
  if (b.upper <= a.lower) return a;
  return between_with_both_strides(std::max(a.lower, b.lower), std::max(a.upper, b.upper), a, b);
}

bool known_residue(const Interval& a, int64_t c, int64_t* residue) {
  if (a.is_point()) {
    *residue = floor_remainder(a.lower, c);
    return true;
  }
  if (a.divisor % c != 0) return false;
  *residue = floor_remainder(a.remainder, c);
  return true;
}

}  // namespace repose
