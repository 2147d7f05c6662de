// Random statements about shapes, and their value at every assignment at once.
//
//   scene     = 2 or 3 symbols and 0 to 2 facts
//   symbol    = lower limit from -6 to 8 (a dimension: from 0), up to 60 values (at most 1500
//               assignments altogether), one in four with a divisor from 2 to 8 and a remainder;
//               one in six has no upper limit in the facts, and is tried up to one
//   fact      = comparison of expressions of depth 1, or the disjunction of two; one that no
//               assignment satisfies is left out
//   expr(0)   = symbol | constant from -5 to 12
//   expr(d)   = expr + expr | expr - expr | expr * expr | expr * constant from -4 to 8
//             | expr // constant from 1 to 9 | expr % constant from 1 to 9
//             | expr // expr | expr % expr | min(expr, expr) | max(expr, expr)
//             | select(condition, expr, expr) | expr(0)               all of depth below d
//   linear    = the same without expr * expr, expr // expr, expr % expr
//   condition = expr (==, !=, <, <=, >, >=) expr | condition and condition
//             | condition or condition | not condition
//   statement = one of four sorts:
//     any        a condition of depth 3
//     extreme    an expression of depth 3 against its least or greatest value over all assignments,
//                or against the number next to that: <=, <, >=, >, ==, != in every combination
//     relation   two expressions of depth 2 and the least or greatest value k of their difference:
//                a - b <= k and so on as above
//     rewritten  an expression of depth 3 against the same one written differently: distributed,
//                reordered, x as x // c * c + x % c, min(a, b) as a + b - max(a, b) or as a select;
//                equal, or off by a constant
//
// Half of the statements are linear with linear facts, half are drawn from everything.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "expr/facts.h"

namespace repose {

// The values of an expression, one per assignment. Where valid is 0 it has none.
struct Column {
  std::vector<int64_t> value;
  std::vector<uint8_t> valid;
};

struct Statement {
  enum class Sort : uint8_t { any, extreme, relation, rewritten };
  Sort sort;
  bool linear = false;   // the condition and every fact
  bool bounded = false;  // every symbol has a lower and an upper limit
  std::vector<Var> symbols;
  std::vector<Interval> ranges;  // as the facts have them
  std::vector<Expr> conditions;
  Facts facts;
  Expr condition;
  Column truth;  // of the condition, at the assignments that satisfy the facts

  std::string to_string() const;
};

class RandomStatement {
 public:
  explicit RandomStatement(uint64_t seed) : engine_(seed) {}
  Statement next();
  // The value of an expression at the last statement's assignments.
  Column evaluate(const Expr& e) const;
  // The assignments: a value for each symbol of the last statement.
  size_t assignment_count() const { return columns_.empty() ? 0 : columns_[0].size(); }
  int64_t value_of(size_t symbol, size_t assignment) const { return columns_[symbol][assignment]; }

 private:
  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  void scene(Statement& s);
  void enumerate(const std::vector<Interval>& ranges);
  void keep(const Column& condition);
  Expr leaf();
  Expr index(int depth);
  Expr comparison(int depth);
  Expr condition(int depth);
  Expr rewritten(const Expr& e, int depth);
  Expr against_extreme(const Expr& e);

  std::mt19937_64 engine_;
  bool linear_ = false;
  std::vector<Var> symbols_;
  std::vector<std::vector<int64_t>> columns_;
};

}  // namespace repose
