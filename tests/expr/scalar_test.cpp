// Arithmetic on constants at its edges: wrapping, rounding, NaN, saturation.
#include "expr/scalar.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "expr/facts.h"
#include "expr/tiny_float.h"

namespace repose {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
const double nan = std::nan("");

int64_t ints(ExprKind kind, DType t, int64_t a, int64_t b) {
  return eval_binary(kind, Scalar::of_int(a, t), Scalar::of_int(b, t))->i;
}
double floats(ExprKind kind, DType t, double a, double b) {
  return eval_binary(kind, Scalar::of_float(a, t), Scalar::of_float(b, t))->f;
}
bool compares(ExprKind kind, DType t, double a, double b) {
  return eval_binary(kind, Scalar::of_float(a, t), Scalar::of_float(b, t))->i != 0;
}
double math(Intrinsic i, DType t, double x, double y = 0) {
  Scalar args[] = {Scalar::of_float(x, t), Scalar::of_float(y, t)};
  return eval_intrinsic(i, t, args, intrinsic_arity(i))->f;
}

TEST(Scalar, DataIntegersWrap) {
  EXPECT_EQ(ints(ExprKind::add, dtypes::int8, 127, 1), -128);
  EXPECT_EQ(ints(ExprKind::add, dtypes::uint8, 255, 1), 0);
  EXPECT_EQ(ints(ExprKind::mul, dtypes::int32, 65536, 65536), 0);
  EXPECT_EQ(ints(ExprKind::sub, dtypes::uint64, 0, 1), -1);  // as bits
  int64_t min64 = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(ints(ExprKind::add, dtypes::int64, std::numeric_limits<int64_t>::max(), 1), min64);
  EXPECT_EQ(ints(ExprKind::div, dtypes::int64, min64, -1), min64);
  EXPECT_EQ(ints(ExprKind::floor_div, dtypes::int8, -128, -1), -128);
}

TEST(Scalar, DivisionByZeroGivesZero) {
  for (ExprKind kind : {ExprKind::div, ExprKind::mod, ExprKind::floor_div, ExprKind::floor_mod}) {
    for (DType t : {dtypes::int8, dtypes::uint32, dtypes::int64, dtypes::uint64}) {
      EXPECT_EQ(ints(kind, t, 7, 0), 0);
    }
    EXPECT_FALSE(
        eval_binary(kind, Scalar::of_int(7, dtypes::index), Scalar::of_int(0, dtypes::index)));
  }
}

TEST(Scalar, DivisionRounds) {
  EXPECT_EQ(ints(ExprKind::div, dtypes::int32, -7, 2), -3);
  EXPECT_EQ(ints(ExprKind::mod, dtypes::int32, -7, 2), -1);
  EXPECT_EQ(ints(ExprKind::floor_div, dtypes::int32, -7, 2), -4);
  EXPECT_EQ(ints(ExprKind::floor_mod, dtypes::int32, -7, 2), 1);
  EXPECT_EQ(ints(ExprKind::floor_mod, dtypes::int32, 7, -2), -1);
  EXPECT_EQ(ints(ExprKind::div, dtypes::uint64, -2, 2), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ints(ExprKind::max, dtypes::uint64, -1, 1), -1);  // the largest
  EXPECT_EQ(ints(ExprKind::max, dtypes::int64, -1, 1), 1);
}

TEST(Scalar, ShiftsTakeTheCountModuloTheWidth) {
  EXPECT_EQ(ints(ExprKind::shift_left, dtypes::int32, 1, 33), 2);
  EXPECT_EQ(ints(ExprKind::shift_right, dtypes::int32, -8, 1), -4);
  EXPECT_EQ(ints(ExprKind::shift_right, dtypes::uint32, -8, 1), 0x7ffffffc);
  EXPECT_EQ(ints(ExprKind::shift_left, dtypes::int8, 1, 7), -128);
  EXPECT_EQ(ints(ExprKind::shift_left, dtypes::uint8, 3, -1), 128);
}

TEST(Scalar, IndexThatLeavesInt64HasNoValue) {
  Scalar large = Scalar::of_int(std::numeric_limits<int64_t>::max(), dtypes::index);
  Scalar one = Scalar::of_int(1, dtypes::index);
  EXPECT_FALSE(eval_binary(ExprKind::add, large, one));
  EXPECT_FALSE(eval_binary(ExprKind::mul, large, Scalar::of_int(2, dtypes::index)));
  EXPECT_EQ(eval_binary(ExprKind::sub, large, one)->i, std::numeric_limits<int64_t>::max() - 1);
  EXPECT_FALSE(eval_cast(dtypes::index, Scalar::of_int(-1, dtypes::uint64)));
}

TEST(Scalar, HalfRoundsToNearestEven) {
  EXPECT_EQ(round_to(dtypes::float16, 65504), 65504);
  EXPECT_EQ(round_to(dtypes::float16, 65519), 65504);
  EXPECT_EQ(round_to(dtypes::float16, 65520), inf);
  EXPECT_EQ(round_to(dtypes::float16, -1e9), -inf);
  EXPECT_EQ(round_to(dtypes::float16, 2049), 2048);
  EXPECT_EQ(round_to(dtypes::float16, 2051), 2052);
  double smallest = std::ldexp(1.0, -24);
  EXPECT_EQ(round_to(dtypes::float16, smallest), smallest);
  EXPECT_EQ(round_to(dtypes::float16, smallest / 2), 0);
  EXPECT_EQ(round_to(dtypes::float16, smallest * 0.51), smallest);
  EXPECT_EQ(round_to(dtypes::float16, smallest * 1.5), 2 * smallest);
  EXPECT_TRUE(std::signbit(round_to(dtypes::float16, -0.0)));
  EXPECT_TRUE(std::isnan(round_to(dtypes::float16, nan)));
  EXPECT_EQ(round_to(dtypes::bfloat16, 257), 256);
  EXPECT_EQ(round_to(dtypes::bfloat16, 259), 260);
  EXPECT_EQ(round_to(dtypes::bfloat16, 3.4e38), inf);
}

TEST(Scalar, HalfBitsRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    float half = half_to_float(static_cast<uint16_t>(bits));
    float bfloat = bfloat_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(half)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(half))));
    } else {
      ASSERT_EQ(float_to_half(half), bits);
      ASSERT_EQ(round_to(dtypes::float16, half), half);
    }
    if (std::isnan(bfloat)) {
      EXPECT_TRUE(std::isnan(bfloat_to_float(float_to_bfloat(bfloat))));
    } else {
      ASSERT_EQ(float_to_bfloat(bfloat), bits);
      ASSERT_EQ(round_to(dtypes::bfloat16, bfloat), bfloat);
    }
  }
}

TEST(Scalar, FloatBitsAgreeWithRounding) {
  uint32_t state = 7;
  for (int i = 0; i < 200000; ++i) {
    state = state * 1664525u + 1013904223u;
    float value = std::bit_cast<float>(
        i % 2 ? state : (state & 0x80ffffff) | 0x38000000 | (state << 8 & 0x07000000));
    if (std::isnan(value)) continue;
    ASSERT_EQ(half_to_float(float_to_half(value)), round_to(dtypes::float16, value)) << value;
    ASSERT_EQ(bfloat_to_float(float_to_bfloat(value)), round_to(dtypes::bfloat16, value)) << value;
  }
}

const DType tiny_floats[] = {dtypes::float8_e4m3fn,  dtypes::float8_e4m3fnuz,
                             dtypes::float8_e5m2,    dtypes::float8_e5m2fnuz,
                             dtypes::float8_e8m0fnu, dtypes::float4_e2m1fn};

// Each number of the type, and what lies between two neighbours: the nearer one, of two that are as
// near the one with an even code.
TEST(Scalar, TinyFloatsRoundToTheNearest) {
  for (DType dtype : tiny_floats) {
    std::map<double, int> codes;
    for (int bits = 0; bits < 1 << dtype.bits; ++bits) {
      const double value = from_tiny_float(dtype, static_cast<uint8_t>(bits));
      if (std::isnan(value)) continue;
      ASSERT_EQ(to_tiny_float(dtype, value), bits) << dtype.to_string();
      ASSERT_EQ(round_to(dtype, value), value);
      if (std::isfinite(value)) codes[value] = bits;
    }
    EXPECT_EQ(codes.rbegin()->first, largest_tiny_float(dtype)) << dtype.to_string();
    for (auto low = codes.begin(), high = std::next(low); high != codes.end(); ++low, ++high) {
      const double half = (low->first + high->first) / 2;
      const double even = low->second % 2 == 0 ? low->first : high->first;
      ASSERT_EQ(round_to(dtype, half), even) << dtype.to_string() << " " << half;
      ASSERT_EQ(round_to(dtype, std::nextafter(half, -inf)), low->first);
      ASSERT_EQ(round_to(dtype, std::nextafter(half, inf)), high->first);
    }
  }
}

// The values are those of ml_dtypes.
TEST(Scalar, EdgesOfTinyFloats) {
  EXPECT_EQ(largest_tiny_float(dtypes::float8_e4m3fn), 448);
  EXPECT_EQ(largest_tiny_float(dtypes::float8_e4m3fnuz), 240);
  EXPECT_EQ(largest_tiny_float(dtypes::float8_e5m2), 57344);
  EXPECT_EQ(largest_tiny_float(dtypes::float8_e5m2fnuz), 57344);
  EXPECT_EQ(largest_tiny_float(dtypes::float8_e8m0fnu), 0x1p127);
  EXPECT_EQ(largest_tiny_float(dtypes::float4_e2m1fn), 6);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fn, 464), 0x7e);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fn, 465), 0x7f);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fn, -inf), 0xff);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fn, -0.0), 0x80);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fnuz, -0.0), 0);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e4m3fnuz, -1e9), 0x80);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e5m2, 1e9), 0x7c);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e5m2, nan), 0x7e);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e5m2fnuz, inf), 0x80);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e8m0fnu, 1.5), 128);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e8m0fnu, 0x1p-149), 0);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e8m0fnu, 0), 255);
  EXPECT_EQ(to_tiny_float(dtypes::float8_e8m0fnu, -1), 255);
  EXPECT_EQ(to_tiny_float(dtypes::float4_e2m1fn, 1e9), 7);
  EXPECT_EQ(to_tiny_float(dtypes::float4_e2m1fn, -inf), 15);
  EXPECT_EQ(to_tiny_float(dtypes::float4_e2m1fn, nan), 0);
  // Not a cast that keeps every value.
  const Var x = make_var("x", dtypes::float8_e8m0fnu);
  const Expr twice = make_cast(dtypes::float32, make_cast(dtypes::float16, x));
  EXPECT_TRUE(structural_equal(simplify(twice, Facts{}), twice));
}

TEST(Scalar, IntegersOfFewBitsWrapAndSaturate) {
  EXPECT_EQ(Scalar::of_int(9, dtypes::int4).i, -7);
  EXPECT_EQ(Scalar::of_int(-9, dtypes::uint4).i, 7);
  EXPECT_EQ(Scalar::of_int(2, dtypes::int2).i, -2);
  EXPECT_EQ(Scalar::of_int(5, dtypes::uint2).i, 1);
  EXPECT_EQ(eval_cast(dtypes::int4, Scalar::of_float(9.5, dtypes::float32))->i, 7);
  EXPECT_EQ(eval_cast(dtypes::int4, Scalar::of_float(-9.5, dtypes::float32))->i, -8);
  EXPECT_EQ(eval_cast(dtypes::uint2, Scalar::of_float(1e9, dtypes::float32))->i, 3);
  EXPECT_EQ(eval_cast(dtypes::int32, Scalar::of_int(-3, dtypes::int4))->i, -3);
}

TEST(Scalar, NarrowFloatsComputeInFloat32) {
  EXPECT_EQ(floats(ExprKind::add, dtypes::float16, 2048, 1), 2048);
  EXPECT_EQ(floats(ExprKind::mul, dtypes::float16, 300, 300), inf);
  EXPECT_EQ(floats(ExprKind::add, dtypes::float32, 16777216, 1), 16777216);
  EXPECT_EQ(floats(ExprKind::add, dtypes::float64, 16777216, 1), 16777217);
  EXPECT_EQ(floats(ExprKind::div, dtypes::float32, 1, 3), static_cast<double>(1.0f / 3.0f));
}

TEST(Scalar, NotANumber) {
  for (DType t : {dtypes::float16, dtypes::float32, dtypes::float64}) {
    for (ExprKind kind : {ExprKind::min, ExprKind::max}) {
      EXPECT_TRUE(std::isnan(floats(kind, t, nan, 1)));
      EXPECT_TRUE(std::isnan(floats(kind, t, 1, nan)));
    }
    for (ExprKind kind : {ExprKind::eq, ExprKind::lt, ExprKind::le, ExprKind::gt, ExprKind::ge}) {
      EXPECT_FALSE(compares(kind, t, nan, nan));
    }
    EXPECT_TRUE(compares(ExprKind::ne, t, nan, nan));
  }
  EXPECT_EQ(Scalar::of_float(nan, dtypes::float32), Scalar::of_float(-nan, dtypes::float32));
  EXPECT_FALSE(Scalar::of_float(0.0, dtypes::float32) == Scalar::of_float(-0.0, dtypes::float32));
  EXPECT_TRUE(std::signbit(floats(ExprKind::min, dtypes::float32, 0.0, -0.0)));
  EXPECT_FALSE(std::signbit(floats(ExprKind::max, dtypes::float32, -0.0, 0.0)));
}

TEST(Scalar, FloatToIntegerSaturates) {
  auto cast = [](DType to, double v) {
    return eval_cast(to, Scalar::of_float(v, dtypes::float64))->i;
  };
  EXPECT_EQ(cast(dtypes::int8, 1000), 127);
  EXPECT_EQ(cast(dtypes::int8, -1000), -128);
  EXPECT_EQ(cast(dtypes::uint8, -5), 0);
  EXPECT_EQ(cast(dtypes::uint8, 256), 255);
  EXPECT_EQ(cast(dtypes::int32, 2.9), 2);
  EXPECT_EQ(cast(dtypes::int32, -2.9), -2);
  EXPECT_EQ(cast(dtypes::int64, 1e30), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(cast(dtypes::int64, -inf), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(cast(dtypes::uint64, inf), -1);
  EXPECT_EQ(cast(dtypes::uint64, 9223372036854775808.0), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(cast(dtypes::int32, nan), 0);
  EXPECT_EQ(cast(dtypes::boolean, nan), 1);
  EXPECT_EQ(cast(dtypes::boolean, -0.0), 0);
}

TEST(Scalar, OtherCasts) {
  EXPECT_EQ(eval_cast(dtypes::int8, Scalar::of_int(200, dtypes::int32))->i, -56);
  EXPECT_EQ(eval_cast(dtypes::uint32, Scalar::of_int(-1, dtypes::int32))->i, 0xffffffff);
  EXPECT_EQ(eval_cast(dtypes::float64, Scalar::of_int(-1, dtypes::uint64))->f,
            18446744073709551616.0);
  EXPECT_EQ(eval_cast(dtypes::float32, Scalar::of_int(16777217, dtypes::int64))->f, 16777216);
  EXPECT_EQ(eval_cast(dtypes::float16, Scalar::of_float(1e-8, dtypes::float64))->f, 0);
}

TEST(Scalar, Mathematics) {
  EXPECT_EQ(math(Intrinsic::round, dtypes::float32, 0.5), 0);
  EXPECT_EQ(math(Intrinsic::round, dtypes::float32, 1.5), 2);
  EXPECT_EQ(math(Intrinsic::round, dtypes::float64, -2.5), -2);
  EXPECT_EQ(math(Intrinsic::erf, dtypes::float32, 0.3), static_cast<double>(std::erf(0.3f)));
  EXPECT_EQ(math(Intrinsic::erf, dtypes::float64, 0.3), std::erf(0.3));
  EXPECT_EQ(math(Intrinsic::rsqrt, dtypes::float32, 4), 0.5);
  EXPECT_EQ(math(Intrinsic::sigmoid, dtypes::float64, 0), 0.5);
  EXPECT_EQ(math(Intrinsic::copysign, dtypes::float32, 3, -0.0), -3);
  EXPECT_EQ(math(Intrinsic::atan2, dtypes::float64, 1, 1), std::atan2(1.0, 1.0));
}

TEST(Scalar, IntegerIntrinsics) {
  auto call = [](Intrinsic i, DType t, int64_t x, int64_t y = 0) {
    Scalar args[] = {Scalar::of_int(x, t), Scalar::of_int(y, t)};
    return eval_intrinsic(i, t, args, intrinsic_arity(i))->i;
  };
  EXPECT_EQ(call(Intrinsic::pow, dtypes::int32, 3, 4), 81);
  EXPECT_EQ(call(Intrinsic::pow, dtypes::int8, 2, 8), 0);
  EXPECT_EQ(call(Intrinsic::pow, dtypes::int32, 2, -1), 0);
  EXPECT_EQ(call(Intrinsic::pow, dtypes::int32, -1, -3), -1);
  EXPECT_EQ(call(Intrinsic::abs, dtypes::int8, -128), -128);
  EXPECT_EQ(call(Intrinsic::popcount, dtypes::int8, -1), 8);
  EXPECT_EQ(call(Intrinsic::clz, dtypes::int16, 1), 15);
  EXPECT_EQ(call(Intrinsic::clz, dtypes::uint64, 0), 64);
}

TEST(Scalar, ReinterpretKeepsBits) {
  Scalar one = Scalar::of_float(1, dtypes::float32);
  Scalar bits = *eval_intrinsic(Intrinsic::reinterpret, dtypes::int32, &one, 1);
  EXPECT_EQ(bits.i, 0x3f800000);
  EXPECT_EQ(*eval_intrinsic(Intrinsic::reinterpret, dtypes::float32, &bits, 1), one);
  Scalar half = Scalar::of_float(-2, dtypes::float16);
  EXPECT_EQ(eval_intrinsic(Intrinsic::reinterpret, dtypes::uint16, &half, 1)->i, 0xc000);
}

TEST(Scalar, EvaluateTakesOneSideOfABranch) {
  Var n = make_var("n", dtypes::index, VarRole::dimension);
  auto zero = [](const Var&) { return std::optional(Scalar::of_int(0, dtypes::index)); };
  Expr quotient = floor_div(make_int(8), n), is_zero = eq(n, make_int(0));
  EXPECT_EQ(evaluate(make_if_then_else(is_zero, make_int(1), quotient), zero)->i, 1);
  EXPECT_FALSE(evaluate(make_select(is_zero, make_int(1), quotient), zero));
  EXPECT_EQ(evaluate(logical_or(is_zero, eq(quotient, make_int(2))), zero)->i, 1);
  EXPECT_FALSE(evaluate(logical_and(is_zero, eq(quotient, make_int(2))), zero));
}

}  // namespace
}  // namespace repose
