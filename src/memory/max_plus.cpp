// Sums of sizes and largest ones of them.
#include "memory/max_plus.h"

#include <algorithm>

#include "expr/steps.h"

namespace repose {

namespace {

constexpr size_t max_sums = 16;  // of a maximum; beyond, it is taken as one term
constexpr size_t max_proof = 8;  // terms of a comparison that the prover is asked for
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
  for (const SymbolValues& s : samples_) values.push_back(evaluate(e, s).value_or(0));
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
