// The search for a contradiction.
#include "expr/refute.h"

#include <algorithm>

#include "expr/case.h"
#include "expr/consequences.h"
#include "expr/steps.h"

namespace repose {

namespace {

constexpr int64_t max_values = 24;  // of a factor that is split
constexpr int max_open_splits = 3;  // of factors without an upper limit, in one case

class Refutation {
 public:
  Refutation(Constraints& constraints, const RefuteOptions& options)
      : constraints_(constraints),
        cases_(options.cases),
        rows_(constraints.has_products() ? options.rows : options.linear_rows) {}

  bool refutes(const Branch& start) {
    Case c(constraints_);
    c.add(start);
    return is_impossible(c);
  }

 private:
  bool is_impossible(Case& c) {
    if (--cases_ < 0 || rows_ <= 0 || !spend_steps(8)) return false;
    do {
      c.propagate();
      if (c.is_impossible()) return true;
    } while (c.has_products() && derive(constraints_, c));
    if (contradicts_itself(c, false)) return true;
    if (!c.clauses().empty()) return by_clause(c);
    if (!c.has_products()) return false;
    return contradicts_itself(c, true) || by_values(c);
  }

  bool contradicts_itself(Case& c, bool with_new_products) {
    std::vector<LinearConstraint> all = products(constraints_, c, with_new_products);
    all.insert(all.end(), c.rows().begin(), c.rows().end());
    const int before = rows_;
    rows_ -= static_cast<int>(all.size());
    const bool contradicts = solve(all, &rows_) == Solvable::no;
    return spend_steps(static_cast<uint64_t>(before - rows_)) && contradicts;
  }

  bool by_clause(const Case& c) {
    auto fewest = std::min_element(c.clauses().begin(), c.clauses().end(), [](auto* a, auto* b) {
      return a->branches.size() < b->branches.size();
    });
    return std::all_of((*fewest)->branches.begin(), (*fewest)->branches.end(),
                       [&](const Branch& branch) {
                         Case one = c;
                         one.drop_clause(static_cast<size_t>(fewest - c.clauses().begin()));
                         one.add(branch);
                         return is_impossible(one);
                       });
  }

  // The factor of a product with the fewest values; -1: every factor has one.
  int narrowest_factor(const Case& c) const {
    int best = -1;
    uint64_t fewest = 0;
    for (int v = 0; v < c.size(); ++v) {
      if (!c.is_active(v) || constraints_.degree(v) < 2) continue;
      for (int a : constraints_.monomial(v).atoms) {
        if (c.is_fixed(a)) continue;
        const Range r = c.range(constraints_.atom(a));
        const uint64_t width = static_cast<uint64_t>(r.upper) - static_cast<uint64_t>(r.lower);
        if (best < 0 || width < fewest) best = a, fewest = width;
      }
    }
    return best;
  }

  bool by_values(const Case& c) {
    const int atom = narrowest_factor(c);
    if (atom < 0) return false;
    const Range r = c.range(constraints_.atom(atom));
    if (!r.is_bounded() ||
        static_cast<uint64_t>(r.upper) - static_cast<uint64_t>(r.lower) >= max_values) {
      return by_limit(atom, c);
    }
    for (int64_t value = r.lower; value <= r.upper; ++value) {
      Case one = c;
      one.fix(atom, value);
      if (!is_impossible(one)) return false;
    }
    return true;
  }

  // The least value (or 0), or above, or below.
  bool by_limit(int atom, const Case& c) {
    if (c.open_splits >= max_open_splits) return false;
    const int v = constraints_.atom(atom);
    const Range r = c.range(v);
    const bool has_lower = r.lower != Interval::minus_infinity;
    const int64_t value = has_lower ? r.lower : 0;
    if (value > Interval::plus_infinity / 2 || value < Interval::minus_infinity / 2) return false;
    for (int side : {0, 1, -1}) {
      if (side < 0 && has_lower) break;
      Case one = c;
      one.open_splits++;
      if (side == 0) {
        one.fix(atom, value);
      } else {
        one.add(LinearConstraint{false, side * value + 1, {{v, -side}}});
      }
      if (!is_impossible(one)) return false;
    }
    return true;
  }

  Constraints& constraints_;
  int cases_;
  int rows_;
};

}  // namespace

bool is_never(const Expr& condition, bool value, const Facts& facts, const RefuteOptions& options) {
  Constraints constraints(facts, {options.nonzero.begin(), options.nonzero.end()});
  Branch start;
  constraints.add(condition, value, &start);
  for (const Expr& c : options.conditions) constraints.add(c, true, &start);
  return Refutation(constraints, options).refutes(start);
}

}  // namespace repose
