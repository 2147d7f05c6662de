// Sums of sizes and largest ones of them.
#include "memory/max_plus.h"

#include <algorithm>

#include "expr/steps.h"

namespace repose {

namespace {

constexpr size_t max_sums = 256;  // of a maximum; beyond, it is taken as one term
constexpr int max_nested = 8;     // sums within quotients within products
constexpr size_t max_proof = 8;   // terms of a comparison that the prover is asked for
constexpr uint64_t max_proof_steps = 1000;

// Sums, products and divisions: what the prover decides quickly.
bool is_plain(const Expr& e) {
  bool plain = true;
  visit(e, [&](const Expr& node) {
    plain = plain && node->kind != ExprKind::min && node->kind != ExprKind::max &&
            node->kind != ExprKind::select && node->kind != ExprKind::if_then_else;
    return plain;
  });
  return plain;
}

}  // namespace

std::vector<int64_t> MaxPlus::values_of(const Expr& e) const {
  std::vector<int64_t> values;
  for (const SymbolValues& s : samples_) values.push_back(evaluate_bytes(e, s).value_or(0));
  return values;
}

int MaxPlus::opaque_term(const Expr& e, std::vector<int64_t> values) {
  for (size_t t = 0; t < terms_.size(); ++t) {
    if (structural_equal(terms_[t], e)) return static_cast<int>(t);
  }
  terms_.push_back(e);
  is_plain_.push_back(is_plain(e));
  term_values_.push_back(std::move(values));
  return static_cast<int>(terms_.size()) - 1;
}

int MaxPlus::term(const Factors& factors) {
  Expr product = make_int(1);
  for (const Expr& f : factors) product = product * f;
  product = canonical(product);
  return opaque_term(product, values_of(product));
}

MaxPlus::Sum MaxPlus::zero() const {
  return {{}, std::vector<int64_t>(samples_.size(), 0)};
}

MaxPlus::Sum MaxPlus::sum_of(const Expr& size) {
  Sum sum = zero();
  const Polynomial p = polynomial_of(size);
  bool positive = !p.failed;
  for (const Term& t : p.terms) {
    for (const Expr& f : t.factors) positive = positive && bounds(f, facts_).lower >= 0;
  }
  if (!positive) {
    const int t = opaque_term(size, values_of(size));
    return {{{t, 1}}, term_values_[static_cast<size_t>(t)]};
  }
  for (const Term& t : p.terms) sum.terms.emplace_back(term(t.factors), t.coefficient);
  if (p.constant != 0) sum.terms.emplace_back(term({}), p.constant);
  std::sort(sum.terms.begin(), sum.terms.end());
  sum.values = values_of(size);
  return sum;
}

MaxPlus::Sum MaxPlus::add(const Sum& a, const Sum& b, int64_t scale) const {
  Sum sum;
  for (size_t i = 0, j = 0; i < a.terms.size() || j < b.terms.size();) {
    const int x = i < a.terms.size() ? a.terms[i].first : std::numeric_limits<int>::max();
    const int y = j < b.terms.size() ? b.terms[j].first : std::numeric_limits<int>::max();
    int64_t coefficient = 0;
    if (x <= y) coefficient += a.terms[i++].second;
    if (y <= x) coefficient += scale * b.terms[j++].second;
    if (coefficient != 0) sum.terms.emplace_back(std::min(x, y), coefficient);
  }
  for (size_t s = 0; s < a.values.size(); ++s) {
    sum.values.push_back(a.values[s] + scale * b.values[s]);
  }
  return sum;
}

MaxPlus::Max MaxPlus::add(const Max& a, const Sum& b) const {
  Max sums;
  for (const Sum& s : a) sums.push_back(add(s, b));
  return sums;
}

// Is a <= b for all values? A sample may refute it, coefficients or the prover show it.
bool MaxPlus::at_most(const Sum& a, const Sum& b) {
  for (size_t s = 0; s < a.values.size(); ++s) {
    if (a.values[s] > b.values[s]) return false;
  }
  Terms rest;  // of b - a
  for (size_t i = 0, j = 0; i < a.terms.size() || j < b.terms.size();) {
    const int x = i < a.terms.size() ? a.terms[i].first : std::numeric_limits<int>::max();
    const int y = j < b.terms.size() ? b.terms[j].first : std::numeric_limits<int>::max();
    int64_t difference = 0;
    if (x <= y) difference -= a.terms[i++].second;
    if (y <= x) difference += b.terms[j++].second;
    if (difference != 0) rest.emplace_back(std::min(x, y), difference);
  }
  if (std::all_of(rest.begin(), rest.end(), [](const auto& t) { return t.second > 0; })) {
    return true;
  }
  if (covered(rest)) return true;
  if (!plain(a) || !plain(b) || a.terms.size() + b.terms.size() > max_proof) return false;
  // Comparisons of the same difference are many.
  auto [known, is_new] = proven_.try_emplace(std::move(rest), false);
  if (is_new && proofs_left_ > 0) {
    --proofs_left_;
    const StepBudget budget(max_proof_steps);
    known->second = prove_le(to_expr(a), to_expr(b), facts_) == Truth::yes;
  }
  return known->second;
}

// Is a sum >= 0 since each term that is taken away is at most one that is added?
bool MaxPlus::covered(Terms rest) {
  for (auto& [t, coefficient] : rest) {
    for (auto& [other, room] : rest) {
      if (coefficient >= 0) break;
      if (room <= 0 || !term_at_most(t, other)) continue;
      const int64_t taken = std::min(room, -coefficient);
      coefficient += taken;
      room -= taken;
    }
    if (coefficient < 0) return false;
  }
  return true;
}

bool MaxPlus::term_at_most(int a, int b) {
  const auto &x = term_values_[static_cast<size_t>(a)], &y = term_values_[static_cast<size_t>(b)];
  for (size_t s = 0; s < x.size(); ++s) {
    if (x[s] > y[s]) return false;
  }
  auto [known, is_new] = at_most_.try_emplace({a, b}, false);
  if (is_new && proofs_left_ > 0) {
    --proofs_left_;
    known->second =
        grows_to(terms_[static_cast<size_t>(a)], terms_[static_cast<size_t>(b)], max_nested);
  }
  return known->second;
}

// Is a <= b, both >= 0, part by part: factor by factor, quotients of one divisor, sums term by
// term.
bool MaxPlus::grows_to(const Expr& a, const Expr& b, int depth) {
  if (structural_equal(a, b)) return true;
  if (depth == 0) return false;
  const Polynomial p = polynomial_of(a), q = polynomial_of(b);
  if (p.failed || q.failed) return false;
  if (p.terms.size() == 1 && q.terms.size() == 1 && p.constant == 0 && q.constant == 0) {
    return p.terms[0].coefficient > 0 && p.terms[0].coefficient <= q.terms[0].coefficient &&
           factors_grow_to(p.terms[0].factors, q.terms[0].factors, depth);
  }
  if (p.constant > q.constant || p.terms.size() > q.terms.size()) return false;
  std::vector<bool> taken(q.terms.size(), false);
  for (const Term& t : p.terms) {
    size_t i = 0;
    while (i < q.terms.size() &&
           (taken[i] || t.coefficient <= 0 || t.coefficient > q.terms[i].coefficient ||
            !factors_grow_to(t.factors, q.terms[i].factors, depth))) {
      ++i;
    }
    if (i == q.terms.size()) return false;
    taken[i] = true;
  }
  for (size_t i = 0; i < q.terms.size(); ++i) {  // what b has besides must not make it less
    if (taken[i]) continue;
    const Factors& factors = q.terms[i].factors;
    const bool is_positive = q.terms[i].coefficient > 0 &&
                             std::all_of(factors.begin(), factors.end(), [&](const Expr& f) {
                               return bounds(f, facts_).lower >= 0;
                             });
    if (!is_positive) return false;
  }
  return true;
}

bool MaxPlus::factors_grow_to(const Factors& a, const Factors& b, int depth) {
  if (a.size() != b.size()) return false;
  std::vector<bool> taken(b.size(), false);
  auto take = [&](const Expr& x, bool same) {
    for (size_t i = 0; i < b.size(); ++i) {
      if (taken[i] || !(same ? structural_equal(x, b[i]) : atom_grows_to(x, b[i], depth))) continue;
      taken[i] = true;
      return true;
    }
    return false;
  };
  std::vector<Expr> others;
  for (const Expr& x : a) {
    if (bounds(x, facts_).lower < 0) return false;
    if (!take(x, true)) others.push_back(x);
  }
  return std::all_of(others.begin(), others.end(), [&](const Expr& x) { return take(x, false); });
}

bool MaxPlus::atom_grows_to(const Expr& a, const Expr& b, int depth) {
  int64_t divisor = 0, other = 0;
  const bool both_divide = a->kind == ExprKind::floor_div && b->kind == ExprKind::floor_div;
  if (both_divide && as_const_int(a->args[1], &divisor) && as_const_int(b->args[1], &other) &&
      divisor == other && divisor > 0 && grows_to(a->args[0], b->args[0], depth - 1)) {
    return true;
  }
  const StepBudget budget(max_proof_steps);
  return is_plain(a) && is_plain(b) && prove_le(a, b, facts_) == Truth::yes;
}

void MaxPlus::insert(Max& m, const Sum& s) {
  for (const Sum& other : m) {
    if (at_most(s, other)) return;
  }
  std::erase_if(m, [&](const Sum& other) { return at_most(other, s); });
  m.push_back(s);
}

MaxPlus::Max MaxPlus::larger(Max a, const Max& b) {
  for (const Sum& s : b) insert(a, s);
  if (a.size() <= max_sums) return a;
  std::vector<int64_t> values = a[0].values;
  for (const Sum& s : a) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::max(values[i], s.values[i]);
  }
  const int t = opaque_term(to_expr(a), std::move(values));
  return {Sum{{{t, 1}}, term_values_[static_cast<size_t>(t)]}};
}

bool MaxPlus::plain(const Sum& s) const {
  return std::all_of(s.terms.begin(), s.terms.end(),
                     [&](const auto& term) { return is_plain_[static_cast<size_t>(term.first)]; });
}

// Extrema within extrema are left as they stand: their canonical form compares all with all.
Expr MaxPlus::to_expr(const Sum& s) const {
  Expr sum = make_int(0);
  for (const auto& [t, coefficient] : s.terms) {
    sum = sum + terms_[static_cast<size_t>(t)] * coefficient;
  }
  return plain(s) ? canonical(sum) : sum;
}

Expr MaxPlus::to_expr(const Max& m) const {
  Expr e = to_expr(m[0]);
  for (size_t i = 1; i < m.size(); ++i) e = max(e, to_expr(m[i]));
  return e;
}

}  // namespace repose
