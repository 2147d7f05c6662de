// Sums of products of atoms with integer coefficients: the inside of canonical(), bounds() and
// prove(). An atom is any index expression that isn't a sum, a difference, a product or a constant.
#pragma once

#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "expr/expr.h"

namespace repose {

using Factors = std::vector<Expr>;  // sorted by compare(); a power repeats its atom

struct Term {
  int64_t coefficient;
  Factors factors;  // never empty
};

// Terms are sorted by their factors and have coefficients other than 0. Arithmetic that leaves
// int64 or 64 terms sets `failed`, and everything computed from a failed polynomial has failed.
struct Polynomial {
  static constexpr size_t max_terms = 64;

  std::vector<Term> terms;
  int64_t constant = 0;
  bool failed = false;

  Polynomial() = default;
  explicit Polynomial(int64_t constant) : constant(constant) {}
  static Polynomial atom(const Expr& e);

  bool is_constant() const { return !failed && terms.empty(); }
  bool is_zero() const { return is_constant() && constant == 0; }
  bool is_linear() const;  // every term has one factor
  bool operator==(const Polynomial& other) const;

  void add_constant(int64_t k);
  void add_term(int64_t coefficient, Factors factors);
  void add(const Polynomial& other, int64_t scale = 1);
  void scale(int64_t k);
  // Greatest common divisor of the coefficients, without and with the constant. 0 for none.
  int64_t content() const;
  int64_t content_with_constant() const;
  // Exact division; the caller knows that `k` divides everything.
  void divide_exactly(int64_t k);
};

Polynomial operator+(Polynomial a, const Polynomial& b);
Polynomial operator-(Polynomial a, const Polynomial& b);
Polynomial operator*(const Polynomial& a, const Polynomial& b);
Polynomial negated(Polynomial a);

int compare_factors(const Factors& a, const Factors& b);
// Removes `divisor` (a sub-multiset) from `factors`; nothing if it isn't one.
std::optional<Factors> divide_factors(const Factors& factors, const Factors& divisor);
Factors multiply_factors(const Factors& a, const Factors& b);

// What divides every term of both; nothing where one has a constant.
Factors common_factors(const Polynomial& p, const Polynomial& q);
// p without factors and a number that divide it.
Polynomial divided_by(const Polynomial& p, const Factors& divisor, int64_t g);

// coefficient * factors, which may be empty.
Polynomial monomial(int64_t coefficient, const Factors& factors);
// 0 where p has no such term.
int64_t coefficient_of(const Polynomial& p, const Factors& factors);
// The expression that a polynomial consists of alone: 1 * atom + 0. Null if it doesn't.
const Expr* single_atom(const Polynomial& p);
// The first term, or the constant where there is none, is below 0.
bool leads_negative(const Polynomial& p);
// The least int64 occurs, which has no opposite.
bool has_extreme_number(const Polynomial& p);

struct Division {
  Polynomial quotient;
  Polynomial remainder;
};
// p = quotient * q + remainder by the leading term of q, which isn't constant.
Division divide(const Polynomial& p, const Polynomial& q);
// Whether p is q times a polynomial.
bool is_multiple(const Polynomial& p, const Polynomial& q);

// Sums, differences and products expand; everything else is an atom as it stands. Never failed:
// what leaves int64 or 64 terms is an atom.
Polynomial polynomial_of(const Expr& e);
Expr to_expr(const Polynomial& p);
// The sum of the terms with positive coefficients, and minus that of the others; the constant
// stands where it is positive, or alone on its side. p == positive - negative.
struct Sides {
  Expr positive;
  Expr negative;
};
Sides split_by_sign(const Polynomial& p);

// ---- int64 arithmetic -----------------------------------------------------------------------

inline int64_t floor_quotient(int64_t a, int64_t b) {  // b > 0
  int64_t q = a / b;
  return a % b < 0 ? q - 1 : q;
}
inline int64_t floor_remainder(int64_t a, int64_t b) {  // b > 0
  int64_t r = a % b;
  return r < 0 ? r + b : r;
}

}  // namespace repose
