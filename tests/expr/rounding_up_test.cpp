// ceil(d / s) through its spellings, and what SAME padding gives: one canonical form.
#include <gtest/gtest.h>

#include "expr/facts.h"

namespace repose {
namespace {

class RoundingUpTest : public ::testing::Test {
 protected:
  Var d = make_var("d"), h = make_var("h");
  static Expr c(int64_t v) { return make_int(v); }
  static std::string text(const Expr& e) { return to_string(canonical(e)); }
  static Expr up(const Expr& x, int64_t s) { return floor_div(x + (s - 1), c(s)); }

  // What TensorFlow's SAME adds, and what a convolution makes of it.
  static Expr padding(const Expr& x, int64_t k, int64_t s) {
    return max((up(x, s) - 1) * s + k - x, c(0));
  }
  static Expr convolved(const Expr& x, const Expr& pad, int64_t k, int64_t s) {
    return floor_div(x + pad - k, c(s)) + 1;
  }
};

TEST_F(RoundingUpTest, SpellingsOfTheQuotient) {
  for (int64_t s : {2, 3, 4, 7, 32}) {
    const std::string expected = text(up(d, s));
    const Expr rest = floor_mod(d, c(s));
    EXPECT_EQ(text(c(0) - floor_div(c(0) - d, c(s))), expected);
    EXPECT_EQ(text(floor_div(d - 1, c(s)) + 1), expected);
    EXPECT_EQ(text(floor_div(d, c(s)) + min(rest, c(1))), expected);
    EXPECT_EQ(text(floor_div(d, c(s)) + make_select(eq(rest, c(0)), c(0), c(1))), expected);
    EXPECT_EQ(text(floor_div(d, c(s)) + make_select(ne(rest, c(0)), c(1), c(0))), expected);
    EXPECT_EQ(text(floor_div(d, c(s)) + make_select(lt(c(0), rest), c(1), c(0))), expected);
    EXPECT_EQ(text(make_select(eq(rest, c(0)), floor_div(d, c(s)), floor_div(d, c(s)) + 1)),
              expected);
    EXPECT_EQ(text(floor_div(d + floor_mod(c(0) - d, c(s)), c(s))), expected);
    EXPECT_EQ(text(floor_div(d + floor_mod(c(s) - rest, c(s)), c(s))), expected);
    EXPECT_EQ(text(floor_div(d - rest, c(s)) + min(rest, c(1))), expected);
  }
}

TEST_F(RoundingUpTest, SamePaddingGivesTheQuotient) {
  for (int64_t s : {2, 3, 4}) {
    for (int64_t k : {1, 2, 3, 5, 7}) {
      const Expr pad = padding(h, k, s);
      const Expr before = floor_div(pad, c(2)), after = pad - before;
      const Expr out = floor_div(h + before + after - k, c(s)) + 1;
      EXPECT_EQ(prove_equal(out, up(h, s)), Truth::yes) << "stride " << s << ", kernel " << k;
      if (k < s) continue;
      EXPECT_EQ(text(out), text(up(h, s))) << "stride " << s << ", kernel " << k;
    }
  }
}

TEST_F(RoundingUpTest, AStackOfSamePaddings) {
  Expr x = h;
  int64_t stride = 1;
  for (int i = 0; i < 20; ++i) {
    x = canonical(convolved(x, padding(x, 3, 2), 3, 2));
    stride *= 2;
    EXPECT_EQ(to_string(x), text(up(h, stride)));
  }
}

// Where the product of the divisors leaves int64, too.
TEST_F(RoundingUpTest, MoreRoundingGivesNoMore) {
  const int64_t large = int64_t{1} << 62;
  EXPECT_EQ(prove_le(up(up(d, large), 8), up(d, 2)), Truth::yes);
  EXPECT_EQ(prove_le(up(up(d, large), 8), up(d, large)), Truth::yes);
  EXPECT_EQ(prove_le(up(d, 2), up(up(d, large), 8)), Truth::unknown);
}

TEST_F(RoundingUpTest, RemaindersThatDivide) {
  EXPECT_EQ(text(floor_div(d - floor_mod(d, c(2)), c(2))), "d // 2");
  EXPECT_EQ(text(floor_div(d, c(4)) - floor_div(d, c(8))), "(d + 4) // 8");
  EXPECT_EQ(text(floor_div(d, c(8)) + floor_div(d + 4, c(8))), "d // 4");
  EXPECT_EQ(text(floor_div(d * 3 - floor_mod(d, c(6)) * 3, c(6))), text(floor_div(d, c(6)) * 3));
  EXPECT_EQ(text(floor_div(d, c(2)) - floor_div(d, c(4)) * 2), "d // 2 % 2");
  EXPECT_EQ(text(floor_div(d + 1, c(2)) - floor_div(d + 3, c(4)) * 2),
            text(floor_mod(floor_div(d + 3, c(2)), c(2)) - 1));
}

// Each rewriting keeps the value everywhere.
TEST_F(RoundingUpTest, ValuesStay) {
  const Expr m = floor_mod(d, c(6));
  const Expr all[] = {floor_div(d * 5 - m * 2 + 3, c(4)),
                      floor_div(d - m + h, c(3)),
                      floor_div(d + 1, c(2)) * 3 - floor_div(d + 5, c(6)) * 6,
                      floor_div(d - 7, c(3)) * -2 + floor_div(d + 2, c(9)) * 6,
                      floor_div(d + 8, c(4)) * 2 + min(floor_mod(d + 4, c(4)), c(1)),
                      floor_div(d, c(4)) - floor_div(d, c(8)) + floor_div(d + 8, c(4)),
                      floor_div(d + 1, c(6)) + floor_div(d + 4, c(6)) * 2,
                      floor_div(d + 5, c(3)) * 5 - floor_div(d + 2, c(6)) * 3,
                      make_select(eq(m, c(0)), h, h + 1)};
  for (const Expr& e : all) {
    const Expr simple = canonical(e);
    for (int64_t x = 0; x < 40; ++x) {
      for (int64_t y : {0, 1, 2, 5}) {
        const VarMap at{{d.get(), c(x)}, {h.get(), c(y)}};
        EXPECT_EQ(to_string(canonical(substitute(simple, at))),
                  to_string(canonical(substitute(e, at))))
            << to_string(e) << " at " << x << ", " << y;
      }
    }
  }
}

}  // namespace
}  // namespace repose
