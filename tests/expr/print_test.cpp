// Text of scalar expressions: precedence, constants, calls.
#include "expr/print.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace repose {
namespace {

class Print : public testing::Test {
 protected:
  Var m = make_var("m", dtypes::index, VarRole::dimension);
  Var n = make_var("n", dtypes::index, VarRole::dimension);
  Var x = make_var("x", dtypes::float32, VarRole::let);
  Var k = make_var("k", dtypes::int32, VarRole::let);
};

TEST_F(Print, SumsAndProductsNeedFewParentheses) {
  EXPECT_EQ(to_string(m * 224), "m * 224");
  EXPECT_EQ(to_string((m + n) * 2), "(m + n) * 2");
  EXPECT_EQ(to_string(Expr(m) + n * 2), "m + n * 2");
  EXPECT_EQ(to_string(Expr(m) - (Expr(n) - m)), "m - (n - m)");
  EXPECT_EQ(to_string((Expr(m) - n) - m), "m - n - m");
  EXPECT_EQ(to_string(floor_div(Expr(m) * n, make_int(2))), "m * n // 2");
  EXPECT_EQ(to_string(Expr(m) * floor_div(n, make_int(2))), "m * (n // 2)");
  EXPECT_EQ(to_string(floor_mod(m, Expr(n) * 2)), "m % (n * 2)");
  EXPECT_EQ(to_string(Expr(m) + (-3)), "m + -3");
  EXPECT_EQ(to_string(make_int(-3) * m), "-3 * m");
}

TEST_F(Print, ComparisonsNeverChain) {
  Expr p = lt(m, n), q = eq(m, make_int(1));
  EXPECT_EQ(to_string(p), "m < n");
  EXPECT_EQ(to_string(eq(p, q)), "(m < n) == (m == 1)");
  EXPECT_EQ(to_string(logical_or(logical_and(p, q), q)), "m < n and m == 1 or m == 1");
  EXPECT_EQ(to_string(logical_and(logical_or(p, q), q)), "(m < n or m == 1) and m == 1");
  EXPECT_EQ(to_string(make_not(p)), "not m < n");
  EXPECT_EQ(to_string(make_not(logical_and(p, q))), "not (m < n and m == 1)");
  EXPECT_EQ(to_string(eq(make_not(p), q)), "(not m < n) == (m == 1)");
}

TEST_F(Print, BitsFollowPython) {
  Expr a = k, one = make_int(1, dtypes::int32);
  Expr shifted = make_binary(ExprKind::shift_left, a, one + a);
  EXPECT_EQ(to_string(shifted), "k << T.int32(1) + k");
  EXPECT_EQ(to_string(make_binary(ExprKind::bit_and, make_binary(ExprKind::bit_or, a, one), a)),
            "(k | T.int32(1)) & k");
  EXPECT_EQ(to_string(make_bit_not(a + one)), "~(k + T.int32(1))");
  EXPECT_EQ(to_string(make_bit_not(a) * one), "~k * T.int32(1)");
}

TEST_F(Print, ConstantsSayTheirDtype) {
  EXPECT_EQ(to_string(make_int(3, dtypes::int64)), "T.int64(3)");
  EXPECT_EQ(to_string(make_int(-1, dtypes::uint64)), "T.uint64(18446744073709551615)");
  EXPECT_EQ(to_string(make_bool(true)), "T.bool(True)");
  EXPECT_EQ(to_string(make_float(0.5, dtypes::float32)), "T.float32(0.5)");
  EXPECT_EQ(to_string(make_float(0.1, dtypes::float32)), "T.float32(0.1)");
  EXPECT_EQ(to_string(make_float(0.1, dtypes::float64)), "T.float64(0.1)");
  EXPECT_EQ(to_string(make_float(0.1, dtypes::float16)), "T.float16(0.1)");
  EXPECT_EQ(to_string(make_float(1, dtypes::float32)), "T.float32(1.0)");
  EXPECT_EQ(to_string(make_float(-0.0, dtypes::float32)), "T.float32(-0.0)");
  double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(to_string(make_float(-inf, dtypes::float32)), "T.float32(\"-inf\")");
  EXPECT_EQ(to_string(make_float(std::nan(""), dtypes::float16)), "T.float16(\"nan\")");
}

TEST_F(Print, FunctionsAreCalls) {
  EXPECT_EQ(to_string(min(m, Expr(n) + 1)), "T.min(m, n + 1)");
  EXPECT_EQ(to_string(make_select(eq(m, make_int(1)), n, m)), "T.Select(m == 1, n, m)");
  EXPECT_EQ(to_string(make_if_then_else(eq(m, n), n, make_int(0))), "T.if_then_else(m == n, n, 0)");
  EXPECT_EQ(to_string(make_cast(dtypes::float32, m)), "T.Cast(\"float32\", m)");
  EXPECT_EQ(to_string(make_call(Intrinsic::exp, x)), "T.exp(x)");
  EXPECT_EQ(to_string(make_binary(ExprKind::div, x, x)), "x / x");
  EXPECT_EQ(to_string(make_binary(ExprKind::div, k, k)), "T.truncdiv(k, k)");
  EXPECT_EQ(to_string(make_binary(ExprKind::mod, k, k)), "T.truncmod(k, k)");
  EXPECT_EQ(to_string(make_call(Intrinsic::call_extern, dtypes::float32, {x, k}, "f")),
            "T.call_extern(\"float32\", \"f\", x, k)");
  EXPECT_EQ(to_string(make_call(Intrinsic::reinterpret, dtypes::int32, {x})),
            "T.reinterpret(\"int32\", x)");
}

TEST_F(Print, LoadsAndVectors) {
  Buffer a = make_buffer("A", {m, n}, dtypes::float32);
  Buffer s = make_buffer("s", {}, dtypes::float32);
  EXPECT_EQ(to_string(make_load(a, {n, Expr(m) + 1})), "A[n, m + 1]");
  EXPECT_EQ(to_string(make_load(s, {})), "s[()]");
  EXPECT_EQ(to_string(make_load(a, {n, make_ramp(m, make_int(1), 4)})), "A[n, T.Ramp(m, 1, 4)]");
  EXPECT_EQ(to_string(make_broadcast(x, 8)), "T.Broadcast(x, 8)");
}

TEST_F(Print, ListsAreTuples) {
  EXPECT_EQ(to_string(std::vector<Expr>{}), "()");
  EXPECT_EQ(to_string(std::vector<Expr>{m}), "(m,)");
  EXPECT_EQ(to_string(std::vector<Expr>{m, make_int(224)}), "(m, 224)");
}

TEST_F(Print, NamesComeFromTheCaller) {
  PrintNames names;
  names.var = [](const VarNode& v) { return v.name + "_1"; };
  EXPECT_EQ(print_expr(Expr(m) + n, names), "m_1 + n_1");
}

TEST_F(Print, StringsAreEscaped) {
  EXPECT_EQ(print_string("a\"b\\\n\x01"), "\"a\\\"b\\\\\\n\\x01\"");
}

TEST_F(Print, FloatsReadBack) {
  uint32_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525u + 1013904223u;
    float value;
    static_assert(sizeof value == sizeof state);
    std::memcpy(&value, &state, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(static_cast<float>(std::stod(print_float(value, dtypes::float32))), value);
    std::string text = print_float(value, dtypes::float64);
    ASSERT_EQ(std::strtod(text.c_str(), nullptr), value) << text;
  }
}

}  // namespace
}  // namespace repose
