// Bounds of expressions with symbols that the data decides.
#include "expr/upper_bound.h"

#include <gtest/gtest.h>

#include "expr/random_statement.h"

namespace repose {
namespace {

class UpperBound : public testing::Test {
 protected:
  static Expr c(int64_t v) { return make_int(v); }
  std::string bound(const Expr& e) {
    Expr found = upper_bound(e, facts, [&](const Var& v) { return v == found_ || v == kept_; });
    return found ? to_string(found) : "none";
  }
  Var m = make_var("m"), n = make_var("n");
  Var found_ = make_var("found"), kept_ = make_var("kept");
  Facts facts;
};

TEST_F(UpperBound, WithoutABoundThereIsNone) {
  EXPECT_EQ(bound(Expr(m) * n), "m * n");
  EXPECT_EQ(bound(Expr(found_) + m), "none");
  EXPECT_EQ(bound(c(8) - found_), "8");  // a dimension isn't negative
}

TEST_F(UpperBound, NonzeroHasAtMostAsManyAsThereAre) {
  facts.assume(le(found_, Expr(m) * n));
  EXPECT_EQ(bound(Expr(found_) * 16), "m * n * 16");
  EXPECT_EQ(bound(Expr(found_) * m), "m * m * n");
  EXPECT_EQ(bound(floor_div(Expr(found_) + 3, c(4))), "(m * n + 3) // 4");
  EXPECT_EQ(bound(Expr(n) - found_), "n");
  // Of what is kept of them.
  facts.assume(le(Expr(kept_) * 2, found_));
  EXPECT_EQ(bound(kept_), "m * n // 2");
  EXPECT_EQ(bound(max(kept_, Expr(found_) - 1)), "T.max(m * n, m * n // 2 + 1) - 1");
  EXPECT_EQ(bound(min(kept_, c(100))), "T.min(m * n // 2, 100)");
}

TEST_F(UpperBound, RangesAndConditionsTogether) {
  facts.restrict(found_, {0, 4096});
  facts.assume(le(found_, m));
  EXPECT_EQ(bound(Expr(found_) * 4), "T.min(m, 4096) * 4");
  EXPECT_EQ(bound(floor_mod(found_, n)), "4096");
}

TEST_F(UpperBound, IsNeverBelow) {
  RandomStatement random(5);
  int bounded = 0;
  for (int i = 0; i < 6000; ++i) {
    Statement s = random.next();
    if (!is_compare(s.condition->kind)) continue;
    const Expr e = s.condition->args[0];
    Expr limit = upper_bound(e, s.facts, [&](const Var& v) { return v == s.symbols[0]; });
    if (!limit) continue;
    ASSERT_FALSE(uses_var(limit, s.symbols[0])) << to_string(limit);
    Column value = random.evaluate(e), above = random.evaluate(limit);
    for (size_t k = 0; k < value.value.size(); ++k) {
      if (!value.valid[k] || !above.valid[k]) continue;
      ASSERT_LE(value.value[k], above.value[k])
          << to_string(e) << " <= " << to_string(limit) << " in " << s.to_string();
    }
    bounded += uses_var(e, s.symbols[0]);
  }
  EXPECT_GT(bounded, 1000);
}

}  // namespace
}  // namespace repose
