// Polynomials over atoms, with overflow checks.
#include "expr/polynomial.h"

#include <algorithm>
#include <limits>

namespace repose {

namespace {

constexpr int64_t int64_min = std::numeric_limits<int64_t>::min();

bool same(const Expr& a, const Expr& b) {
  return a == b || structural_equal(a, b);
}

// Position of the term with these factors, or where it would be inserted.
std::pair<size_t, bool> find_term(const std::vector<Term>& terms, const Factors& factors) {
  size_t low = 0, high = terms.size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    int order = compare_factors(terms[middle].factors, factors);
    if (order == 0) return {middle, true};
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, false};
}

}  // namespace

int compare_factors(const Factors& a, const Factors& b) {
  size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (a[i] == b[i]) continue;
    if (int c = compare(a[i], b[i])) return c;
  }
  return a.size() > b.size() ? -1 : (a.size() < b.size() ? 1 : 0);
}

Factors multiply_factors(const Factors& a, const Factors& b) {
  Factors out;
  out.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out),
             [](const Expr& x, const Expr& y) { return x != y && compare(x, y) < 0; });
  return out;
}

std::optional<Factors> divide_factors(const Factors& factors, const Factors& divisor) {
  if (divisor.size() > factors.size()) return std::nullopt;
  Factors rest;
  size_t next = 0;
  for (const Expr& f : factors) {
    if (next < divisor.size() && same(f, divisor[next])) {
      ++next;
    } else {
      rest.push_back(f);
    }
  }
  if (next != divisor.size()) return std::nullopt;
  return rest;
}

Polynomial Polynomial::atom(const Expr& e) {
  Polynomial p;
  p.terms.push_back({1, {e}});
  return p;
}

bool Polynomial::is_linear() const {
  return std::all_of(terms.begin(), terms.end(),
                     [](const Term& t) { return t.factors.size() == 1; });
}

bool Polynomial::operator==(const Polynomial& other) const {
  if (failed || other.failed || constant != other.constant) return false;
  return std::equal(
      terms.begin(), terms.end(), other.terms.begin(), other.terms.end(),
      [](const Term& a, const Term& b) {
        return a.coefficient == b.coefficient && a.factors.size() == b.factors.size() &&
               std::equal(a.factors.begin(), a.factors.end(), b.factors.begin(), same);
      });
}

void Polynomial::add_constant(int64_t k) {
  if (__builtin_add_overflow(constant, k, &constant)) failed = true;
}

void Polynomial::add_term(int64_t coefficient, Factors factors) {
  if (coefficient == 0 || failed) return;
  auto [at, found] = find_term(terms, factors);
  auto where = terms.begin() + static_cast<std::ptrdiff_t>(at);
  if (!found) {
    if (terms.size() >= max_terms) {
      failed = true;
      return;
    }
    terms.insert(where, {coefficient, std::move(factors)});
    return;
  }
  if (__builtin_add_overflow(where->coefficient, coefficient, &where->coefficient)) failed = true;
  if (where->coefficient == 0) terms.erase(where);
}

void Polynomial::add(const Polynomial& other, int64_t scale) {
  failed = failed || other.failed;
  int64_t k;
  if (__builtin_mul_overflow(other.constant, scale, &k)) failed = true;
  if (failed) return;
  add_constant(k);
  for (const Term& t : other.terms) {
    if (__builtin_mul_overflow(t.coefficient, scale, &k)) failed = true;
    if (failed) return;
    add_term(k, t.factors);
  }
}

void Polynomial::scale(int64_t k) {
  if (k == 0) {
    terms.clear();
    constant = 0;
    return;
  }
  if (__builtin_mul_overflow(constant, k, &constant)) failed = true;
  for (Term& t : terms) {
    if (__builtin_mul_overflow(t.coefficient, k, &t.coefficient)) failed = true;
  }
}

int64_t Polynomial::content() const {
  // gcd of int64_min does not fit; 1 divides everything.
  int64_t g = 0;
  for (const Term& t : terms) {
    if (t.coefficient == int64_min) return 1;
    g = std::gcd(g, t.coefficient);
    if (g == 1) break;
  }
  return constant == int64_min ? 1 : g;
}

int64_t Polynomial::content_with_constant() const {
  int64_t g = content();
  return g == 1 || constant == int64_min ? 1 : std::gcd(g, constant);
}

void Polynomial::divide_exactly(int64_t k) {
  constant /= k;
  for (Term& t : terms) t.coefficient /= k;
}

Polynomial operator+(Polynomial a, const Polynomial& b) {
  a.add(b);
  return a;
}

Polynomial operator-(Polynomial a, const Polynomial& b) {
  a.add(b, -1);
  return a;
}

Polynomial operator*(const Polynomial& a, const Polynomial& b) {
  if (b.is_constant()) {
    Polynomial p = a;
    p.scale(b.constant);
    return p;
  }
  if (a.is_constant()) return b * a;
  Polynomial p;
  p.failed = a.failed || b.failed || a.terms.size() * b.terms.size() > 16 * Polynomial::max_terms;
  if (p.failed) return p;
  p.add(b, a.constant);
  if (b.constant != 0) {
    Polynomial scaled = a;
    scaled.constant = 0;
    p.add(scaled, b.constant);
  }
  for (const Term& s : a.terms) {
    for (const Term& t : b.terms) {
      int64_t k;
      if (__builtin_mul_overflow(s.coefficient, t.coefficient, &k)) p.failed = true;
      if (p.failed) return p;
      p.add_term(k, multiply_factors(s.factors, t.factors));
    }
  }
  return p;
}

Polynomial negated(Polynomial a) {
  a.scale(-1);
  return a;
}

Polynomial monomial(int64_t coefficient, const Factors& factors) {
  Polynomial p;
  if (factors.empty()) {
    p.constant = coefficient;
  } else {
    p.terms.push_back({coefficient, factors});
  }
  return p;
}

int64_t coefficient_of(const Polynomial& p, const Factors& factors) {
  for (const Term& t : p.terms) {
    if (t.factors.size() == factors.size() && compare_factors(t.factors, factors) == 0) {
      return t.coefficient;
    }
  }
  return 0;
}

const Expr* single_atom(const Polynomial& p) {
  if (p.failed || p.constant != 0 || p.terms.size() != 1) return nullptr;
  const Term& t = p.terms[0];
  return t.coefficient == 1 && t.factors.size() == 1 ? &t.factors[0] : nullptr;
}

bool leads_negative(const Polynomial& p) {
  return p.terms.empty() ? p.constant < 0 : p.terms[0].coefficient < 0;
}

bool has_extreme_number(const Polynomial& p) {
  if (p.constant == int64_min) return true;
  return std::any_of(p.terms.begin(), p.terms.end(),
                     [](const Term& t) { return t.coefficient == int64_min; });
}

namespace {

// The term that the others are divided by: of the highest degree, the first of these.
const Term& leading_term(const Polynomial& q) {
  const Term* best = &q.terms[0];
  for (const Term& t : q.terms) {
    if (t.factors.size() > best->factors.size()) best = &t;
  }
  return *best;
}

}  // namespace

Division divide(const Polynomial& p, const Polynomial& q) {
  Division d{{}, p};
  const Term lead = leading_term(q);
  // Each step removes a term of p's degree or lower; a few suffice for every real shape.
  for (int step = 0; step < 64 && !d.remainder.failed; ++step) {
    const Term* next = nullptr;
    std::optional<Factors> factors;
    for (const Term& t : d.remainder.terms) {
      if (t.coefficient == int64_min || t.coefficient % lead.coefficient != 0) continue;
      factors = divide_factors(t.factors, lead.factors);
      if (factors) {
        next = &t;
        break;
      }
    }
    if (!next) return d;
    int64_t k = next->coefficient / lead.coefficient;
    Polynomial step_quotient;
    if (factors->empty()) {
      step_quotient.constant = k;
    } else {
      step_quotient.terms.push_back({k, *factors});
    }
    d.quotient.add(step_quotient);
    d.remainder.add(step_quotient * q, -1);
  }
  return {{}, p};
}

bool is_multiple(const Polynomial& p, const Polynomial& q) {
  if (p.is_zero()) return true;
  if (p.failed || q.failed) return false;
  if (q.is_constant()) {
    return q.constant != 0 && q.constant != int64_min &&
           p.content_with_constant() % q.constant == 0;
  }
  return divide(p, q).remainder.is_zero();
}

Factors common_factors(const Polynomial& p, const Polynomial& q) {
  if (p.constant != 0 || q.constant != 0 || p.terms.empty()) return {};
  Factors common = p.terms[0].factors;
  auto restrict_to = [&](const Term& t) {
    Factors kept, rest = t.factors;
    for (const Expr& f : common) {
      if (auto r = divide_factors(rest, {f})) {
        rest = *r;
        kept.push_back(f);
      }
    }
    common = kept;
  };
  for (const Term& t : p.terms) restrict_to(t);
  for (const Term& t : q.terms) restrict_to(t);
  return common;
}

Polynomial divided_by(const Polynomial& p, const Factors& divisor, int64_t g) {
  Polynomial out;
  out.constant = p.constant / g;
  for (const Term& t : p.terms) {
    Factors rest = *divide_factors(t.factors, divisor);
    if (rest.empty()) {
      out.add_constant(t.coefficient / g);
    } else {
      out.add_term(t.coefficient / g, std::move(rest));
    }
  }
  return out;
}

namespace {

Polynomial or_atom(Polynomial p, const Expr& e) {
  return p.failed ? Polynomial::atom(e) : p;
}

}  // namespace

Polynomial polynomial_of(const Expr& e) {
  switch (e->kind) {
    case ExprKind::int_imm:
      return Polynomial(as<IntImmNode>(e)->value);
    case ExprKind::add:
      return or_atom(polynomial_of(e->args[0]) + polynomial_of(e->args[1]), e);
    case ExprKind::sub:
      return or_atom(polynomial_of(e->args[0]) - polynomial_of(e->args[1]), e);
    case ExprKind::mul:
      return or_atom(polynomial_of(e->args[0]) * polynomial_of(e->args[1]), e);
    default:
      return Polynomial::atom(e);
  }
}

namespace {

Expr product(int64_t coefficient, const Factors& factors) {
  Expr e = factors[0];
  for (size_t i = 1; i < factors.size(); ++i) e = e * factors[i];
  return coefficient == 1 ? e : e * coefficient;
}

void append(Expr& sum, Expr e) {
  sum = sum ? sum + std::move(e) : std::move(e);
}

}  // namespace

Expr to_expr(const Polynomial& p) {
  REPOSE_CHECK(!p.failed, "a failed polynomial has no expression");
  Expr sum;
  for (const Term& t : p.terms) {
    if (t.coefficient > 0) append(sum, product(t.coefficient, t.factors));
  }
  int64_t constant = p.constant;
  if (!sum && constant > 0) {
    sum = make_int(constant);
    constant = 0;
  }
  for (const Term& t : p.terms) {
    if (t.coefficient > 0) continue;
    if (!sum || t.coefficient == int64_min) {
      append(sum, product(t.coefficient, t.factors));
    } else {
      sum = sum - product(-t.coefficient, t.factors);
    }
  }
  if (!sum) return make_int(constant);
  if (constant == 0) return sum;
  return constant > 0 || constant == int64_min ? sum + constant : sum - (-constant);
}

Sides split_by_sign(const Polynomial& p) {
  Polynomial positive, negative;
  for (const Term& t : p.terms) {
    if (t.coefficient > 0) {
      positive.terms.push_back(t);
    } else {
      negative.terms.push_back({-t.coefficient, t.factors});
    }
  }
  // Alone on its side where all terms are on the other: x <= -1, not x + 1 <= 0.
  const bool is_left = negative.terms.empty() ? false : positive.terms.empty() || p.constant > 0;
  (is_left ? positive : negative).constant = is_left ? p.constant : -p.constant;
  return {to_expr(positive), to_expr(negative)};
}

}  // namespace repose
