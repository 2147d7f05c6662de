// Local algebra as a table: one rule a line in rules.def, used by the simplifier and by the tester.
//
// A pattern is text in a small expression syntax: x y z stand for any value, c d for constants,
// p q r for conditions; numbers are constants of the operands' dtype. Operators are those of
// docs/ir.md, min(a, b), max(a, b), select(p, a, b), truncdiv, truncmod, abs and a few more by
// name.
#pragma once

#include <span>
#include <string>

#include "expr/expr.h"

namespace repose {

// What a rule is true of.
enum class RuleClass : uint8_t {
  index,     // mathematical integers; sides may differ where the left one has no value
  data_int,  // integers of n bits that wrap: x / 0 is 0
  ring,      // both of the above
  floats,    // bit for bit, NaN and -0 included
  any,       // every dtype of values
  boolean,   // conditions
};

const char* rule_class_name(RuleClass c);
bool rule_applies(RuleClass c, DType operands);

struct Rule {
  RuleClass rule_class;
  const char* before;
  const char* after;
  const char* condition;  // on its constants: "c > 0 and d > 0"; "" for none
};

std::span<const Rule> all_rules();

// The two sides over variables of a dtype, for the tester. Wildcards become the variables given.
struct RuleInstance {
  Expr before;
  Expr after;
  bool condition;  // false: the rule doesn't apply to these constants
};
// `values` holds an expression for each of "x y z c d" and "p q r", in that order.
RuleInstance instantiate(const Rule& rule, DType operands, std::span<const Expr> values);

// Does the order of the two operands not matter?
bool is_commutative(ExprKind kind);

// The first rule that matches at the root; the same pointer if none does. The arguments are
// simplified already. Not for scalar sums and products of index: polynomials cover these.
Expr apply_rules(const Expr& e);

}  // namespace repose
