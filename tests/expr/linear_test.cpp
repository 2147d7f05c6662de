// The Omega test against every point of a box, and where there is no box.
#include "expr/linear.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace repose {
namespace {

using Constraints = std::vector<LinearConstraint>;

Solvable solve_freely(const Constraints& c) {
  int budget = 100000;
  return solve(c, &budget);
}

// Every variable lies in [-limit, limit].
struct Box {
  int variables;
  int64_t limit;
  Constraints constraints;

  bool has_point(std::vector<int64_t>& x, size_t at = 0) const {
    if (at < x.size()) {
      for (x[at] = -limit; x[at] <= limit; ++x[at]) {
        if (has_point(x, at + 1)) return true;
      }
      return false;
    }
    for (const LinearConstraint& c : constraints) {
      int64_t sum = c.constant;
      for (const auto& [v, k] : c.terms) sum += k * x[static_cast<size_t>(v)];
      if (c.is_zero ? sum != 0 : sum > 0) return false;
    }
    return true;
  }
};

class RandomBox {
 public:
  Box next() {
    Box box{static_cast<int>(number(1, 4)), number(1, 4), {}};
    for (int v = 0; v < box.variables; ++v) {
      box.constraints.push_back({false, -box.limit, {{v, 1}}});
      box.constraints.push_back({false, -box.limit, {{v, -1}}});
    }
    for (int64_t i = number(1, 5); i > 0; --i) {
      LinearConstraint c{number(0, 3) == 0, number(-8, 8), {}};
      for (int v = 0; v < box.variables; ++v) {
        int64_t k = number(0, 2) ? number(-7, 7) : 0;
        if (k) c.terms.emplace_back(v, k);
      }
      box.constraints.push_back(c);
    }
    return box;
  }

 private:
  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  std::mt19937_64 engine_{1991};
};

TEST(Linear, AgreesWithEveryPointOfABox) {
  RandomBox random;
  int unknown = 0, solvable = 0;
  const int boxes = 40000;
  for (int i = 0; i < boxes; ++i) {
    Box box = random.next();
    Solvable answer = solve_freely(box.constraints);
    std::vector<int64_t> x(static_cast<size_t>(box.variables));
    bool expected = box.has_point(x);
    solvable += expected;
    if (answer == Solvable::unknown) {
      ++unknown;
    } else {
      ASSERT_EQ(answer == Solvable::yes, expected) << "box " << i;
    }
  }
  EXPECT_LT(unknown, boxes / 1000);
  EXPECT_GT(solvable, boxes / 5);
  EXPECT_GT(boxes - solvable, boxes / 5);
}

TEST(Linear, KnowsWhatHasNoLimits) {
  EXPECT_EQ(solve_freely({}), Solvable::yes);
  EXPECT_EQ(solve_freely({{false, 1, {}}}), Solvable::no);
  // 6 x + 9 y + 15 z = 4
  EXPECT_EQ(solve_freely({{true, -4, {{0, 6}, {1, 9}, {2, 15}}}}), Solvable::no);
  EXPECT_EQ(solve_freely({{true, -3, {{0, 6}, {1, 9}, {2, 15}}}}), Solvable::yes);
  // 2 x < 2 y < 2 x + 2
  EXPECT_EQ(solve_freely({{false, 1, {{0, 2}, {1, -2}}}, {false, -1, {{0, -2}, {1, 2}}}}),
            Solvable::no);
  // 7 x + 12 y + 31 z = 17, 3 x + 5 y + 14 z = 7, 1 <= x <= 40, -50 <= y <= 50 (Pugh's example)
  Constraints pugh = {{true, -17, {{0, 7}, {1, 12}, {2, 31}}},
                      {true, -7, {{0, 3}, {1, 5}, {2, 14}}},
                      {false, 1, {{0, -1}}},
                      {false, -40, {{0, 1}}},
                      {false, -50, {{1, -1}}},
                      {false, -50, {{1, 1}}}};
  EXPECT_EQ(solve_freely(pugh), Solvable::yes);
  // 27 <= 11 x + 13 y <= 45, -10 <= 7 x - 9 y <= 4 has real solutions only (Pugh's example)
  Constraints shadows = {{false, 27, {{0, -11}, {1, -13}}},
                         {false, -45, {{0, 11}, {1, 13}}},
                         {false, -10, {{0, -7}, {1, 9}}},
                         {false, -4, {{0, 7}, {1, -9}}}};
  EXPECT_EQ(solve_freely(shadows), Solvable::no);
}

TEST(Linear, GivesUpRatherThanGuess) {
  const int64_t huge = std::numeric_limits<int64_t>::max() / 2;
  EXPECT_EQ(solve_freely({{false, -huge, {{0, huge}, {1, -huge + 1}}}}), Solvable::unknown);
  int budget = 1;
  Constraints c = {{false, 27, {{0, -11}, {1, -13}}},
                   {false, -45, {{0, 11}, {1, 13}}},
                   {false, -10, {{0, -7}, {1, 9}}},
                   {false, -4, {{0, 7}, {1, -9}}}};
  EXPECT_EQ(solve(c, &budget), Solvable::unknown);
  EXPECT_LT(budget, 0);
}

}  // namespace
}  // namespace repose
