// The search for a contradiction.
#include "expr/refute.h"

#include <algorithm>
#include <limits>
#include <set>

#include "expr/constraints.h"

namespace repose {

namespace {

__extension__ typedef __int128 int128;

constexpr int64_t minus_infinity = Interval::minus_infinity;
constexpr int64_t plus_infinity = Interval::plus_infinity;
constexpr int propagation_rounds = 8;
constexpr size_t max_products = 160;
constexpr int64_t max_values = 24;  // of a factor that is split
constexpr int max_open_splits = 3;  // of factors without an upper limit, in one case

struct Range {
  int64_t lower = minus_infinity, upper = plus_infinity;
  bool is_empty() const { return lower > upper; }
  bool is_point() const { return lower == upper; }
};

// What holds in a case.
struct Case {
  std::vector<LinearConstraint> rows;
  std::vector<const Clause*> clauses;
  std::vector<bool> active;                    // variables: their definitions are in `rows`
  std::vector<Range> ranges;                   // of variables
  std::vector<std::pair<int, int64_t>> fixed;  // atoms with one value
  int open_splits = 0;
  bool impossible = false;
};

// The limits of a sum, a limit of its terms left out.
struct Sum {
  int128 finite = 0;
  int infinite = 0;

  void add(int64_t coefficient, const Range& r, bool least) {
    int64_t limit = (coefficient > 0) == least ? r.lower : r.upper;
    if (limit == minus_infinity || limit == plus_infinity) {
      ++infinite;
    } else {
      finite += static_cast<int128>(coefficient) * limit;
    }
  }
};

int128 floor_div(int128 a, int128 b) {  // b > 0
  int128 q = a / b;
  return a % b < 0 ? q - 1 : q;
}

class Search {
 public:
  Search(Constraints& constraints, const RefuteOptions& options)
      : constraints_(constraints), cases_(options.cases), options_(options) {}

  bool refutes(const Branch& start) {
    rows_ = constraints_.has_products() ? options_.rows : options_.linear_rows;
    Case c;
    add(start, c);
    return is_impossible(c);
  }

 private:
  // ---- Adding what holds ----

  void add(const Branch& branch, Case& c) {
    for (const LinearConstraint& row : branch.rows) add(row, c);
    for (const Clause& clause : branch.clauses) c.clauses.push_back(&clause);
  }

  void add(const LinearConstraint& row, Case& c) {
    for (const auto& [variable, coefficient] : row.terms) activate(variable, c);
    c.rows.push_back(row);
  }

  void activate(int variable, Case& c) {
    size_t v = static_cast<size_t>(variable);
    if (v >= c.active.size()) {
      c.active.resize(constraints_.size(), false);
      c.ranges.resize(constraints_.size());
    }
    if (c.active[v]) return;
    c.active[v] = true;
    const MonomialInfo& info = constraints_.monomial(variable);
    c.ranges[v] = {info.range.lower, info.range.upper};
    limit(variable, c);
    if (info.atoms.size() == 1) {
      add(info.definition, c);
      return;
    }
    for (int a : info.atoms) activate(constraints_.atom(a), c);
    for (const auto& [atom, value] : c.fixed) fix_in(variable, atom, value, c);
  }

  // The range as rows.
  void limit(int variable, Case& c) {
    const Range& r = c.ranges[static_cast<size_t>(variable)];
    if (r.upper != plus_infinity && r.upper > -plus_infinity) {
      c.rows.push_back({false, -r.upper, {{variable, 1}}});
    }
    if (r.lower != minus_infinity) c.rows.push_back({false, r.lower, {{variable, -1}}});
  }

  // variable = value * (variable without the atom)
  void fix_in(int variable, int atom, int64_t value, Case& c) {
    int rest = constraints_.quotient(variable, constraints_.atom(atom));
    if (rest < 0) return;
    activate(rest, c);
    c.rows.push_back({true, 0, {{variable, 1}}});
    if (value != 0) c.rows.back().terms.emplace_back(rest, -value);
  }

  void fix(int atom, int64_t value, Case& c) {
    c.rows.push_back({true, -value, {{constraints_.atom(atom), 1}}});
    c.fixed.emplace_back(atom, value);
    for (size_t v = 0; v < c.active.size(); ++v) {
      if (c.active[v] && constraints_.degree(static_cast<int>(v)) > 1) {
        fix_in(static_cast<int>(v), atom, value, c);
      }
    }
  }

  // ---- Ranges ----

  Range& range(int variable, Case& c) { return c.ranges[static_cast<size_t>(variable)]; }

  // Of a variable that need not be active.
  Range known_range(int variable, const Case& c) const {
    size_t v = static_cast<size_t>(variable);
    if (v < c.active.size() && c.active[v]) return c.ranges[v];
    const Interval& r = constraints_.monomial(variable).range;
    return {r.lower, r.upper};
  }

  Sum limit_of(const LinearConstraint& row, bool least, const Case& c) const {
    Sum sum{row.constant, 0};
    for (const auto& [v, k] : row.terms) sum.add(k, known_range(v, c), least);
    return sum;
  }

  bool contradicts(const LinearConstraint& row, const Case& c) const {
    Sum low = limit_of(row, true, c);
    if (low.infinite == 0 && low.finite > 0) return true;
    if (!row.is_zero) return false;
    Sum high = limit_of(row, false, c);
    return high.infinite == 0 && high.finite < 0;
  }

  bool is_implied(const LinearConstraint& row, const Case& c) const {
    Sum high = limit_of(row, false, c);
    if (high.infinite != 0 || high.finite > 0) return false;
    if (!row.is_zero) return true;
    Sum low = limit_of(row, true, c);
    return low.infinite == 0 && low.finite >= 0;
  }

  // sum <= 0 (`sign` 1) or -sum <= 0 (-1) limits each variable by the least of the others.
  bool narrow_by(const LinearConstraint& row, int sign, Case& c) {
    Sum low{static_cast<int128>(row.constant) * sign, 0};
    for (const auto& [v, k] : row.terms) low.add(sign * k, range(v, c), true);
    if (low.infinite > 1) return false;
    bool changed = false;
    for (const auto& [v, coefficient] : row.terms) {
      int64_t k = sign * coefficient;
      Range& r = range(v, c);
      int64_t own = k > 0 ? r.lower : r.upper;
      bool own_infinite = own == minus_infinity || own == plus_infinity;
      if (low.infinite == 1 && !own_infinite) continue;
      int128 rest = own_infinite ? low.finite : low.finite - static_cast<int128>(k) * own;
      // k * v <= -rest
      if (k > 0) {
        int128 limit = floor_div(-rest, k);
        if (limit < r.upper && limit > minus_infinity) {
          r.upper = static_cast<int64_t>(limit);
          changed = true;
        }
      } else {
        int128 limit = -floor_div(-rest, -static_cast<int128>(k));
        if (limit > r.lower && limit < plus_infinity) {
          r.lower = static_cast<int64_t>(limit);
          changed = true;
        }
      }
      if (r.is_empty()) {
        c.impossible = true;
        return true;
      }
      if (changed) return true;  // `low` is out of date
    }
    return changed;
  }

  void propagate(Case& c) {
    for (int round = 0; round < propagation_rounds && !c.impossible; ++round) {
      bool changed = false;
      for (size_t i = 0; i < c.rows.size() && !c.impossible; ++i) {
        const LinearConstraint row = c.rows[i];
        for (int again = 0; again < 4 && narrow_by(row, 1, c); ++again) {
          changed = true;
          if (c.impossible) return;
        }
        if (!row.is_zero) continue;
        for (int again = 0; again < 4 && narrow_by(row, -1, c); ++again) {
          changed = true;
          if (c.impossible) return;
        }
      }
      if (!changed) return;
    }
  }

  // ---- Clauses ----

  bool contradicts(const Branch& branch, const Case& c) const {
    return std::any_of(branch.rows.begin(), branch.rows.end(),
                       [&](const LinearConstraint& row) { return contradicts(row, c); });
  }

  bool is_implied(const Branch& branch, const Case& c) const {
    return branch.clauses.empty() &&
           std::all_of(branch.rows.begin(), branch.rows.end(),
                       [&](const LinearConstraint& row) { return is_implied(row, c); });
  }

  // Drops clauses that hold anyway; decides those with one possible branch. True: something new
  // holds.
  bool decide_clauses(Case& c) {
    bool added = false;
    for (size_t i = 0; i < c.clauses.size() && !c.impossible;) {
      const Clause& clause = *c.clauses[i];
      const Branch* possible = nullptr;
      size_t count = 0;
      bool holds = false;
      for (const Branch& b : clause.branches) {
        if (contradicts(b, c)) continue;
        holds = holds || is_implied(b, c);
        possible = &b;
        ++count;
      }
      if (count > 1 && !holds) {
        ++i;
        continue;
      }
      c.clauses.erase(c.clauses.begin() + static_cast<std::ptrdiff_t>(i));
      if (count == 0) c.impossible = true;
      if (count == 1 && !holds) {
        add(*possible, c);
        added = true;
      }
    }
    return added;
  }

  // ---- Products ----

  // z * row for z >= 0 after a shift of z by its limit.
  void shifted_products(const LinearConstraint& row, int z, Case& c,
                        std::vector<LinearConstraint>& out) {
    LinearConstraint product;
    if (!constraints_.multiply(row, z, &product)) return;
    for (const auto& [v, k] : product.terms) activate(v, c);
    if (row.is_zero) {
      out.push_back(std::move(product));
      return;
    }
    activate(z, c);
    const Range r = range(z, c);
    if (r.lower != minus_infinity) append(product, 1, row, r.lower, out);
    if (r.upper != plus_infinity) append(product, -1, row, r.upper, out);
  }

  // sign * (product - limit * row), which isn't above zero
  static void append(const LinearConstraint& product, int sign, const LinearConstraint& row,
                     int64_t limit, std::vector<LinearConstraint>& out) {
    LinearConstraint sum{false, 0, product.terms};
    int64_t k;
    for (auto& [v, coefficient] : sum.terms) coefficient *= sign;
    if (__builtin_mul_overflow(row.constant, limit, &k)) return;
    if (__builtin_mul_overflow(k, static_cast<int64_t>(-sign), &sum.constant)) return;
    for (const auto& [v, coefficient] : row.terms) {
      if (__builtin_mul_overflow(coefficient, limit, &k)) return;
      if (__builtin_mul_overflow(k, static_cast<int64_t>(-sign), &k)) return;
      if (k == 0) continue;
      auto it = std::find_if(sum.terms.begin(), sum.terms.end(),
                             [&](const auto& t) { return t.first == v; });
      if (it == sum.terms.end()) {
        sum.terms.emplace_back(v, k);
      } else if (__builtin_add_overflow(it->second, k, &it->second)) {
        return;
      }
    }
    std::erase_if(sum.terms, [](const auto& t) { return t.second == 0; });
    out.push_back(std::move(sum));
  }

  // Every product in which a term of a row becomes a monomial that occurs.
  std::vector<LinearConstraint> products(Case& c) {
    std::vector<LinearConstraint> out;
    std::set<std::pair<size_t, int>> made;
    std::vector<bool> seen;
    // Products in the second round are of monomials that the first one brought in.
    for (int round = 0; round < 3; ++round) {
      std::vector<int> targets;
      for (size_t v = 0; v < c.active.size(); ++v) {
        if (v >= seen.size()) seen.resize(c.active.size(), false);
        if (!c.active[v] || seen[v] || constraints_.degree(static_cast<int>(v)) < 2) continue;
        seen[v] = true;
        targets.push_back(static_cast<int>(v));
      }
      if (targets.empty()) break;
      const size_t row_count = c.rows.size();
      for (int target : targets) {
        for (size_t i = 0; i < row_count; ++i) {
          const size_t terms = c.rows[i].terms.size();
          for (size_t t = 0; t < terms; ++t) {
            int z = constraints_.quotient(target, c.rows[i].terms[t].first);
            if (z < 0 || !made.emplace(i, z).second) continue;
            const LinearConstraint row = c.rows[i];
            shifted_products(row, z, c, out);
            if (out.size() > max_products) return out;
          }
        }
      }
    }
    return out;
  }

  // ---- Cases ----

  bool is_impossible(Case& c) {
    if (--cases_ < 0 || rows_ <= 0) return false;
    do {
      propagate(c);
      if (c.impossible) return true;
    } while (decide_clauses(c));
    if (c.impossible) return true;
    std::vector<LinearConstraint> all = products(c);
    const bool nonlinear = !all.empty();
    all.insert(all.end(), c.rows.begin(), c.rows.end());
    if (solve(all, &rows_) == Solvable::no) return true;
    if (!c.clauses.empty()) return by_clause(c);
    return nonlinear && by_values(c);
  }

  bool by_clause(const Case& c) {
    auto fewest = std::min_element(c.clauses.begin(), c.clauses.end(), [](auto* a, auto* b) {
      return a->branches.size() < b->branches.size();
    });
    const Clause& clause = **fewest;
    for (const Branch& branch : clause.branches) {
      Case one = c;
      one.clauses.erase(one.clauses.begin() + (fewest - c.clauses.begin()));
      add(branch, one);
      if (!is_impossible(one)) return false;
    }
    return true;
  }

  // The factor of a product with the fewest values.
  bool by_values(Case& c) {
    int best = -1;
    int128 fewest = 0;
    for (size_t v = 0; v < c.active.size(); ++v) {
      if (!c.active[v] || constraints_.degree(static_cast<int>(v)) < 2) continue;
      for (int a : constraints_.monomial(static_cast<int>(v)).atoms) {
        Range r = range(constraints_.atom(a), c);
        if (r.is_point() && is_fixed(a, c)) continue;
        int128 width = static_cast<int128>(r.upper) - r.lower;
        if (best < 0 || width < fewest) best = a, fewest = width;
      }
    }
    if (best < 0) return false;
    Range r = range(constraints_.atom(best), c);
    if (fewest < max_values) {
      for (int64_t value = r.lower; value <= r.upper; ++value) {
        Case one = c;
        fix(best, value, one);
        if (!is_impossible(one)) return false;
      }
      return true;
    }
    return by_limit(best, c);
  }

  static bool is_fixed(int atom, const Case& c) {
    return std::any_of(c.fixed.begin(), c.fixed.end(),
                       [&](const auto& f) { return f.first == atom; });
  }

  // The least value (or 0), or above, or below.
  bool by_limit(int atom, const Case& c) {
    if (c.open_splits >= max_open_splits) return false;
    const int v = constraints_.atom(atom);
    const Range r = c.ranges[static_cast<size_t>(v)];
    const int64_t value = r.lower != minus_infinity ? r.lower : 0;
    if (value > plus_infinity / 2 || value < minus_infinity / 2) return false;
    for (int side : {0, 1, -1}) {
      if (side < 0 && r.lower != minus_infinity) break;
      Case one = c;
      one.open_splits++;
      if (side == 0) {
        fix(atom, value, one);
      } else {
        one.rows.push_back({false, side * value + 1, {{v, -side}}});
      }
      if (!is_impossible(one)) return false;
    }
    return true;
  }

  Constraints& constraints_;
  int cases_;
  const RefuteOptions& options_;
  int rows_ = 0;
};

}  // namespace

bool is_never(const Expr& condition, bool value, const Facts& facts, const RefuteOptions& options) {
  Constraints constraints(facts, {options.nonzero.begin(), options.nonzero.end()});
  Branch start;
  constraints.add(condition, value, &start);
  for (const Expr& c : options.conditions) constraints.add(c, true, &start);
  return Search(constraints, options).refutes(start);
}

}  // namespace repose
