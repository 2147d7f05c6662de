// Arithmetic on constants: the definition of what every scalar operation gives at its edges.
#include "expr/scalar.h"

#include <bit>
#include <cmath>
#include <limits>

#include "expr/tiny_float.h"

namespace repose {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct FloatFormat {
  int precision;     // bits of the significand, the leading one included
  int min_exponent;  // of the smallest normal number
  int max_exponent;
};
constexpr FloatFormat half_format{11, -14, 15};
constexpr FloatFormat bfloat_format{8, -126, 127};

// Nearest even in the format, subnormals included; beyond the largest number lies infinity.
double round_to_format(const FloatFormat& format, double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  int exponent = std::max(std::ilogb(value), format.min_exponent);
  int unit = exponent - format.precision + 1;
  double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
  double limit = std::ldexp(1.0, format.max_exponent + 1);
  return std::abs(rounded) >= limit ? std::copysign(infinity, value) : rounded;
}

int64_t wrap(int64_t value, DType dtype) {
  if (dtype.is_bool()) return value != 0;
  if (!dtype.is_data_int() || dtype.bits >= 64) return value;
  int shift = 64 - dtype.bits;
  uint64_t bits = static_cast<uint64_t>(value) << shift;
  return dtype.is_sint() ? static_cast<int64_t>(bits) >> shift
                         : static_cast<int64_t>(bits >> shift);
}

// float16, bfloat16 and float32 compute in float32.
bool computes_in_float(DType dtype) {
  return dtype.is_float() && dtype.bits <= 32;
}

Scalar of_bool(bool value) {
  return {dtypes::boolean, value, 0};
}

}  // namespace

Scalar Scalar::of_int(int64_t value, DType dtype) {
  return {dtype, wrap(value, dtype), 0};
}
Scalar Scalar::of_float(double value, DType dtype) {
  return {dtype, 0, round_to(dtype, value)};
}

bool Scalar::operator==(const Scalar& other) const {
  if (dtype != other.dtype) return false;
  if (!dtype.is_float()) return i == other.i;
  if (std::isnan(f) || std::isnan(other.f)) return std::isnan(f) && std::isnan(other.f);
  return std::bit_cast<uint64_t>(f) == std::bit_cast<uint64_t>(other.f);
}

double round_to(DType dtype, double value) {
  if (dtype.code == DType::Code::bfloat) return round_to_format(bfloat_format, value);
  if (dtype.is_tiny_float()) return from_tiny_float(dtype, to_tiny_float(dtype, value));
  if (dtype.bits == 16) return round_to_format(half_format, value);
  return dtype.bits == 32 ? static_cast<double>(static_cast<float>(value)) : value;
}

uint16_t float_to_half(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  double rounded = round_to_format(half_format, std::bit_cast<float>(magnitude));
  if (rounded == 0) return sign;
  if (std::isinf(rounded)) return sign | 0x7c00;
  int exponent = std::ilogb(rounded);
  if (exponent < half_format.min_exponent) {
    return static_cast<uint16_t>(sign | static_cast<int>(std::ldexp(rounded, 24)));
  }
  int significand = static_cast<int>(std::ldexp(rounded, 10 - exponent)) - 1024;
  return static_cast<uint16_t>(sign | ((exponent + 15) << 10) | significand);
}

float half_to_float(uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  int significand = bits & 0x3ff;
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  if (exponent == 31) {
    return std::bit_cast<float>(sign | 0x7f800000u | (static_cast<uint32_t>(significand) << 13));
  }
  float magnitude = exponent == 0
                        ? std::ldexp(static_cast<float>(significand), -24)
                        : std::ldexp(static_cast<float>(1024 + significand), exponent - 25);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

uint16_t float_to_bfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float bfloat_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

namespace {

// ---- Index: mathematical integers, or nothing ---------------------------------------------------

std::optional<int64_t> index_floor_div(int64_t a, int64_t b) {
  if (b == 0 || (b == -1 && a == std::numeric_limits<int64_t>::min())) return std::nullopt;
  int64_t q = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? q - 1 : q;
}

std::optional<int64_t> index_floor_mod(int64_t a, int64_t b) {
  if (b == 0) return std::nullopt;
  if (b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

std::optional<int64_t> index_shift_left(int64_t a, int64_t count) {
  if (count < 0 || count > 63) return std::nullopt;
  if (count == 63) return a == 0 ? std::optional<int64_t>(0) : std::nullopt;
  int64_t r;
  if (__builtin_mul_overflow(a, int64_t{1} << count, &r)) return std::nullopt;
  return r;
}

std::optional<int64_t> eval_index(ExprKind kind, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (kind) {
    case ExprKind::add:
      if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
      return r;
    case ExprKind::sub:
      if (__builtin_sub_overflow(a, b, &r)) return std::nullopt;
      return r;
    case ExprKind::mul:
      if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
      return r;
    case ExprKind::div:
      if (b == 0 || (b == -1 && a == std::numeric_limits<int64_t>::min())) return std::nullopt;
      return a / b;
    case ExprKind::mod:
      if (b == 0) return std::nullopt;
      return b == -1 ? 0 : a % b;
    case ExprKind::floor_div:
      return index_floor_div(a, b);
    case ExprKind::floor_mod:
      return index_floor_mod(a, b);
    case ExprKind::min:
      return std::min(a, b);
    case ExprKind::max:
      return std::max(a, b);
    case ExprKind::bit_and:
      return a & b;
    case ExprKind::bit_or:
      return a | b;
    case ExprKind::bit_xor:
      return a ^ b;
    case ExprKind::shift_left:
      return index_shift_left(a, b);
    case ExprKind::shift_right:
      if (b < 0 || b > 63) return std::nullopt;
      return a >> b;
    default:
      return std::nullopt;
  }
}

// ---- Data integers and bool: everything has a value ---------------------------------------------

uint64_t bits_of(int64_t v) {
  return static_cast<uint64_t>(v);
}

int64_t data_floor_div(int64_t a, int64_t b, bool is_unsigned) {
  if (b == 0) return 0;
  if (is_unsigned) return static_cast<int64_t>(bits_of(a) / bits_of(b));
  if (b == -1) return static_cast<int64_t>(0 - bits_of(a));
  return *index_floor_div(a, b);
}

int64_t data_floor_mod(int64_t a, int64_t b, bool is_unsigned) {
  if (b == 0) return 0;
  if (is_unsigned) return static_cast<int64_t>(bits_of(a) % bits_of(b));
  return *index_floor_mod(a, b);
}

int64_t data_div(int64_t a, int64_t b, bool is_unsigned) {
  if (b == 0) return 0;
  if (is_unsigned) return static_cast<int64_t>(bits_of(a) / bits_of(b));
  return b == -1 ? static_cast<int64_t>(0 - bits_of(a)) : a / b;
}

int64_t data_mod(int64_t a, int64_t b, bool is_unsigned) {
  if (b == 0) return 0;
  if (is_unsigned) return static_cast<int64_t>(bits_of(a) % bits_of(b));
  return b == -1 ? 0 : a % b;
}

std::optional<int64_t> eval_data_int(ExprKind kind, int64_t a, int64_t b, DType dtype) {
  bool is_unsigned = !dtype.is_sint();
  bool less = is_unsigned ? bits_of(a) < bits_of(b) : a < b;
  int width = dtype.is_bool() ? 1 : dtype.bits;
  int count = static_cast<int>(bits_of(b) & static_cast<uint64_t>(width - 1));
  switch (kind) {
    case ExprKind::add:
      return static_cast<int64_t>(bits_of(a) + bits_of(b));
    case ExprKind::sub:
      return static_cast<int64_t>(bits_of(a) - bits_of(b));
    case ExprKind::mul:
      return static_cast<int64_t>(bits_of(a) * bits_of(b));
    case ExprKind::div:
      return data_div(a, b, is_unsigned);
    case ExprKind::mod:
      return data_mod(a, b, is_unsigned);
    case ExprKind::floor_div:
      return data_floor_div(a, b, is_unsigned);
    case ExprKind::floor_mod:
      return data_floor_mod(a, b, is_unsigned);
    case ExprKind::min:
      return less ? a : b;
    case ExprKind::max:
      return less ? b : a;
    case ExprKind::bit_and:
      return a & b;
    case ExprKind::bit_or:
      return a | b;
    case ExprKind::bit_xor:
      return a ^ b;
    case ExprKind::shift_left:
      return static_cast<int64_t>(bits_of(a) << count);
    case ExprKind::shift_right:
      return is_unsigned ? static_cast<int64_t>(bits_of(a) >> count) : a >> count;
    default:
      return std::nullopt;
  }
}

// ---- Floats -------------------------------------------------------------------------------------

// NaN if either is; -0 lies below +0.
template <class T>
T float_min(T a, T b) {
  if (std::isnan(a)) return a;
  if (std::isnan(b)) return b;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

template <class T>
T float_max(T a, T b) {
  if (std::isnan(a)) return a;
  if (std::isnan(b)) return b;
  if (a == b) return std::signbit(a) ? b : a;
  return a < b ? b : a;
}

// The remainder that has the divisor's sign.
template <class T>
T float_floor_mod(T a, T b) {
  T r = std::fmod(a, b);
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

template <class T>
std::optional<double> eval_float(ExprKind kind, T a, T b) {
  switch (kind) {
    case ExprKind::add:
      return a + b;
    case ExprKind::sub:
      return a - b;
    case ExprKind::mul:
      return a * b;
    case ExprKind::div:
      return a / b;
    case ExprKind::mod:
      return std::fmod(a, b);
    case ExprKind::floor_div:
      return std::floor(a / b);
    case ExprKind::floor_mod:
      return float_floor_mod(a, b);
    case ExprKind::min:
      return float_min(a, b);
    case ExprKind::max:
      return float_max(a, b);
    default:
      return std::nullopt;
  }
}

bool compare_values(ExprKind kind, auto a, auto b) {
  switch (kind) {
    case ExprKind::eq:
      return a == b;
    case ExprKind::ne:
      return a != b;
    case ExprKind::lt:
      return a < b;
    case ExprKind::le:
      return a <= b;
    case ExprKind::gt:
      return a > b;
    default:
      return a >= b;
  }
}

}  // namespace

std::optional<Scalar> eval_binary(ExprKind kind, const Scalar& a, const Scalar& b) {
  DType dtype = a.dtype;
  if (dtype != b.dtype || dtype.is_vector()) return std::nullopt;
  if (is_logic(kind)) {
    if (!dtype.is_bool()) return std::nullopt;
    return of_bool(kind == ExprKind::logical_and ? (a.i && b.i) : (a.i || b.i));
  }
  if (dtype.is_float()) {
    if (is_compare(kind)) return of_bool(compare_values(kind, a.f, b.f));
    std::optional<double> value =
        computes_in_float(dtype)
            ? eval_float(kind, static_cast<float>(a.f), static_cast<float>(b.f))
            : eval_float(kind, a.f, b.f);
    if (!value) return std::nullopt;
    return Scalar::of_float(*value, dtype);
  }
  if (!dtype.is_any_int() && !dtype.is_bool()) return std::nullopt;
  if (is_compare(kind)) {
    bool is_unsigned = dtype.is_uint();
    return of_bool(is_unsigned ? compare_values(kind, bits_of(a.i), bits_of(b.i))
                               : compare_values(kind, a.i, b.i));
  }
  std::optional<int64_t> value =
      dtype.is_index() ? eval_index(kind, a.i, b.i) : eval_data_int(kind, a.i, b.i, dtype);
  if (!value) return std::nullopt;
  return Scalar::of_int(*value, dtype);
}

namespace {

// Saturates; NaN gives 0.
int64_t float_to_int(double value, DType to) {
  if (std::isnan(value)) return 0;
  value = std::trunc(value);
  if (to.is_uint()) {
    if (value <= 0) return 0;
    uint64_t limit = to.bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << to.bits) - 1;
    if (value >= std::ldexp(1.0, to.bits)) return static_cast<int64_t>(limit);
    return static_cast<int64_t>(static_cast<uint64_t>(value));
  }
  int64_t upper =
      to.bits >= 64 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << (to.bits - 1)) - 1;
  double end = std::ldexp(1.0, to.bits - 1);
  if (value >= end) return upper;
  if (value < -end) return -upper - 1;
  return static_cast<int64_t>(value);
}

double int_to_float(const Scalar& value, DType to) {
  bool wide = value.dtype.is_uint();
  if (computes_in_float(to)) {
    return wide ? static_cast<float>(bits_of(value.i)) : static_cast<float>(value.i);
  }
  return wide ? static_cast<double>(bits_of(value.i)) : static_cast<double>(value.i);
}

}  // namespace

std::optional<Scalar> eval_cast(DType to, const Scalar& value) {
  DType from = value.dtype;
  if (to.is_vector() || from.is_vector()) return std::nullopt;
  bool to_int = to.is_any_int() || to.is_bool();
  bool from_int = from.is_any_int() || from.is_bool();
  if ((!to_int && !to.is_float()) || (!from_int && !from.is_float())) return std::nullopt;
  if (from == to) return value;
  if (to.is_bool()) return of_bool(from_int ? value.i != 0 : value.f != 0);
  if (to_int && from_int) {
    // An unsigned value that int64 cannot hold is no index.
    if (to.is_index() && from.is_uint() && value.i < 0) return std::nullopt;
    return Scalar::of_int(value.i, to);
  }
  if (to_int) return Scalar::of_int(float_to_int(value.f, to), to);
  return Scalar::of_float(from_int ? int_to_float(value, to) : value.f, to);
}

namespace {

template <class T>
std::optional<double> eval_math(Intrinsic intrinsic, T x, T y, T z) {
  switch (intrinsic) {
    case Intrinsic::exp:
      return std::exp(x);
    case Intrinsic::exp2:
      return std::exp2(x);
    case Intrinsic::log:
      return std::log(x);
    case Intrinsic::log2:
      return std::log2(x);
    case Intrinsic::log10:
      return std::log10(x);
    case Intrinsic::log1p:
      return std::log1p(x);
    case Intrinsic::expm1:
      return std::expm1(x);
    case Intrinsic::sqrt:
      return std::sqrt(x);
    case Intrinsic::rsqrt:
      return T(1) / std::sqrt(x);
    case Intrinsic::sin:
      return std::sin(x);
    case Intrinsic::cos:
      return std::cos(x);
    case Intrinsic::tan:
      return std::tan(x);
    case Intrinsic::asin:
      return std::asin(x);
    case Intrinsic::acos:
      return std::acos(x);
    case Intrinsic::atan:
      return std::atan(x);
    case Intrinsic::sinh:
      return std::sinh(x);
    case Intrinsic::cosh:
      return std::cosh(x);
    case Intrinsic::tanh:
      return std::tanh(x);
    case Intrinsic::asinh:
      return std::asinh(x);
    case Intrinsic::acosh:
      return std::acosh(x);
    case Intrinsic::atanh:
      return std::atanh(x);
    case Intrinsic::atan2:
      return std::atan2(x, y);
    case Intrinsic::pow:
      return std::pow(x, y);
    case Intrinsic::sigmoid:
      return T(1) / (T(1) + std::exp(-x));
    case Intrinsic::erf:
      return std::erf(x);
    case Intrinsic::floor:
      return std::floor(x);
    case Intrinsic::ceil:
      return std::ceil(x);
    case Intrinsic::round:
      return std::nearbyint(x);  // halves to even in the default mode
    case Intrinsic::trunc:
      return std::trunc(x);
    case Intrinsic::abs:
      return std::abs(x);
    case Intrinsic::copysign:
      return std::copysign(x, y);
    case Intrinsic::fma:
      return std::fma(x, y, z);
    default:
      return std::nullopt;
  }
}

// Wrapping; a negative exponent truncates the quotient 1 / base ** -exponent, and 0 ** -n is 0.
int64_t int_pow(int64_t base, int64_t exponent, bool is_unsigned) {
  if (!is_unsigned && exponent < 0) {
    if (base == 1) return 1;
    return base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  }
  uint64_t result = 1, factor = bits_of(base), n = bits_of(exponent);
  for (; n; n >>= 1, factor *= factor) {
    if (n & 1) result *= factor;
  }
  return static_cast<int64_t>(result);
}

std::optional<int64_t> index_pow(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return std::nullopt;
    return int_pow(base, exponent, false);
  }
  int64_t result = 1;
  if (base >= -1 && base <= 1) return int_pow(base, exponent, false);
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) return std::nullopt;
  }
  return result;
}

std::optional<Scalar> eval_int_intrinsic(Intrinsic intrinsic, DType dtype, const Scalar* args,
                                         int count) {
  const Scalar& x = args[0];
  switch (intrinsic) {
    case Intrinsic::abs:
      if (dtype.is_index() && x.i == std::numeric_limits<int64_t>::min()) return std::nullopt;
      if (x.dtype.is_uint() || x.i >= 0) return x;
      return Scalar::of_int(static_cast<int64_t>(0 - bits_of(x.i)), dtype);
    case Intrinsic::pow:
      if (count != 2) return std::nullopt;
      if (dtype.is_index()) {
        auto power = index_pow(x.i, args[1].i);
        return power ? std::optional(Scalar::of_int(*power, dtype)) : std::nullopt;
      }
      return Scalar::of_int(int_pow(x.i, args[1].i, dtype.is_uint()), dtype);
    case Intrinsic::floor:
    case Intrinsic::ceil:
    case Intrinsic::round:
    case Intrinsic::trunc:
      return x;
    case Intrinsic::fma: {
      if (count != 3) return std::nullopt;
      auto product = eval_binary(ExprKind::mul, x, args[1]);
      return product ? eval_binary(ExprKind::add, *product, args[2]) : std::nullopt;
    }
    case Intrinsic::isnan:
    case Intrinsic::isinf:
      return of_bool(false);
    case Intrinsic::isfinite:
      return of_bool(true);
    case Intrinsic::popcount:
    case Intrinsic::clz: {
      int width = x.dtype.bits;
      uint64_t bits = bits_of(x.i) << (64 - width);  // without the extension
      int value = intrinsic == Intrinsic::popcount ? std::popcount(bits)
                                                   : (bits ? std::countl_zero(bits) : width);
      return Scalar::of_int(value, dtype);
    }
    default:
      return std::nullopt;
  }
}

uint64_t storage_bits(const Scalar& value) {
  DType t = value.dtype;
  if (!t.is_float()) return bits_of(value.i);
  if (t.code == DType::Code::bfloat) return float_to_bfloat(static_cast<float>(value.f));
  if (t.is_tiny_float()) return to_tiny_float(t, value.f);
  if (t.bits == 16) return float_to_half(static_cast<float>(value.f));
  if (t.bits == 32) return std::bit_cast<uint32_t>(static_cast<float>(value.f));
  return std::bit_cast<uint64_t>(value.f);
}

std::optional<Scalar> reinterpret(DType to, const Scalar& value) {
  if (to.bits != value.dtype.bits || to.is_handle() || value.dtype.is_handle()) return std::nullopt;
  uint64_t bits = storage_bits(value);
  if (!to.is_float()) return Scalar::of_int(static_cast<int64_t>(bits), to);
  if (to.code == DType::Code::bfloat) {
    return Scalar{to, 0, bfloat_to_float(static_cast<uint16_t>(bits))};
  }
  if (to.is_tiny_float()) {
    return Scalar{to, 0, from_tiny_float(to, static_cast<uint8_t>(bits))};
  }
  if (to.bits == 16) return Scalar{to, 0, half_to_float(static_cast<uint16_t>(bits))};
  if (to.bits == 32) return Scalar{to, 0, std::bit_cast<float>(static_cast<uint32_t>(bits))};
  return Scalar{to, 0, std::bit_cast<double>(bits)};
}

}  // namespace

std::optional<Scalar> eval_intrinsic(Intrinsic intrinsic, DType dtype, const Scalar* args,
                                     int count) {
  if (count < 1 || count > 3 || dtype.is_vector()) return std::nullopt;
  if (intrinsic_arity(intrinsic) != count) return std::nullopt;
  for (int i = 0; i < count; ++i) {
    if (args[i].dtype.is_vector()) return std::nullopt;
  }
  if (intrinsic == Intrinsic::reinterpret) return reinterpret(dtype, args[0]);
  const Scalar& x = args[0];
  if (!x.dtype.is_float()) {
    if (!x.dtype.is_any_int()) return std::nullopt;
    return eval_int_intrinsic(intrinsic, dtype, args, count);
  }
  switch (intrinsic) {
    case Intrinsic::isnan:
      return of_bool(std::isnan(x.f));
    case Intrinsic::isinf:
      return of_bool(std::isinf(x.f));
    case Intrinsic::isfinite:
      return of_bool(std::isfinite(x.f));
    default:
      break;
  }
  if (!dtype.is_float()) return std::nullopt;
  double y = count > 1 ? args[1].f : 0, z = count > 2 ? args[2].f : 0;
  std::optional<double> value = computes_in_float(dtype)
                                    ? eval_math(intrinsic, static_cast<float>(x.f),
                                                static_cast<float>(y), static_cast<float>(z))
                                    : eval_math(intrinsic, x.f, y, z);
  if (!value) return std::nullopt;
  return Scalar::of_float(*value, dtype);
}

namespace {

struct Evaluator {
  const std::function<std::optional<Scalar>(const Var&)>& lookup;
  const SelectSides sides;

  std::optional<Scalar> run(const Expr& e) const {
    switch (e->kind) {
      case ExprKind::int_imm:
        return Scalar{e->dtype, as<IntImmNode>(e)->value, 0};
      case ExprKind::float_imm:
        return Scalar{e->dtype, 0, as<FloatImmNode>(e)->value};
      case ExprKind::var:
        return lookup(Var(as<VarNode>(e)));
      case ExprKind::call:
        return run_call(e);
      case ExprKind::cast: {
        auto value = run(e->args[0]);
        return value ? eval_cast(e->dtype, *value) : std::nullopt;
      }
      case ExprKind::logical_not: {
        auto value = run(e->args[0]);
        if (!value) return std::nullopt;
        return of_bool(value->i == 0);
      }
      case ExprKind::bit_not: {
        auto value = run(e->args[0]);
        if (!value) return std::nullopt;
        return value->dtype.is_bool() ? of_bool(value->i == 0)
                                      : Scalar::of_int(~value->i, value->dtype);
      }
      case ExprKind::select: {
        auto condition = run(e->args[0]);
        if (sides == SelectSides::chosen) {
          return condition ? run(e->args[condition->i ? 1 : 2]) : std::nullopt;
        }
        auto a = run(e->args[1]), b = run(e->args[2]);
        if (!condition || !a || !b) return std::nullopt;
        return condition->i ? a : b;
      }
      case ExprKind::if_then_else: {
        auto condition = run(e->args[0]);
        if (!condition) return std::nullopt;
        return run(e->args[condition->i ? 1 : 2]);
      }
      case ExprKind::logical_and:
      case ExprKind::logical_or: {
        auto a = run(e->args[0]);
        if (!a || (a->i != 0) == (e->kind == ExprKind::logical_or)) return a;
        return run(e->args[1]);
      }
      default:
        break;
    }
    if (!is_binary(e->kind) && !is_compare(e->kind)) return std::nullopt;
    auto a = run(e->args[0]), b = run(e->args[1]);
    return a && b ? eval_binary(e->kind, *a, *b) : std::nullopt;
  }

  std::optional<Scalar> run_call(const Expr& e) const {
    const auto* call = as<CallNode>(e);
    if (!intrinsic_is_pure(call->intrinsic) || call->args.empty() || call->args.size() > 3) {
      return std::nullopt;
    }
    Scalar values[3];
    for (size_t i = 0; i < call->args.size(); ++i) {
      auto value = run(call->args[i]);
      if (!value) return std::nullopt;
      values[i] = *value;
    }
    return eval_intrinsic(call->intrinsic, e->dtype, values, static_cast<int>(call->args.size()));
  }
};

}  // namespace

std::optional<Scalar> evaluate(const Expr& e,
                               const std::function<std::optional<Scalar>(const Var&)>& lookup,
                               SelectSides sides) {
  return Evaluator{lookup, sides}.run(e);
}

Expr to_expr(const Scalar& value) {
  return value.dtype.is_float() ? make_float(value.f, value.dtype) : make_int(value.i, value.dtype);
}

}  // namespace repose
