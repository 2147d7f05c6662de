// One case of the search in refute.h: the rows that hold in it, what their variables can be, and
// the clauses that are still open.
#pragma once

#include <utility>
#include <vector>

#include "expr/constraints.h"

namespace repose {

// Of a variable; the limits of int64 stand for infinity.
struct Range {
  int64_t lower = Interval::minus_infinity, upper = Interval::plus_infinity;

  bool is_empty() const { return lower > upper; }
  bool is_point() const { return lower == upper; }
  bool is_bounded() const {
    return lower != Interval::minus_infinity && upper != Interval::plus_infinity;
  }
};

// A value type: a copy opens another case.
class Case {
 public:
  explicit Case(Constraints& constraints) : constraints_(&constraints) {}

  // What holds from here on, with the definitions and ranges of every variable that occurs.
  void add(const Branch& branch);
  void add(const LinearConstraint& row);
  void activate(int variable);
  // An atom has one value: so products with it are multiples of the rest.
  void fix(int atom, int64_t value);

  // Narrows ranges by rows, and takes clauses with one possible branch, until nothing changes.
  void propagate();
  bool is_impossible() const { return impossible_; }

  const std::vector<LinearConstraint>& rows() const { return rows_; }
  const std::vector<const Clause*>& clauses() const { return clauses_; }
  void drop_clause(size_t i) { clauses_.erase(clauses_.begin() + static_cast<std::ptrdiff_t>(i)); }

  // Variables below this number may be active.
  int size() const { return static_cast<int>(active_.size()); }
  bool is_active(int variable) const {
    size_t v = static_cast<size_t>(variable);
    return v < active_.size() && active_[v];
  }
  bool has_products() const;
  // Of a variable that need not be active.
  Range range(int variable) const;
  bool is_fixed(int atom) const;
  // The ranges alone show that the row can't hold, or must.
  bool contradicts(const LinearConstraint& row) const;
  bool implies(const LinearConstraint& row) const;

  int open_splits = 0;  // that led here, of factors without an upper limit

 private:
  void limit(int variable);
  void fix_in(int variable, int atom, int64_t value);
  bool narrow_by(const LinearConstraint& row, int sign);
  void narrow();
  bool decide_clauses();
  bool contradicts(const Branch& branch) const;
  bool implies(const Branch& branch) const;

  Constraints* constraints_;
  std::vector<LinearConstraint> rows_;
  std::vector<const Clause*> clauses_;
  std::vector<bool> active_;  // variables: their definitions are in `rows_` and `clauses_`
  std::vector<Range> ranges_;
  std::vector<std::pair<int, int64_t>> fixed_;
  bool impossible_ = false;
};

}  // namespace repose
