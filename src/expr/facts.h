// What is known about symbols in a scope, and the questions that can be answered from it.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "expr/expr.h"

namespace repose {

// The answer of the prover. Nothing treats unknown as yes or as no.
enum class Truth { no, yes, unknown };

// A range of mathematical integers, inclusive, with a stride: every value v satisfies
// lower <= v <= upper and v % divisor == remainder. The limits of int64 stand for infinity.
struct Interval {
  static constexpr int64_t minus_infinity = std::numeric_limits<int64_t>::min();
  static constexpr int64_t plus_infinity = std::numeric_limits<int64_t>::max();
  int64_t lower = minus_infinity;
  int64_t upper = plus_infinity;
  int64_t divisor = 1;
  int64_t remainder = 0;

  bool operator==(const Interval&) const = default;
  bool is_point() const {
    return lower == upper && lower != minus_infinity && upper != plus_infinity;
  }
  bool contains(int64_t v) const;
};

class KnownConditions;
struct Polynomial;

// The facts in scope: ranges and divisors of variables, definitions of named sizes, and conditions
// that hold. A value type: copy it to enter a scope (copies share until they are changed).
class Facts {
 public:
  // Narrows what is known about `v` (intersects). An empty intersection makes the scope
  // unreachable: is_contradiction() is true, and every statement is provable.
  void restrict(const Var& v, const Interval& range);
  // Learns that a bool expression over index expressions holds. Conjunctions are split; what can
  // be turned into a range, a divisor or a substitution is, the rest is kept as a condition.
  void assume(const Expr& condition);
  // Learns that `name` stands for `value`, which mentions neither it nor a name that is defined by
  // it. Unlike in an equality, the name stays one atom: its range and divisor are those of the
  // value, and the prover looks behind it where nothing else answers a question.
  void define(const Var& name, const Expr& value);
  bool is_contradiction() const;

  Interval range_of(const Var& v) const;  // default: [0, inf) for dimensions, else everything
  std::vector<Expr> conditions() const;
  // Canonical replacements learned from equalities: applied before anything is proved.
  const VarMap& equalities() const;
  // What a name was defined as; null: it is none.
  Expr definition(const VarNode* name) const;
  // A name whose definition is `value`, the one defined first; null: there is none.
  Var name_of(const Expr& value) const;
  // From here on, the names in `e` are replaced by their definitions, in which other names may
  // stand; false: it has none.
  bool unfold(const Expr& e);
  // The conditions as the prover combines them (hypothesis.h).
  const KnownConditions& known() const;

  // What bears on an expression: ranges, replacements and definitions of its symbols, and the
  // conditions nearest to it, linked by symbols. All of it, where there isn't much. Questions are
  // asked of this, so that what they cost doesn't depend on what else is known.
  Facts about(const Expr& e) const;

 private:
  struct State;
  const State& state() const;
  State& change();
  void restrict(const Var& v, const Interval& range, int depth);
  void learn(const Expr& condition, int depth);
  void learn_disjunction(const Expr& condition, int depth);
  void learn_at_most_zero(const Expr& condition, int depth);
  void learn_zero(const Expr& condition, int depth);
  void learn_not_zero(const Expr& condition);
  void learn_ranges(const Polynomial& at_most_zero);
  bool learn_substitution(const Polynomial& zero, int depth);
  void replace(const Var& v, const Expr& value, int depth);
  bool depends_on(const Expr& e, const Var& v) const;
  void learn_of_definition(const Var& v, const Interval& range, int depth);
  void learn_again(const Expr& about, int depth);
  void learn_anew(const std::vector<size_t>& positions, int depth);
  void resolve_disjunctions(const Expr& about);
  void narrow(const Var& v, const Interval& range);
  void contradict();

  std::shared_ptr<const State> state_;
};

// The canonical form of an index expression: a sum of products of atoms with integer coefficients,
// in a fixed order; atoms are variables and floor_div, floor_mod, min, max, select, loads and casts
// over canonical arguments. Sums of more than 64 terms are left as they are. Other dtypes and bool
// conditions are simplified by the rule table (rules.h). Equal canonical forms are structurally
// equal. Idempotent. It has the expression's value wherever that has one; a division by zero in a
// part that cancels is gone. Comparisons of index become `a <= b`, `a == b` or `a != b` without
// common terms or factors.
Expr canonical(const Expr& e);
// The same, using ranges and conditions in scope (x % 8 is 0 where 8 divides x; min(a, b) where a
// <= b is known, …).
Expr simplify(const Expr& e, const Facts& facts);

// A sound interval for an index (or data integer) expression.
Interval bounds(const Expr& e, const Facts& facts = {});

// yes: true for every assignment that the facts allow; no: false for every one. Assignments in
// which the condition has no value (an index divided by zero, a number outside int64) don't count.
Truth prove(const Expr& condition, const Facts& facts = {});
inline Truth prove_equal(const Expr& a, const Expr& b, const Facts& facts = {}) {
  return prove(eq(a, b), facts);
}
inline Truth prove_le(const Expr& a, const Expr& b, const Facts& facts = {}) {
  return prove(le(a, b), facts);
}
// That an index expression lies in a range: its limits and its stride as one condition.
Expr in_range(const Expr& value, const Interval& range);
Truth prove_nonzero(const Expr& a, const Facts& facts = {});
Truth prove_divisible(const Expr& a, int64_t divisor, const Facts& facts = {});

}  // namespace repose
