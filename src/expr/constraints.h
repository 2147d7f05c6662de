// Conditions as linear constraints over monomials, with clauses for what has cases.
//
// A variable of the constraints stands for a product of atoms (polynomial.h). What an atom means is
// its definition, which is in force as soon as the atom occurs:
//   t = x // q, q > 0      q * t <= x <= q * t + q - 1
//   r = x % q              r = x - q * (x // q)
//   m = min(a, b)          m <= a, m <= b, and m = a or m = b
//   s = select(c, a, b)    c and s = a, or not c and s = b
//   v = remainder mod d    v = d * k + remainder, with a new k
// and its range. Division by zero leaves the quotient free, which is sound: there it has no value.
#pragma once

#include <deque>
#include <unordered_map>
#include <vector>

#include "expr/facts.h"
#include "expr/linear.h"
#include "expr/polynomial.h"

namespace repose {

struct Clause;

// Everything in it holds.
struct Branch {
  std::vector<LinearConstraint> rows;
  std::vector<Clause> clauses;
};

// One of the branches holds.
struct Clause {
  std::vector<Branch> branches;
};

// One product of atoms.
struct MonomialInfo {
  std::vector<int> atoms;  // sorted; a power repeats its atom
  Interval range;          // by the facts
  Branch definition;       // of a single atom; else nothing
};

class Constraints {
 public:
  // `nonzero`: expressions that aren't 0 wherever the question has a value.
  Constraints(const Facts& facts, std::vector<Expr> nonzero)
      : facts_(facts), nonzero_(std::move(nonzero)) {}

  // Adds what holds where `condition` does, or where it doesn't. What can't be expressed is left
  // out: the constraints may be weaker, never stronger.
  void add(const Expr& condition, bool holds, Branch* branch);

  size_t size() const { return monomials_.size(); }
  const MonomialInfo& monomial(int variable) const {
    return monomials_[static_cast<size_t>(variable)];
  }
  bool has_products() const { return has_products_; }
  int degree(int variable) const { return static_cast<int>(monomial(variable).atoms.size()); }
  // The variable of an atom alone.
  int atom(int index) const { return atom_variables_[static_cast<size_t>(index)]; }

  // The product of two monomials; -1: too many, or of too high a degree.
  int product(int a, int b);
  // a without the atoms of b; -1 where b doesn't divide a, or is a.
  int quotient(int a, int b);
  // z * row; false where a number leaves int64, or product() fails.
  bool multiply(const LinearConstraint& row, int z, LinearConstraint* out);

 private:
  int find(const std::vector<int>& atoms, uint64_t hash);
  int intern(const std::vector<int>& atoms);
  int intern_atom(const Expr& e);
  bool convert(const Polynomial& p, bool is_zero, LinearConstraint* out);
  void at_most_zero(const Polynomial& p, Branch* branch);
  void zero(const Polynomial& p, Branch* branch);
  void compare(const Expr& c, bool holds, Branch* branch);
  bool is_nonzero(const Expr& e) const;

  void define(const Expr& atom, Branch* out);
  void define_quotient(const Expr& atom, Branch* out);
  void define_truncated(const Expr& atom, Branch* out);
  void define_extremum(const Expr& atom, Branch* out);
  void define_choice(const Expr& atom, Branch* out);
  void define_residue(const Expr& atom, const Interval& range, Branch* out);

  const Facts& facts_;
  std::vector<Expr> nonzero_;
  std::deque<MonomialInfo> monomials_;  // references stay valid
  std::vector<Expr> atoms_;
  std::vector<int> atom_variables_;
  std::unordered_map<uint64_t, std::vector<int>> atoms_by_hash_;
  std::unordered_map<uint64_t, std::vector<int>> monomials_by_hash_;
  bool has_products_ = false;
};

}  // namespace repose
