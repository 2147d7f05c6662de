// Canonical forms: what they look like, that they keep values, that they are unique for sums.
#include <gtest/gtest.h>

#include <algorithm>

#include "expr/facts.h"
#include "expr/random_expr.h"

namespace repose {
namespace {

class Canonical : public testing::Test {
 protected:
  static Expr c(int64_t v) { return make_int(v); }
  static Var dimension(const char* name) {
    return make_var(name, dtypes::index, VarRole::dimension);
  }
  static void becomes(const Expr& e, const std::string& text) {
    EXPECT_EQ(to_string(canonical(e)), text) << to_string(e);
  }
  Var m = dimension("m"), n = dimension("n"), h = dimension("h");
  Var s = make_var("s", dtypes::index, VarRole::value);
  Var t = make_var("t", dtypes::index, VarRole::value);
};

TEST_F(Canonical, SumsOfProducts) {
  becomes(Expr(n) + m, "m + n");
  becomes(Expr(n) + n, "n * 2");
  becomes(c(224) * m, "m * 224");
  becomes((Expr(m) + 1) * (Expr(n) - 1), "m * n + n - m - 1");
  becomes(Expr(m) - n, "m - n");
  becomes(c(3) - m, "3 - m");
  becomes(Expr(m) - m, "0");
  becomes(c(0) - m, "m * -1");
}

TEST_F(Canonical, FloorDivision) {
  becomes(floor_div(m * 224, c(224)), "m");
  becomes(floor_div(m * 4, c(2)), "m * 2");
  becomes(floor_div(Expr(m) * 8 + 3, c(8)), "m");
  becomes(floor_div(Expr(m) * 8 + n, c(8)), "m + n // 8");
  becomes(floor_div(Expr(m) * 4 + 3, c(8)), "m // 2");
  becomes(floor_div(floor_div(m, c(4)), c(2)), "m // 8");
  becomes(floor_div(floor_div(m, c(4)) + 1, c(2)), "(m + 4) // 8");
  becomes(floor_div(Expr(m) + 7, c(8)), "(m + 7) // 8");
  becomes(floor_div(Expr(m) - 1, c(8)), "(m + 7) // 8 - 1");
  becomes(floor_div(Expr(m) * n, m), "n");
  becomes(floor_div(Expr(m) * n + h, m), "n + h // m");
  becomes(floor_div(Expr(m) * n * 2, Expr(m) * 4), "n // 2");
  becomes(floor_div((Expr(m) + 1) * n, Expr(m) + 1), "n");
}

TEST_F(Canonical, FloorModulo) {
  becomes(floor_mod(m, c(1)), "0");
  becomes(floor_mod(Expr(m) * 8, c(8)), "0");
  becomes(floor_mod(Expr(m) * 4, c(8)), "m % 2 * 4");
  becomes(floor_mod(Expr(m) * 9 + 17, c(8)), "(m + 1) % 8");
  becomes(floor_mod(floor_mod(m, c(16)), c(8)), "m % 8");
  becomes(floor_mod(Expr(m) * n, n), "0");
  becomes(floor_div(m, c(8)) * 8 + floor_mod(m, c(8)), "m");
  becomes(Expr(m) - floor_div(m, c(8)) * 8, "m % 8");
  becomes(floor_div(m, n) * n + floor_mod(m, n), "m");
  becomes(floor_mod(floor_div(m, c(8)), c(4)) * 8 + floor_mod(m, c(8)), "m % 32");
  becomes(floor_div(floor_mod(m, c(32)), c(8)), "m // 8 % 4");
}

TEST_F(Canonical, MinimumAndMaximum) {
  becomes(min(n, m), "T.min(m, n)");
  becomes(min(m, Expr(m) + 1), "m");
  becomes(max(m, c(0)), "m");
  becomes(min(min(n, c(5)), min(m, c(3))), "T.min(T.min(m, n), 3)");
  becomes(min(Expr(m) + 2, Expr(n) + 2), "T.min(m, n) + 2");
  becomes(min(m * 8, n * 8), "T.min(m, n) * 8");
  becomes(c(0) - max(c(0) - s, c(0) - t), "T.min(s, t)");
}

TEST_F(Canonical, Selections) {
  Expr one = eq(m, c(1));
  becomes(make_select(one, n, n), "n");
  becomes(make_select(one, n, m), "T.Select(m == 1, n, m)");
  becomes(make_select(ne(m, c(1)), n, m), "T.Select(m == 1, m, n)");
  becomes(make_select(eq(m, n), m, n), "n");
  becomes(make_select(eq(m, c(1)), c(1), m), "m");
  becomes(make_select(le(s, t), s, t), "T.min(s, t)");
  becomes(make_select(lt(s, t), t, s), "T.max(s, t)");
}

TEST_F(Canonical, Comparisons) {
  becomes(lt(n, m), "n + 1 <= m");
  becomes(make_binary(ExprKind::ge, m, n), "n <= m");
  becomes(eq(Expr(n) * 2, Expr(m) * 2 + 4), "m + 2 == n");
  becomes(eq(Expr(n) * 2, Expr(m) * 2 + 1), "T.bool(False)");
  becomes(le(Expr(n) * 2, c(5)), "n <= 2");
  becomes(le(c(1), floor_div(Expr(n) + 3, c(4))), "1 <= n");
  becomes(le(c(7), floor_div(floor_div(Expr(n) + 1, c(2)) + 3, c(4)) * 3), "17 <= n");
  becomes(lt(floor_div(Expr(n) + 3, c(4)), c(6)), "n <= 20");
  becomes(le(c(0), n), "T.bool(True)");
  becomes(make_not(lt(n, m)), "m <= n");
  becomes(make_not(eq(n, m)), "m != n");
  becomes(make_not(logical_and(eq(n, m), lt(n, m))), "m != n or m <= n");
}

TEST_F(Canonical, CastsOfIndex) {
  becomes(make_cast(dtypes::index, make_cast(dtypes::int64, Expr(m) + 1)), "m + 1");
  becomes(make_cast(dtypes::index, make_cast(dtypes::int32, m)),
          "T.Cast(\"index\", T.Cast(\"int32\", m))");
  becomes(make_cast(dtypes::index, make_cast(dtypes::int32, floor_mod(m, c(8)))), "m % 8");
}

TEST_F(Canonical, ArgumentsOfOtherExpressions) {
  Buffer x = make_buffer("x", {m, n}, dtypes::float32);
  becomes(make_load(x, {Expr(n) - n, Expr(m) + m}), "x[0, m * 2]");
}

TEST_F(Canonical, OverflowLeavesExpressions) {
  int64_t large = int64_t{1} << 62;
  Expr e = (Expr(m) * large) * 4;
  EXPECT_EQ(to_string(canonical(e)), to_string(e));
  Expr sum = m;
  for (int i = 0; i < 100; ++i) sum = sum + dimension(("d" + std::to_string(i)).c_str());
  Expr once = canonical(sum);
  EXPECT_TRUE(structural_equal(once, canonical(once)));
}

TEST_F(Canonical, UnchangedExpressionsKeepTheirPointer) {
  Expr e = canonical((Expr(m) + n) * 3 + min(m, n));
  EXPECT_EQ(canonical(e), e);
}

TEST_F(Canonical, KnownFacts) {
  Facts facts;
  facts.restrict(n, {0, Interval::plus_infinity, 8, 0});
  EXPECT_EQ(to_string(simplify(floor_mod(n, c(8)), facts)), "0");
  EXPECT_EQ(to_string(simplify(floor_div(n, c(8)) * 8, facts)), "n");
  facts.assume(le(m, h));
  EXPECT_EQ(to_string(simplify(min(m, h), facts)), "m");
  EXPECT_EQ(to_string(simplify(make_select(le(m, h), n, m), facts)), "n");
  Var i = make_var("i", dtypes::index, VarRole::loop),
      j = make_var("j", dtypes::index, VarRole::loop);
  facts.restrict(i, {0, 7});
  facts.restrict(j, {0, 3});
  EXPECT_EQ(to_string(simplify(floor_div(Expr(j) * 8 + i, c(8)), facts)), "j");
  EXPECT_EQ(to_string(simplify(floor_mod(Expr(j) * 8 + i, c(8)), facts)), "i");
  EXPECT_EQ(to_string(simplify(floor_div(Expr(m) * 32 + Expr(j) * 8 + i, c(16)), facts)),
            "m * 2 + j // 2");
  EXPECT_EQ(to_string(simplify(floor_div(Expr(n) * h + i, h), facts)), "n + i // h");
}

TEST_F(Canonical, RandomFormsKeepValues) {
  RandomExpr random(7);
  for (int i = 0; i < 15000; ++i) {
    Scene scene = random.scene();
    Expr e = random.index(static_cast<int>(random.number(1, 4)));
    Expr plain = canonical(e), informed = simplify(e, scene.facts);
    random.for_each_assignment(scene, [&](const Assignment& assignment) {
      auto value = evaluate(e, assignment);
      if (!value) return;
      auto a = evaluate(plain, assignment), b = evaluate(informed, assignment);
      ASSERT_TRUE(a && *a == *value) << to_string(e) << " => " << to_string(plain);
      ASSERT_TRUE(b && *b == *value) << to_string(e) << " => " << to_string(informed) << "\n"
                                     << scene.to_string();
    });
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Near the ends of int64 a form may have no value (a step overflows); it never has another value.
TEST_F(Canonical, HugeNumbersNeverMislead) {
  RandomExpr random(13);
  random.huge = true;
  for (int i = 0; i < 10000; ++i) {
    Scene scene = random.scene();
    Expr e = random.index(3), condition = random.condition(2);
    Expr form = simplify(e, scene.facts);
    Interval range = bounds(e, scene.facts);
    Truth answer = prove(condition, scene.facts);
    random.for_each_assignment(scene, [&](const Assignment& assignment) {
      auto value = evaluate(e, assignment), same = evaluate(form, assignment);
      if (value && same) {
        ASSERT_EQ(value->i, same->i) << to_string(e) << " => " << to_string(form);
      }
      ASSERT_TRUE(!value || range.contains(value->i)) << to_string(e) << " " << value->i;
      auto holds = evaluate(condition, assignment);
      if (holds && answer != Truth::unknown) {
        ASSERT_EQ(holds->i != 0, answer == Truth::yes) << to_string(condition);
      }
    });
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST_F(Canonical, RandomConditionsKeepValues) {
  RandomExpr random(8);
  for (int i = 0; i < 10000; ++i) {
    Scene scene = random.scene();
    Expr e = random.condition(3);
    Expr plain = canonical(e);
    random.for_each_assignment(scene, [&](const Assignment& assignment) {
      auto value = evaluate(e, assignment);
      if (!value) return;
      auto a = evaluate(plain, assignment);
      ASSERT_TRUE(a && *a == *value) << to_string(e) << " => " << to_string(plain);
    });
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_TRUE(structural_equal(plain, canonical(plain))) << to_string(e);
  }
}

TEST_F(Canonical, RandomFormsAreIdempotent) {
  RandomExpr random(9);
  int differ = 0;
  for (int i = 0; i < 20000; ++i) {
    Expr e = random.index(static_cast<int>(random.number(1, 4)));
    Expr once = canonical(e), twice = canonical(once);
    if (structural_equal(once, twice)) continue;
    ++differ;
    ADD_FAILURE() << to_string(e) << "\n  " << to_string(once) << "\n  " << to_string(twice);
    if (differ > 5) return;
  }
}

TEST_F(Canonical, ShuffledSumsAreEqual) {
  RandomExpr random(10);
  std::mt19937 engine(1);
  for (int i = 0; i < 5000; ++i) {
    std::vector<Expr> terms;
    for (int64_t k = random.number(2, 6); k > 0; --k) terms.push_back(random.index(2));
    auto sum = [&] {
      Expr e = make_int(0);
      for (const Expr& x : terms) e = random.number(0, 1) ? e + x : x + e;
      return canonical(e);
    };
    Expr first = sum();
    std::shuffle(terms.begin(), terms.end(), engine);
    Expr second = sum();
    ASSERT_TRUE(structural_equal(first, second)) << to_string(first) << "\n" << to_string(second);
  }
}

}  // namespace
}  // namespace repose
