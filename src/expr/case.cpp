// Rows, ranges and clauses of a case.
#include "expr/case.h"

#include <algorithm>

namespace repose {

namespace {

__extension__ typedef __int128 int128;

constexpr int64_t minus_infinity = Interval::minus_infinity;
constexpr int64_t plus_infinity = Interval::plus_infinity;
constexpr int narrowing_rounds = 8;
constexpr int narrowings_of_a_row = 4;
// Coefficients: sums of 64 products with a limit stay within 128 bits.
constexpr int64_t max_narrowed = int64_t{1} << 56;

bool is_infinite(int64_t limit) {
  return limit == minus_infinity || limit == plus_infinity;
}

bool has_small_numbers(const LinearConstraint& row) {
  auto is_small = [](int64_t k) { return k <= max_narrowed && k >= -max_narrowed; };
  return row.terms.size() <= 64 && is_small(row.constant) &&
         std::all_of(row.terms.begin(), row.terms.end(),
                     [&](const auto& t) { return is_small(t.second); });
}

// The least or greatest value of a sum.
struct Sum {
  int128 finite = 0;
  int infinite = 0;  // terms without a limit

  void add(int128 coefficient, const Range& r, bool least) {
    int64_t limit = (coefficient > 0) == least ? r.lower : r.upper;
    if (is_infinite(limit)) {
      ++infinite;
    } else {
      finite += coefficient * limit;
    }
  }
};

Sum limit_of(const LinearConstraint& row, bool least, const Case& c) {
  Sum sum{row.constant, 0};
  for (const auto& [v, k] : row.terms) sum.add(k, c.range(v), least);
  return sum;
}

int128 floor_div(int128 a, int128 b) {  // b > 0
  int128 q = a / b;
  return a % b < 0 ? q - 1 : q;
}

}  // namespace

// ---- What holds ---------------------------------------------------------------------------------

void Case::add(const Branch& branch) {
  for (const LinearConstraint& row : branch.rows) add(row);
  for (const Clause& clause : branch.clauses) clauses_.push_back(&clause);
}

void Case::add(const LinearConstraint& row) {
  if (!has_small_numbers(row)) return;
  for (const auto& [variable, coefficient] : row.terms) activate(variable);
  rows_.push_back(row);
}

void Case::activate(int variable) {
  const size_t v = static_cast<size_t>(variable);
  if (v >= active_.size()) {
    active_.resize(constraints_->size(), false);
    ranges_.resize(constraints_->size());
  }
  if (active_[v]) return;
  active_[v] = true;
  const MonomialInfo& info = constraints_->monomial(variable);
  ranges_[v] = {info.range.lower, info.range.upper};
  limit(variable);
  if (info.atoms.size() == 1) {
    add(info.definition);
    return;
  }
  for (int a : info.atoms) activate(constraints_->atom(a));
  for (const auto& [atom, value] : fixed_) fix_in(variable, atom, value);
}

// The range as rows.
void Case::limit(int variable) {
  const Range r = range(variable);
  const bool has_negative = r.upper != std::numeric_limits<int64_t>::min();
  if (r.upper != plus_infinity && has_negative)
    add(LinearConstraint{false, -r.upper, {{variable, 1}}});
  if (r.lower != minus_infinity) add(LinearConstraint{false, r.lower, {{variable, -1}}});
}

// variable = value * (variable without the atom)
void Case::fix_in(int variable, int atom, int64_t value) {
  int rest = constraints_->quotient(variable, constraints_->atom(atom));
  if (rest < 0) return;
  LinearConstraint row{true, 0, {{variable, 1}}};
  if (value != 0) row.terms.emplace_back(rest, -value);
  add(row);
}

void Case::fix(int atom, int64_t value) {
  add(LinearConstraint{true, -value, {{constraints_->atom(atom), 1}}});
  fixed_.emplace_back(atom, value);
  for (int v = 0; v < size(); ++v) {
    if (is_active(v) && constraints_->degree(v) > 1) fix_in(v, atom, value);
  }
}

// ---- Ranges -------------------------------------------------------------------------------------

bool Case::has_products() const {
  for (int v = 0; v < size(); ++v) {
    if (is_active(v) && constraints_->degree(v) > 1) return true;
  }
  return false;
}

Range Case::range(int variable) const {
  if (is_active(variable)) return ranges_[static_cast<size_t>(variable)];
  const Interval& r = constraints_->monomial(variable).range;
  return {r.lower, r.upper};
}

bool Case::is_fixed(int atom) const {
  return std::any_of(fixed_.begin(), fixed_.end(), [&](const auto& f) { return f.first == atom; });
}

bool Case::contradicts(const LinearConstraint& row) const {
  if (!has_small_numbers(row)) return false;
  Sum low = limit_of(row, true, *this);
  if (low.infinite == 0 && low.finite > 0) return true;
  if (!row.is_zero) return false;
  Sum high = limit_of(row, false, *this);
  return high.infinite == 0 && high.finite < 0;
}

bool Case::implies(const LinearConstraint& row) const {
  if (!has_small_numbers(row)) return false;
  Sum high = limit_of(row, false, *this);
  if (high.infinite != 0 || high.finite > 0) return false;
  if (!row.is_zero) return true;
  Sum low = limit_of(row, true, *this);
  return low.infinite == 0 && low.finite >= 0;
}

// sum <= 0 (`sign` 1) or -sum <= 0 (-1) limits each variable by the least of the others.
bool Case::narrow_by(const LinearConstraint& row, int sign) {
  Sum low{static_cast<int128>(row.constant) * sign, 0};
  for (const auto& [v, k] : row.terms) low.add(static_cast<int128>(k) * sign, range(v), true);
  if (low.infinite > 1) return false;
  for (const auto& [v, coefficient] : row.terms) {
    const int128 k = static_cast<int128>(coefficient) * sign;
    Range& r = ranges_[static_cast<size_t>(v)];
    const int64_t own = k > 0 ? r.lower : r.upper;
    if (low.infinite == 1 && !is_infinite(own)) continue;
    const int128 rest = is_infinite(own) ? low.finite : low.finite - k * own;
    bool changed = false;  // k * v <= -rest
    if (k > 0) {
      const int128 limit = floor_div(-rest, k);
      changed = limit < r.upper && limit > minus_infinity;
      if (changed) r.upper = static_cast<int64_t>(limit);
    } else {
      const int128 limit = -floor_div(-rest, -k);
      changed = limit > r.lower && limit < plus_infinity;
      if (changed) r.lower = static_cast<int64_t>(limit);
    }
    impossible_ = impossible_ || r.is_empty();
    if (changed) return true;  // `low` is out of date
  }
  return false;
}

void Case::narrow() {
  for (int round = 0; round < narrowing_rounds; ++round) {
    bool changed = false;
    for (const LinearConstraint& row : rows_) {
      for (int sign : {1, -1}) {
        if (sign < 0 && !row.is_zero) continue;
        for (int i = 0; i < narrowings_of_a_row && narrow_by(row, sign); ++i) changed = true;
        if (impossible_) return;
      }
    }
    if (!changed) return;
  }
}

// ---- Clauses ------------------------------------------------------------------------------------

bool Case::contradicts(const Branch& branch) const {
  return std::any_of(branch.rows.begin(), branch.rows.end(),
                     [&](const LinearConstraint& row) { return contradicts(row); });
}

bool Case::implies(const Branch& branch) const {
  return branch.clauses.empty() &&
         std::all_of(branch.rows.begin(), branch.rows.end(),
                     [&](const LinearConstraint& row) { return implies(row); });
}

// Drops clauses that hold anyway. True: something new holds.
bool Case::decide_clauses() {
  bool added = false;
  for (size_t i = 0; i < clauses_.size() && !impossible_;) {
    const Clause& clause = *clauses_[i];
    const Branch* possible = nullptr;
    size_t count = 0;
    bool holds = false;
    for (const Branch& b : clause.branches) {
      if (contradicts(b)) continue;
      holds = holds || implies(b);
      possible = &b;
      ++count;
    }
    if (count > 1 && !holds) {
      ++i;
      continue;
    }
    drop_clause(i);
    impossible_ = count == 0;
    if (count == 1 && !holds) {
      add(*possible);
      added = true;
    }
  }
  return added;
}

void Case::propagate() {
  do {
    narrow();
  } while (!impossible_ && decide_clauses());
}

}  // namespace repose
