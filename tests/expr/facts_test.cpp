// Ranges, strides and what conditions teach.
#include "expr/facts.h"

#include <gtest/gtest.h>

#include "expr/interval.h"
#include "expr/random_expr.h"
#include "expr/random_statement.h"
#include "expr/steps.h"

namespace repose {
namespace {

constexpr int64_t plus = Interval::plus_infinity;
constexpr int64_t minus = Interval::minus_infinity;

class FactsTest : public testing::Test {
 protected:
  static Expr c(int64_t v) { return make_int(v); }
  Var n = make_var("n", dtypes::index, VarRole::dimension);
  Var m = make_var("m", dtypes::index, VarRole::dimension);
  Var s = make_var("s", dtypes::index, VarRole::value);
  Facts facts;
};

TEST_F(FactsTest, DimensionsAreNotNegative) {
  EXPECT_EQ(facts.range_of(n), (Interval{0, plus}));
  EXPECT_EQ(facts.range_of(s), Interval{});
}

TEST_F(FactsTest, RestrictionsIntersect) {
  facts.restrict(n, {1, 4096, 8, 0});
  EXPECT_EQ(facts.range_of(n), (Interval{8, 4096, 8, 0}));
  facts.restrict(n, {minus, 100, 12, 4});
  EXPECT_EQ(facts.range_of(n), (Interval{16, 88, 24, 16}));
  facts.restrict(n, {minus, plus, 2, 1});
  EXPECT_TRUE(facts.is_contradiction());
  EXPECT_EQ(prove(eq(n, c(5)), facts), Truth::yes);
}

TEST_F(FactsTest, CopiesAreIndependent) {
  Facts copy = facts;
  copy.restrict(n, {5, 9});
  EXPECT_EQ(facts.range_of(n), (Interval{0, plus}));
  EXPECT_EQ(copy.range_of(n), (Interval{5, 9}));
  Facts second = copy;
  second.assume(le(n, c(6)));
  EXPECT_EQ(copy.range_of(n).upper, 9);
  EXPECT_EQ(second.range_of(n).upper, 6);
}

TEST_F(FactsTest, ComparisonsBecomeRanges) {
  facts.assume(logical_and(lt(c(2), n), le(Expr(n) * 3, c(20))));
  EXPECT_EQ(facts.range_of(n), (Interval{3, 6}));
  facts.assume(ne(n, c(3)));
  EXPECT_EQ(facts.range_of(n), (Interval{4, 6}));
  facts.assume(make_not(le(c(6), n)));
  EXPECT_EQ(facts.range_of(n), (Interval{4, 5}));
}

TEST_F(FactsTest, RangesFollowOtherVariables) {
  facts.restrict(m, {0, 10});
  facts.assume(le(Expr(n) + 2, m));
  EXPECT_EQ(facts.range_of(n), (Interval{0, 8}));
  EXPECT_EQ(facts.range_of(m), (Interval{2, 10}));
}

TEST_F(FactsTest, RemaindersBecomeStrides) {
  facts.assume(eq(floor_mod(n, c(8)), c(0)));
  facts.assume(eq(floor_mod(Expr(s) * 3 + 1, c(7)), c(0)));
  EXPECT_EQ(facts.range_of(n), (Interval{0, plus, 8, 0}));
  EXPECT_EQ(facts.range_of(s), (Interval{minus, plus, 7, 2}));
}

TEST_F(FactsTest, EqualitiesReplaceTheLaterVariable) {
  facts.restrict(m, {3, plus});
  facts.assume(eq(m, Expr(n) + 1));
  EXPECT_EQ(to_string(simplify(m, facts)), "n + 1");
  EXPECT_EQ(facts.range_of(n).lower, 2);
  facts.assume(eq(n, c(4)));
  EXPECT_EQ(to_string(simplify(m, facts)), "5");
  facts.assume(eq(m, c(6)));
  EXPECT_TRUE(facts.is_contradiction());
}

TEST_F(FactsTest, MinimumsTeachTheirSides) {
  facts.assume(eq(min(n, c(512)), n));
  EXPECT_EQ(facts.range_of(n).upper, 512);
  facts.assume(le(max(n, m), c(100)));
  EXPECT_EQ(facts.range_of(n).upper, 100);
  EXPECT_EQ(facts.range_of(m).upper, 100);
}

TEST_F(FactsTest, DisjunctionsShrink) {
  facts.assume(logical_or(eq(n, m), eq(n, c(1))));
  EXPECT_TRUE(facts.equalities().empty());
  facts.assume(lt(c(1), n));
  EXPECT_EQ(prove_equal(n, m, facts), Truth::yes);
}

// Each is looked at again only for what it has to do with: in time even for thousands of them.
TEST_F(FactsTest, ThousandsOfUnrelatedDisjunctions) {
  std::vector<Var> first, second;
  for (int i = 0; i < 1000; ++i) {
    first.push_back(make_var("a"));
    second.push_back(make_var("b"));
    facts.assume(logical_or(eq(first.back(), second.back()), eq(first.back(), c(1))));
  }
  facts.assume(lt(c(1), first[500]));
  EXPECT_EQ(prove_equal(first[500], second[500], facts), Truth::yes);
  EXPECT_EQ(prove_equal(first[501], second[501], facts), Truth::unknown);
  EXPECT_EQ(facts.conditions().size(), 999u);
}

// What broadcasting requires, of several pairs of dimensions.
TEST_F(FactsTest, KnownDisjunctionsAreProvenAndLearnedOnce) {
  std::vector<Expr> known;
  for (int i = 0; i < 4; ++i) {
    Var a = make_var("a"), b = make_var("b");
    known.push_back(logical_or(logical_or(eq(a, b), eq(a, c(1))), eq(b, c(1))));
    facts.assume(known.back());
  }
  const size_t count = facts.conditions().size();
  EXPECT_EQ(count, 4u);
  for (const Expr& condition : known) {
    const Expr& first = condition->args[0];
    EXPECT_EQ(prove(condition, facts), Truth::yes);
    EXPECT_EQ(prove(logical_or(condition->args[1], first), facts), Truth::yes);
    EXPECT_EQ(prove(logical_or(eq(n, m), condition), facts), Truth::yes);
    EXPECT_EQ(prove(first, facts), Truth::unknown);
    facts.assume(condition);
  }
  EXPECT_EQ(facts.conditions().size(), count);
}

// A range that a symbol already has says nothing new when the symbol is replaced.
TEST_F(FactsTest, RangesOfReplacedSymbolsStay) {
  facts.restrict(m, {2, 64, 2, 0});
  facts.assume(logical_or(eq(n, s), eq(n, c(1))));
  facts.assume(eq(m, n + 1));
  EXPECT_EQ(prove(le(n, c(63)), facts), Truth::yes);
  EXPECT_EQ(prove(eq(n, s), facts), Truth::unknown);
  facts.restrict(m, {3, plus, 1, 0});  // so n isn't 1
  EXPECT_EQ(prove(eq(n, s), facts), Truth::yes);
}

TEST_F(FactsTest, FalseConditionsContradict) {
  facts.assume(lt(n, c(0)));
  EXPECT_TRUE(facts.is_contradiction());
}

// reshape from (m, n) to (m, n // 8, 8) states that both have as many elements.
TEST_F(FactsTest, CommonFactorsDivideOut) {
  Expr elements = eq(Expr(m) * n, Expr(m) * floor_div(n, c(8)) * 8);
  Facts maybe_empty = facts;
  maybe_empty.assume(elements);
  EXPECT_EQ(prove_divisible(n, 8, maybe_empty), Truth::unknown);  // m may be 0
  facts.restrict(m, {1, plus});
  facts.assume(elements);
  EXPECT_EQ(facts.range_of(n), (Interval{0, plus, 8, 0}));
  EXPECT_EQ(prove_divisible(Expr(n) * 3, 24, facts), Truth::yes);
  // Heads that the hidden size is split into: the size is their product.
  Facts heads;
  heads.restrict(m, {1, plus});
  Var h = make_var("h", dtypes::index, VarRole::dimension);
  heads.assume(eq(Expr(m) * n, Expr(m) * (Expr(h) * 64)));
  EXPECT_EQ(prove_equal(n, Expr(h) * 64, heads), Truth::yes);
  Facts ordered;
  ordered.restrict(m, {1, plus});
  ordered.assume(le(Expr(m) * n, Expr(m) * h));
  EXPECT_EQ(prove_le(n, h, ordered), Truth::yes);
}

TEST_F(FactsTest, BoundsOfEveryKind) {
  facts.restrict(n, {4, 20, 4, 0});
  facts.restrict(s, {-3, 5});
  EXPECT_EQ(bounds(Expr(n) * 2 + 1, facts), (Interval{9, 41, 8, 1}));
  EXPECT_EQ(bounds(Expr(n) * s, facts), (Interval{-60, 100, 4, 0}));
  EXPECT_EQ(bounds(Expr(s) * s, facts), (Interval{0, 25}));
  EXPECT_EQ(bounds(floor_div(n, c(3)), facts), (Interval{1, 6}));
  EXPECT_EQ(bounds(floor_div(n, c(4)), facts), (Interval{1, 5}));
  EXPECT_EQ(bounds(floor_mod(n, c(8)), facts), (Interval{0, 4, 4, 0}));
  EXPECT_EQ(bounds(min(n, c(6)), facts), (Interval{4, 6, 2, 0}));
  EXPECT_EQ(bounds(max(s, c(0)), facts), (Interval{0, 5}));
  EXPECT_EQ(bounds(make_select(eq(n, c(8)), s, c(9)), facts), (Interval{-3, 9}));
  EXPECT_EQ(bounds(floor_div(c(100), n), facts), (Interval{5, 25}));
  EXPECT_EQ(bounds(floor_div(c(10), s), facts), (Interval{-10, 10}));
  EXPECT_EQ(bounds(make_cast(dtypes::int8, Expr(n)), facts), (Interval{4, 20, 4, 0}));
  EXPECT_EQ(bounds(make_cast(dtypes::int8, Expr(n) * 20), facts), (Interval{-128, 127}));
  EXPECT_EQ(bounds(Expr(n) * m - m * 4, facts), (Interval{0, plus, 4, 0}));
  Interval large = bounds(Expr(n) * (int64_t{1} << 60), facts);  // its upper limit leaves int64
  EXPECT_EQ(large.lower, int64_t{1} << 62);
  EXPECT_EQ(large.upper, plus);
}

// A symbol stands for 64 bits: a divisor of that size leaves few quotients.
TEST_F(FactsTest, BoundsOfAQuotientByAlmostAllNumbers) {
  constexpr int64_t most = int64_t{1} << 62;
  Var d = make_var("d", dtypes::index, VarRole::dimension);
  EXPECT_EQ(bounds(floor_div(Expr(d), c(most)), facts), (Interval{0, 1}));
  EXPECT_EQ(bounds(floor_div(Expr(d) + (most - 1), c(most)), facts), (Interval{0, 2}));
  EXPECT_EQ(bounds(floor_div(Expr(s), c(most)), facts), (Interval{-2, 1}));
  EXPECT_EQ(bounds(floor_div(Expr(s) - 1, c(most)), facts), (Interval{-3, 1}));
  EXPECT_EQ(bounds(floor_div(Expr(d), c(1000)), facts), (Interval{0, plus}));
  // Sums of symbols have no limit.
  EXPECT_EQ(bounds(floor_div(Expr(d) + s, c(most)), facts), (Interval{minus, plus}));
  Expr halved = d;
  for (int i = 0; i < 70; ++i) halved = simplify(floor_div(halved + 1, c(2)), facts);
  EXPECT_EQ(bounds(halved, facts), (Interval{0, 1}));
  EXPECT_TRUE(structural_equal(simplify(floor_div(halved + 1, c(2)), facts), halved));
}

TEST_F(FactsTest, RandomBoundsContainEveryValue) {
  RandomExpr random(11);
  for (int i = 0; i < 10000; ++i) {
    Scene scene = random.scene();
    Expr e = random.index(3);
    Interval range = bounds(e, scene.facts);
    int assignments = 0;
    random.for_each_assignment(scene, [&](const Assignment& assignment) {
      ++assignments;
      auto value = evaluate(e, assignment);
      if (!value) return;
      ASSERT_TRUE(range.contains(value->i))
          << to_string(e) << " is " << value->i << " in [" << range.lower << ", " << range.upper
          << "] % " << range.divisor << " = " << range.remainder << "\n"
          << scene.to_string();
    });
    ASSERT_FALSE(HasFatalFailure());
    if (scene.facts.is_contradiction()) {
      ASSERT_EQ(assignments, 0) << scene.to_string();
    }
  }
}

// Otherwise replacing would never end.
TEST_F(FactsTest, ReplacementsHaveNoReplacedSymbols) {
  RandomStatement random(1);
  int replacements = 0;
  for (int i = 0; i < 20000; ++i) {
    Statement s = random.next();
    for (const auto& [symbol, replacement] : s.facts.equalities()) {
      for (const Var& v : free_vars(replacement)) {
        ASSERT_EQ(s.facts.equalities().count(v.get()), 0u)
            << symbol->name << " is " << to_string(replacement) << " in " << s.to_string();
      }
      ++replacements;
    }
  }
  EXPECT_GT(replacements, 100);
}

TEST_F(FactsTest, RandomIntervalsIntersect) {
  RandomExpr random(12);
  for (int i = 0; i < 3000; ++i) {
    auto interval = [&] {
      int64_t low = random.number(-20, 20), d = random.number(1, 9);
      return Interval{low, low + random.number(0, 40), d, random.number(0, d - 1)};
    };
    Interval a = interval(), b = interval(), both = intersection(a, b),
             either = hull(tightened(a), tightened(b));
    for (int64_t v = -70; v <= 70; ++v) {
      ASSERT_EQ(both.contains(v) && !is_empty(both), a.contains(v) && b.contains(v)) << v;
      ASSERT_TRUE(either.contains(v) || !(a.contains(v) || b.contains(v))) << v;
    }
  }
}

// ---- Names of sizes

TEST_F(FactsTest, ANameIsOneAtomWithTheRangeOfItsDefinition) {
  Var s = make_var("s", dtypes::index, VarRole::value);
  facts.restrict(n, {1, 100});
  const Expr value = floor_div(n + 15, c(16)) * 16;
  facts.define(s, value);
  EXPECT_EQ(to_string(simplify(s + s, facts)), "s * 2");
  EXPECT_EQ(facts.range_of(s).lower, 16);
  EXPECT_EQ(facts.range_of(s).upper, 112);
  EXPECT_EQ(facts.range_of(s).divisor, 16);
  EXPECT_EQ(facts.name_of(value), s);
  EXPECT_EQ(facts.name_of(n + 1), nullptr);
  EXPECT_TRUE(structural_equal(facts.definition(s.get()), value));
}

TEST_F(FactsTest, QuestionsLookBehindNames) {
  Var s = make_var("s", dtypes::index, VarRole::value),
      t = make_var("t", dtypes::index, VarRole::value);
  facts.define(s, floor_div(n, c(4)));
  facts.define(t, s * 4 + m);
  EXPECT_EQ(prove_le(t, n + m, facts), Truth::yes);
  EXPECT_EQ(prove_equal(floor_mod(t - m, c(4)), c(0), facts), Truth::yes);
  EXPECT_EQ(prove_equal(t, n + m, facts), Truth::unknown);
  EXPECT_EQ(prove(lt(n + m, t), facts), Truth::no);
}

TEST_F(FactsTest, WhatIsLearnedOfANameHoldsOfItsDefinition) {
  Var s = make_var("s", dtypes::index, VarRole::value);
  facts.define(s, n * 2 + 1);
  facts.restrict(s, {0, 9});
  EXPECT_EQ(facts.range_of(n).upper, 4);
  facts.assume(eq(s, c(7)));
  EXPECT_EQ(to_string(simplify(n, facts)), "3");
}

TEST_F(FactsTest, NamesDontGoInCircles) {
  Var s = make_var("s", dtypes::index, VarRole::value);
  facts.define(s, floor_div(n, c(3)) + m);
  facts.assume(eq(n, s * 2));  // what `s` is depends on `n`
  EXPECT_EQ(prove_equal(n, s * 2, facts), Truth::yes);
  EXPECT_EQ(prove_le(n, s * 2, facts), Truth::yes);
}

// Two names of which each is made from the one before: the cost of a question doesn't grow with how
// many there are, nor with how many conditions are known of others.
TEST_F(FactsTest, TheCostOfAQuestionIsItsOwn) {
  auto cost = [](int count) {
    Facts facts;
    Var x = make_var("x"), previous = x;
    for (int i = 0; i < count; ++i) {
      Var name = make_var("s", dtypes::index, VarRole::value), limit = make_var("k");
      facts.define(name, floor_div(previous + 1, c(2)) + limit);
      facts.assume(le(limit, x));
      previous = name;
    }
    const uint64_t before = steps_spent();
    EXPECT_EQ(prove_equal(previous, x, facts), Truth::unknown);
    EXPECT_EQ(prove_le(c(0), previous, facts), Truth::yes);
    return steps_spent() - before;
  };
  const uint64_t few = cost(100), many = cost(1000);
  EXPECT_LE(many, few + few / 5);
}

}  // namespace
}  // namespace repose
