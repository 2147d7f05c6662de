// The prover against every assignment: random statements (random_statement.h has their grammar).
// What it answers holds for every assignment tried; and of the statements that are the same for
// every assignment (their symbols bounded, so that all were tried) it decides all linear ones and
// most others.
//
// REPOSE_RANDOM_STATEMENTS: how many; REPOSE_RANDOM_SEED: other ones; REPOSE_SHOW_UNDECIDED=1
// prints what stays unknown.
#include <gtest/gtest.h>

#include <cstdlib>

#include "expr/decide.h"
#include "expr/random_expr.h"
#include "expr/random_statement.h"
#include "expr/scalar.h"
#include "support/slow_build.h"

namespace repose {
namespace {

uint64_t seed() {
  const char* text = getenv("REPOSE_RANDOM_SEED");
  return text ? strtoull(text, nullptr, 10) : 20260712;
}

int statement_count() {
  return random_count("REPOSE_RANDOM_STATEMENTS", 100000, 4000);
}

struct Count {
  int constant = 0, decided = 0;
  double percent() const { return constant ? 100.0 * decided / constant : 100; }
};

TEST(ProveRandom, AnswersHoldAndConstantStatementsAreDecided) {
  static const char* const sorts[] = {"any", "extreme", "relation", "rewritten"};
  RandomStatement random(seed());
  const int statements = statement_count();
  Count linear, other, by_sort[2][4], hard[2];
  int answered = 0;
  for (int i = 0; i < statements; ++i) {
    Statement s = random.next();
    Truth answer = prove(s.condition, s.facts);
    answered += answer != Truth::unknown;
    bool can_hold = false, can_fail = false;
    for (size_t k = 0; k < s.truth.value.size(); ++k) {
      if (!s.truth.valid[k]) continue;
      (s.truth.value[k] ? can_hold : can_fail) = true;
    }
    ASSERT_FALSE(answer == Truth::yes && can_fail) << s.to_string();
    ASSERT_FALSE(answer == Truth::no && can_hold) << s.to_string();
    if (!s.bounded || can_hold == can_fail) continue;
    for (Count* c :
         {s.linear ? &linear : &other, &by_sort[s.linear][static_cast<size_t>(s.sort)]}) {
      c->constant++;
      c->decided += answer != Truth::unknown;
    }
    if (prove_quickly(s.condition, s.facts) == Truth::unknown) {
      hard[s.linear].constant++;
      hard[s.linear].decided += answer != Truth::unknown;
    }
    if (answer == Truth::unknown && getenv("REPOSE_SHOW_UNDECIDED")) {
      printf("%s %s: %s\n", s.linear ? "linear" : "other", sorts[static_cast<size_t>(s.sort)],
             s.to_string().c_str());
    }
  }
  printf("%d statements, %d answered; of those constant over their ranges:\n", statements,
         answered);
  for (bool l : {true, false}) {
    const Count& all = l ? linear : other;
    printf("  %-6s %6d, %6.2f %% decided (", l ? "linear" : "other", all.constant, all.percent());
    for (size_t k = 0; k < 4; ++k) {
      printf("%s%s %.1f %% of %d", k ? ", " : "", sorts[k], by_sort[l][k].percent(),
             by_sort[l][k].constant);
    }
    printf(")\n  %-6s %6d of these need more than canonical forms and ranges: %.2f %% decided\n",
           "", hard[l].constant, hard[l].percent());
  }
  EXPECT_GT(linear.constant, statements / 20);
  EXPECT_GT(other.constant, statements / 20);
  EXPECT_EQ(linear.decided, linear.constant);
  EXPECT_GE(other.percent(), 95);
  EXPECT_GE(hard[0].percent(), 80);
}

// Numbers near the ends of int64: what overflows is unknown, never answered.
TEST(ProveRandom, AnswersHoldWithHugeNumbers) {
  RandomExpr random(3);
  random.huge = true;
  int answered = 0;
  for (int i = 0; i < 8000; ++i) {
    Scene scene = random.scene();
    Expr condition = random.condition(3);
    Truth answer = prove(condition, scene.facts);
    if (answer == Truth::unknown) continue;
    ++answered;
    random.for_each_assignment(scene, [&](const Assignment& assignment) {
      auto value = evaluate(condition, assignment);
      if (!value) return;
      ASSERT_EQ(value->i != 0, answer == Truth::yes) << to_string(condition) << "\n"
                                                     << scene.to_string();
    });
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_GT(answered, 4000);
}

// The columns above and the evaluator that defines arithmetic agree.
TEST(ProveRandom, StatementsAreEvaluatedAsDefined) {
  RandomStatement random(7);
  for (int i = 0; i < 2000; ++i) {
    Statement s = random.next();
    for (size_t k = 0; k < s.truth.value.size(); k += 97) {
      auto value = evaluate(s.condition, [&](const Var& v) -> std::optional<Scalar> {
        for (size_t j = 0; j < s.symbols.size(); ++j) {
          if (s.symbols[j] == v) return Scalar{dtypes::index, random.value_of(j, k), 0};
        }
        return std::nullopt;
      });
      ASSERT_EQ(value.has_value(), s.truth.valid[k] != 0) << s.to_string();
      if (value) {
        ASSERT_EQ(value->i != 0, s.truth.value[k] != 0) << s.to_string();
      }
    }
  }
}

}  // namespace
}  // namespace repose
