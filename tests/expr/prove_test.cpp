// What the prover decides: the questions that shapes ask.
#include <gtest/gtest.h>

#include "expr/facts.h"

namespace repose {
namespace {

class Prove : public testing::Test {
 protected:
  static Expr c(int64_t v) { return make_int(v); }
  static Var dimension(const char* name) {
    return make_var(name, dtypes::index, VarRole::dimension);
  }
  static Var value(const char* name) { return make_var(name, dtypes::index, VarRole::value); }
  static Expr ge(Expr a, Expr b) { return le(std::move(b), std::move(a)); }
  static Expr implies(Expr a, Expr b) { return logical_or(make_not(std::move(a)), std::move(b)); }
  static void at_least(Facts& f, const Var& v, int64_t lower) {
    f.restrict(v, {lower, Interval::plus_infinity});
  }
  void yes(const Expr& e) { EXPECT_EQ(prove(e, facts), Truth::yes) << to_string(e); }
  void no(const Expr& e) { EXPECT_EQ(prove(e, facts), Truth::no) << to_string(e); }
  void unknown(const Expr& e) { EXPECT_EQ(prove(e, facts), Truth::unknown) << to_string(e); }

  Var m = dimension("m"), n = dimension("n"), h = dimension("h"), w = dimension("w");
  Var a = dimension("a"), b = dimension("b"), seq = dimension("seq");
  Var past = dimension("past"), total = dimension("total");
  Var s = value("s"), t = value("t");
  Facts facts;
};

TEST_F(Prove, ProductsOfDimensions) {
  yes(eq(m * 224, m * 224));
  yes(eq(Expr(m) * h * w, h * (Expr(w) * m)));
  yes(eq((Expr(m) * h) * 4 * w, Expr(m) * (Expr(h) * w * 4)));
  yes(eq(Expr(n) * 12 * 64, Expr(n) * 768));
  yes(eq(floor_div(Expr(n) * 4, c(2)), Expr(n) * 2));
  yes(eq(floor_div(m * 224, c(224)), m));
  no(eq(Expr(n) * 2 + 1, Expr(m) * 2));
  unknown(eq(Expr(m) * n, c(0)));
  at_least(facts, m, 1);
  at_least(facts, n, 1);
  no(eq(Expr(m) * n, c(0)));
  yes(eq(floor_div(Expr(m) * n, m), n));
}

TEST_F(Prove, SumsInAnyOrder) {
  yes(eq(Expr(past) + n, Expr(n) + past));
  yes(eq((Expr(past) + n) - past, n));
  yes(ne(Expr(n) + 1, c(0)));
  yes(ge(n, c(0)));
  unknown(ne(n, c(0)));
  at_least(facts, n, 1);
  yes(ne(n, c(0)));
}

TEST_F(Prove, ConvolutionSizes) {
  auto size = [&](Expr in, int64_t kernel, int64_t pad, int64_t stride) {
    return floor_div(in + 2 * pad - kernel, c(stride)) + 1;
  };
  yes(eq(size(h, 3, 1, 1), h));
  yes(eq(size(h, 3, 1, 2), size(Expr(h) + 0, 3, 1, 2)));
  yes(eq(size(h, 3, 2, 2), floor_div(Expr(h) + 1, c(2)) + 1));
  yes(eq(floor_div(Expr(h) - 2, c(2)) + 1, floor_div(h, c(2))));
  yes(eq(ceil_div(h, c(2)), floor_div(Expr(h) - 1, c(2)) + 1));
  yes(eq(floor_div(floor_div(Expr(h) - 1, c(2)) + 1 - c(1), c(2)) + 1,
         floor_div(Expr(h) - 1, c(4)) + 1));
  Var k = dimension("k"), p = dimension("p"), stride = dimension("stride");
  Expr symbolic = floor_div(Expr(h) + Expr(p) * 2 - k, stride) + 1;
  yes(eq(symbolic, floor_div(Expr(p) + h + p - k, stride) + 1));
}

TEST_F(Prove, Divisibility) {
  unknown(eq(floor_div(n, c(8)) * 8, n));
  yes(le(floor_div(n, c(8)) * 8, n));
  yes(ge(floor_div(n, c(8)) * 8, Expr(n) - 7));
  yes(le(floor_div(m, n) * n, m));
  Facts divided;
  divided.assume(eq(floor_mod(n, c(8)), c(0)));
  EXPECT_EQ(prove_equal(floor_div(n, c(8)) * 8, n, divided), Truth::yes);
  EXPECT_EQ(prove_divisible(Expr(n) * 2, 16, divided), Truth::yes);
  EXPECT_EQ(prove_divisible(Expr(n) + 1, 4, divided), Truth::no);
  EXPECT_EQ(prove_divisible(n, 16, divided), Truth::unknown);
  yes(eq(floor_div(n, c(8)) * 8 + floor_mod(n, c(8)), n));
  yes(lt(floor_mod(n, c(8)), c(8)));
  yes(eq(ceil_div(Expr(n) * 8, c(8)), n));
  yes(ge(ceil_div(n, c(8)) * 8, n));
  yes(le(ceil_div(n, c(8)) * 8, Expr(n) + 7));
  yes(eq(ceil_div(n, c(8)), floor_div(Expr(n) + 7, c(8))));
  Expr padding = floor_mod(c(0) - n, c(8));
  yes(eq(Expr(n) + padding, ceil_div(n, c(8)) * 8));
  yes(eq(c(0) - floor_div(c(0) - n, c(8)), ceil_div(n, c(8))));
}

TEST_F(Prove, SymbolicDivisibility) {
  at_least(facts, m, 1);
  facts.assume(eq(floor_mod(n, m), c(0)));
  yes(eq(floor_div(n, m) * m, n));
}

TEST_F(Prove, MinimumAndMaximum) {
  yes(le(min(n, c(512)), n));
  yes(le(min(n, c(512)), c(512)));
  yes(ge(max(a, b), a));
  yes(ge(max(a, b), b));
  yes(eq(min(a, Expr(a) + 1), a));
  yes(eq(min(a, max(a, b)), a));
  yes(eq(max(a, b), max(b, a)));
  yes(eq(Expr(min(a, b)) + max(a, b), Expr(a) + b));
  unknown(eq(min(seq, c(512)), seq));
  facts.assume(eq(min(seq, c(512)), seq));
  yes(le(seq, c(512)));
  no(eq(seq, c(513)));
}

TEST_F(Prove, Broadcasts) {
  Expr together = make_select(eq(a, c(1)), b, a);
  unknown(eq(together, b));
  Facts equal = facts;
  equal.assume(eq(a, b));
  EXPECT_EQ(prove_equal(together, b, equal), Truth::yes);
  Facts one;
  one.assume(eq(a, c(1)));
  EXPECT_EQ(prove_equal(together, b, one), Truth::yes);
  Facts either;
  either.assume(logical_or(eq(a, b), eq(a, c(1))));
  EXPECT_EQ(prove_equal(together, b, either), Truth::yes);
  Facts any;
  any.assume(logical_or(logical_or(eq(a, b), eq(a, c(1))), eq(b, c(1))));
  EXPECT_EQ(prove_equal(together, b, any), Truth::unknown);
  EXPECT_EQ(prove_equal(together, make_select(eq(b, c(1)), a, b), any), Truth::yes);
  // min(seq, 512) against seq: where one of them is 1, so is the other.
  Expr cut = min(seq, c(512));
  at_least(facts, seq, 1);
  yes(implies(logical_or(eq(cut, c(1)), eq(seq, c(1))), eq(cut, seq)));
}

TEST_F(Prove, ProductsAreMonotonic) {
  at_least(facts, n, 1);
  yes(ge(Expr(m) * n, m));
  yes(ge(Expr(m) * n * h, Expr(m) * h));
  yes(le(floor_div(m, n), m));
  yes(le(floor_mod(m, n), m));
  yes(lt(floor_mod(m, n), n));
  unknown(le(n, Expr(m) * n));
  facts.assume(le(h, w));
  yes(le(Expr(m) * h, Expr(m) * w));
  yes(le(floor_div(h, c(4)), floor_div(w, c(4))));
  yes(le(floor_div(h, n), floor_div(w, n)));
}

TEST_F(Prove, Hypotheses) {
  facts.assume(le(a, b));
  yes(le(a, Expr(b) + 1));
  unknown(le(b, a));
  yes(eq(min(a, b), a));
  facts.assume(le(b, n));
  yes(le(a, n));
  yes(le(Expr(a) * 2, Expr(b) + n));
  no(lt(n, a));
  facts.assume(lt(n, a));
  EXPECT_TRUE(facts.is_contradiction());
  yes(eq(a, c(7)));
}

TEST_F(Prove, Slices) {
  Expr begin = min(c(2), n), end = min(c(10), n);
  Expr size = max(end - begin, c(0));
  yes(ge(size, c(0)));
  yes(eq(size, end - begin));
  Facts large;
  large.restrict(n, {10, Interval::plus_infinity});
  EXPECT_EQ(prove_equal(size, c(8), large), Truth::yes);
  Facts small;
  small.restrict(n, {0, 2});
  EXPECT_EQ(prove_equal(size, c(0), small), Truth::yes);
  yes(le(size, n));
  yes(le(size, c(8)));
}

TEST_F(Prove, KeyValueCaches) {
  facts.assume(eq(total, Expr(past) + n));
  yes(eq(max(Expr(total) - past, c(0)), n));
  yes(ge(total, past));
  yes(eq(Expr(total) - n, past));
}

TEST_F(Prove, Connectives) {
  yes(logical_or(le(s, t), lt(t, s)));
  no(logical_and(lt(s, t), lt(t, s)));
  yes(implies(logical_and(le(s, t), le(t, Expr(s))), eq(s, t)));
  yes(implies(eq(s, c(3)), eq(Expr(s) * 2, c(6))));
  yes(make_not(logical_and(eq(s, c(1)), eq(s, c(2)))));
  unknown(logical_or(eq(s, t), eq(s, c(2))));
}

TEST_F(Prove, EqualitiesReplace) {
  facts.assume(eq(b, a));
  yes(eq(Expr(b) * 3, Expr(a) * 3));
  EXPECT_EQ(to_string(simplify(Expr(b) + 1, facts)), "a + 1");
  facts.assume(eq(a, c(4)));
  yes(eq(b, c(4)));
  yes(eq(floor_mod(b, c(4)), c(0)));
}

TEST_F(Prove, DataIntegersByRange) {
  Var i = make_var("i", dtypes::uint8, VarRole::let);
  yes(le(i, make_int(255, dtypes::uint8)));
  unknown(le(i, make_int(254, dtypes::uint8)));
  yes(eq(i, i));
  unknown(le(i, Expr(i) + 1));  // 255 + 1 wraps
}

}  // namespace
}  // namespace repose
