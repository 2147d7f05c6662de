// Random expressions over a few variables with small ranges, for tests that try every assignment.
#pragma once

#include <functional>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "expr/facts.h"
#include "expr/scalar.h"

namespace repose {

// How GoogleTest shows an interval.
inline void PrintTo(const Interval& i, std::ostream* out) {
  *out << "[" << i.lower << ", " << i.upper << "] % " << i.divisor << " = " << i.remainder;
}

using Assignment = std::function<std::optional<Scalar>(const Var&)>;

// Facts, and the assignments that satisfy them.
struct Scene {
  Facts facts;
  std::vector<Interval> ranges;  // of the variables, in order
  std::vector<Expr> conditions;

  std::string to_string() const {
    std::string text;
    for (const Interval& r : ranges) {
      text += "[" + std::to_string(r.lower) + ", " + std::to_string(r.upper) + "] % " +
              std::to_string(r.divisor) + " = " + std::to_string(r.remainder) + "; ";
    }
    for (const Expr& c : conditions) text += repose::to_string(c) + "; ";
    return text;
  }
};

class RandomExpr {
 public:
  explicit RandomExpr(uint64_t seed) : engine_(seed) {
    for (const char* name : {"a", "b", "c"}) {
      variables_.push_back(make_var(name, dtypes::index, VarRole::value));
    }
  }

  const std::vector<Var>& variables() const { return variables_; }
  bool huge = false;  // constants near the ends of int64 too
  int64_t huge_number() {
    int64_t value = std::numeric_limits<int64_t>::min() >> number(0, 40);
    return number(0, 1) ? value : ~value;
  }
  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }

  Scene scene() {
    Scene s;
    for (const Var& v : variables_) {
      int64_t low = number(-4, 4);
      Interval r{low, low + number(0, 7)};
      if (number(0, 3) == 0) {
        r.divisor = number(2, 3);
        r.remainder = number(0, r.divisor - 1);
      }
      s.ranges.push_back(r);
      s.facts.restrict(v, r);
    }
    for (int64_t i = number(-2, 2); i > 0; --i) {
      s.conditions.push_back(condition(1));
      s.facts.assume(s.conditions.back());
    }
    return s;
  }

  void for_each_assignment(const Scene& s, const std::function<void(const Assignment&)>& visit) {
    int64_t v[3];
    Assignment assignment = [&](const Var& var) -> std::optional<Scalar> {
      for (size_t i = 0; i < 3; ++i) {
        if (variables_[i] == var) return Scalar{dtypes::index, v[i], 0};
      }
      return std::nullopt;
    };
    auto each = [&](auto& self, size_t i) -> void {
      if (i == 3) {
        for (const Expr& c : s.conditions) {
          auto value = evaluate(c, assignment);
          if (!value || !value->i) return;
        }
        return visit(assignment);
      }
      for (v[i] = s.ranges[i].lower; v[i] <= s.ranges[i].upper; ++v[i]) {
        if (s.ranges[i].contains(v[i])) self(self, i + 1);
      }
    };
    each(each, 0);
  }

  Expr leaf() {
    if (huge && number(0, 2) == 0) return make_int(huge_number());
    if (number(0, 2) == 0) return make_int(number(-5, 9));
    return variables_[static_cast<size_t>(number(0, 2))];
  }

  Expr index(int depth) {
    if (depth == 0) return leaf();
    switch (number(0, 11)) {
      case 0:
      case 1:
        return index(depth - 1) + index(depth - 1);
      case 2:
        return index(depth - 1) - index(depth - 1);
      case 3:
        return index(depth - 1) * index(depth - 1);
      case 4:
        return index(depth - 1) * make_int(number(-4, 8));
      case 5:
        return floor_div(index(depth - 1), make_int(number(1, 8)));
      case 6:
        return floor_mod(index(depth - 1), make_int(number(1, 8)));
      case 7:
        return number(0, 1) ? floor_div(index(depth - 1), index(depth - 1))
                            : floor_mod(index(depth - 1), index(depth - 1));
      case 8:
        return min(index(depth - 1), index(depth - 1));
      case 9:
        return max(index(depth - 1), index(depth - 1));
      case 10:
        return number(0, 3) ? make_select(condition(depth - 1), index(depth - 1), index(depth - 1))
                            : make_binary(number(0, 1) ? ExprKind::div : ExprKind::mod,
                                          index(depth - 1), index(depth - 1));
      default:
        return leaf();
    }
  }

  Expr condition(int depth) {
    int64_t pick = number(0, depth > 0 ? 8 : 5);
    if (pick <= 5) {
      ExprKind kind = static_cast<ExprKind>(static_cast<int>(ExprKind::eq) + pick);
      int below = depth > 0 ? depth - 1 : 0;
      return make_binary(kind, index(below), index(below));
    }
    if (pick == 6) return logical_and(condition(depth - 1), condition(depth - 1));
    if (pick == 7) return logical_or(condition(depth - 1), condition(depth - 1));
    return make_not(condition(depth - 1));
  }

 private:
  std::mt19937_64 engine_;
  std::vector<Var> variables_;
};

}  // namespace repose
