// Resolution, division and products of rows.
#include "expr/consequences.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <set>

namespace repose {

namespace {

constexpr size_t max_resolved = 8;  // rows with one variable
constexpr size_t max_products = 160;
constexpr int64_t max_coefficient = int64_t{1} << 60;
constexpr int product_rounds = 3;

int64_t coefficient_of(const LinearConstraint& row, int variable) {
  for (const auto& [v, k] : row.terms) {
    if (v == variable) return k;
  }
  return 0;
}

// sum += scale * k; false where it isn't below max_coefficient.
bool add_scaled(int64_t* sum, int64_t k, int64_t scale) {
  int64_t product;
  return !__builtin_mul_overflow(k, scale, &product) &&
         !__builtin_add_overflow(*sum, product, sum) && *sum < max_coefficient &&
         *sum > -max_coefficient;
}

// row += scale * other; false where a number gets too large.
bool add_scaled(LinearConstraint* row, const LinearConstraint& other, int64_t scale) {
  if (!add_scaled(&row->constant, other.constant, scale)) return false;
  for (const auto& [variable, coefficient] : other.terms) {
    const int v = variable;
    auto it = std::find_if(row->terms.begin(), row->terms.end(),
                           [&](const auto& t) { return t.first == v; });
    if (it == row->terms.end()) it = row->terms.insert(it, {v, 0});
    if (!add_scaled(&it->second, coefficient, scale)) return false;
  }
  std::erase_if(row->terms, [](const auto& t) { return t.second == 0; });
  return true;
}

// ---- Resolution ---------------------------------------------------------------------------------

// A sum of multiples of x and y without the variable; that of an inequality is above zero. If only
// one is an equality, it is y.
std::optional<LinearConstraint> resolved(const LinearConstraint& x, const LinearConstraint& y,
                                         int variable) {
  const int64_t p = coefficient_of(x, variable), q = coefficient_of(y, variable);
  const bool opposite = (p > 0) != (q > 0);
  if (!opposite && !y.is_zero) return std::nullopt;
  const int64_t g = std::gcd(p, q);
  LinearConstraint out{x.is_zero && y.is_zero, 0, {}};
  if (!add_scaled(&out, x, std::abs(q) / g)) return std::nullopt;
  if (!add_scaled(&out, y, (opposite ? 1 : -1) * (std::abs(p) / g))) return std::nullopt;
  return out;
}

// Divides by the common divisor and rounds the limit. True: that made it sharper.
bool sharpen(LinearConstraint* row) {
  int64_t g = 0;
  for (const auto& [v, k] : row->terms) g = std::gcd(g, k);
  if (g <= 1) return false;
  const bool sharper = row->constant % g != 0;
  row->constant = -floor_quotient(-row->constant, g);
  for (auto& [v, k] : row->terms) k /= g;
  return sharper;
}

// f * p + k <= 0 with f > 0 and k > 0: p < 0.
std::optional<LinearConstraint> divided(const LinearConstraint& row, Constraints& constraints,
                                        const Case& c) {
  if (row.is_zero || row.constant <= 0 || row.terms.empty()) return std::nullopt;
  for (int a : constraints.monomial(row.terms[0].first).atoms) {
    const int factor = constraints.atom(a);
    if (c.range(factor).lower < 1) continue;
    LinearConstraint out{false, 1, {}};
    bool divides = true;
    for (const auto& [v, k] : row.terms) {
      if (v == factor) {
        out.constant += k;
        continue;
      }
      const int rest = constraints.quotient(v, factor);
      divides = divides && rest >= 0;
      if (divides) out.terms.emplace_back(rest, k);
    }
    if (divides) return out;
  }
  return std::nullopt;
}

// Those that are a factor of something.
std::vector<bool> factors(const Constraints& constraints, const Case& c) {
  std::vector<bool> found(static_cast<size_t>(c.size()), false);
  for (int v = 0; v < c.size(); ++v) {
    if (!c.is_active(v) || constraints.degree(v) < 2) continue;
    for (int a : constraints.monomial(v).atoms) {
      found[static_cast<size_t>(constraints.atom(a))] = true;
    }
  }
  return found;
}

// What eliminating the variable from two of its rows gives, where that is more than linear.
void resolve(int variable, Constraints& constraints, const Case& c,
             std::vector<LinearConstraint>& found) {
  std::vector<const LinearConstraint*> rows;
  for (const LinearConstraint& r : c.rows()) {
    if (coefficient_of(r, variable) != 0) rows.push_back(&r);
  }
  if (rows.size() > max_resolved) return;
  for (const LinearConstraint* x : rows) {
    for (const LinearConstraint* y : rows) {
      if (x == y || (x->is_zero && !y->is_zero)) continue;
      auto row = resolved(*x, *y, variable);
      if (!row) continue;
      if (row->is_zero) {  // solved for the variable
        if (row->terms.size() < y->terms.size()) found.push_back(*row);
        continue;
      }
      bool sharper = sharpen(&*row);
      if (auto quotient = divided(*row, constraints, c)) {
        found.push_back(*quotient);
      } else if (sharper) {
        found.push_back(*row);
      }
    }
  }
}

}  // namespace

bool derive(Constraints& constraints, Case& c) {
  std::vector<LinearConstraint> found;
  for (const LinearConstraint& r : c.rows()) {
    if (auto quotient = divided(r, constraints, c)) found.push_back(*quotient);
  }
  // Variables in no product: those can only be multiplied by way of others.
  std::vector<bool> is_factor = factors(constraints, c);
  for (int v = 0; v < static_cast<int>(is_factor.size()); ++v) {
    if (!c.is_active(v) || is_factor[static_cast<size_t>(v)] || constraints.degree(v) > 1) continue;
    resolve(v, constraints, c, found);
  }
  bool added = false;
  for (const LinearConstraint& r : found) {
    auto is_same = [&](const LinearConstraint& o) {
      return o.is_zero == r.is_zero && o.constant == r.constant && o.terms == r.terms;
    };
    if (c.implies(r) || std::any_of(c.rows().begin(), c.rows().end(), is_same)) continue;
    const size_t before = c.rows().size();
    c.add(r);
    added = added || c.rows().size() > before;
  }
  return added;
}

// ---- Products -----------------------------------------------------------------------------------

namespace {

// z * row, where z is what it is above its lower limit, or below its upper one.
void multiply(const LinearConstraint& row, int z, bool may_add, Constraints& constraints, Case& c,
              std::vector<LinearConstraint>& out) {
  LinearConstraint product;
  if (!constraints.multiply(row, z, &product)) return;
  for (const auto& [v, k] : product.terms) {
    if (!may_add && !c.is_active(v)) return;
  }
  for (const auto& [v, k] : product.terms) c.activate(v);
  if (row.is_zero) {
    out.push_back(std::move(product));
    return;
  }
  c.activate(z);
  const Range r = c.range(z);
  LinearConstraint sum{false, 0, {}};
  // (z - lower) * row <= 0 and (upper - z) * row <= 0
  if (r.lower > -Interval::plus_infinity && add_scaled(&sum, product, 1) &&
      add_scaled(&sum, row, -r.lower)) {
    out.push_back(sum);
  }
  sum = {false, 0, {}};
  if (r.upper != Interval::plus_infinity && add_scaled(&sum, product, -1) &&
      add_scaled(&sum, row, r.upper)) {
    out.push_back(sum);
  }
}

}  // namespace

std::vector<LinearConstraint> products(Constraints& constraints, Case& c, bool may_add) {
  std::vector<LinearConstraint> out;
  std::set<std::pair<size_t, int>> made;
  int first = 0;
  // Each round is about the monomials that the one before brought in.
  for (int round = 0; round < product_rounds; ++round) {
    const int end = c.size();
    const size_t row_count = c.rows().size();
    for (int target = first; target < end; ++target) {
      if (!c.is_active(target) || constraints.degree(target) < 2) continue;
      for (size_t i = 0; i < row_count; ++i) {
        const LinearConstraint row = c.rows()[i];
        for (const auto& [variable, coefficient] : row.terms) {
          const int z = constraints.quotient(target, variable);
          if (z < 0 || !made.emplace(i, z).second) continue;
          multiply(row, z, may_add, constraints, c, out);
          if (out.size() > max_products) return out;
        }
      }
    }
    if (!may_add) break;
    first = end;
  }
  return out;
}

}  // namespace repose
