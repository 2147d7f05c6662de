// Floor division and modulo of polynomials, and what joins them: (x // c) * c + x % c = x.
#include <algorithm>
#include <limits>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/simplifier.h"

namespace repose {

namespace {

constexpr int64_t int64_min = std::numeric_limits<int64_t>::min();

bool has_kind(const Polynomial& p, ExprKind kind) {
  for (const Term& t : p.terms) {
    for (const Expr& f : t.factors) {
      if (f->kind == kind) return true;
    }
  }
  return false;
}

}  // namespace

Polynomial Simplifier::quotient_atom(ExprKind kind, const Polynomial& p, const Polynomial& q) {
  return polynomial_of(make_binary(kind, to_expr(p), to_expr(q)));
}

Polynomial Simplifier::floor_div_of(const Polynomial& p, const Polynomial& q) {
  Polynomial result;
  if (!q.is_constant()) {
    result = floor_div_symbolic(p, q);
  } else if (q.constant == 0 || q.constant == int64_min) {
    result.failed = true;
  } else {
    result =
        q.constant > 0 ? floor_div_const(p, q.constant) : floor_div_const(negated(p), -q.constant);
  }
  return result.failed ? quotient_atom(ExprKind::floor_div, p, q) : result;
}

namespace {

// p = multiple * c + rest; the coefficients of `rest` have the signs of p's and lie within (-c, c),
// its constant lies in [0, c).
Division split_multiple(const Polynomial& p, int64_t c) {
  Division d;
  d.quotient.failed = d.remainder.failed = p.failed;
  for (const Term& t : p.terms) {
    if (t.coefficient / c) d.quotient.terms.push_back({t.coefficient / c, t.factors});
    if (t.coefficient % c) d.remainder.terms.push_back({t.coefficient % c, t.factors});
  }
  d.quotient.constant = floor_quotient(p.constant, c);
  d.remainder.constant = floor_remainder(p.constant, c);
  return d;
}

// c - 1 - p: p // c = -((c - 1 - p) // c) and p % c = c - 1 - (c - 1 - p) % c.
Polynomial mirrored(const Polynomial& p, int64_t c) {
  return Polynomial(c - 1) - p;
}

// Terms whose coefficients a common factor g with c divides, and the rest, which stays within
// [t * g, (t + 1) * g) and so never carries: p = g * (multiple + t) + (rest - t * g).
struct Carry {
  int64_t g;
  Polynomial multiple;  // includes t
  Polynomial rest;      // without t * g
};

std::optional<Carry> split_small_rest(const Polynomial& p, int64_t c, const Facts& facts) {
  std::vector<int64_t> candidates;
  for (const Term& t : p.terms) candidates.push_back(std::gcd(t.coefficient, c));
  std::sort(candidates.begin(), candidates.end(), std::greater<>());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (int64_t g : candidates) {
    if (g == 1) break;
    Carry carry{g, {}, Polynomial(p.constant)};
    for (const Term& t : p.terms) {
      if (t.coefficient % g == 0) {
        carry.multiple.terms.push_back({t.coefficient / g, t.factors});
      } else {
        carry.rest.terms.push_back(t);
      }
    }
    Interval range = bounds_of(carry.rest, facts);
    if (is_empty(range) || !is_bounded(range)) continue;
    int64_t t = floor_quotient(range.lower, g);
    if (t != floor_quotient(range.upper, g)) continue;
    carry.multiple.add_constant(t);
    carry.rest.add(Polynomial(g), -t);
    return carry;
  }
  return std::nullopt;
}

bool has_constant_quotient(const Polynomial& p, int64_t c, const Facts& facts, int64_t* quotient) {
  Interval range = bounds_of(p, facts);
  if (is_empty(range) || !is_bounded(range)) return false;
  *quotient = floor_quotient(range.lower, c);
  return *quotient == floor_quotient(range.upper, c);
}

}  // namespace

// k * (x % d) where c divides k * d is k * x - c * (k * d / c) * (x // d): the quotients, and what
// is left to divide by c, if that is less than before. So (x - x % 2) // 2 is x // 2.
std::optional<std::pair<Polynomial, Polynomial>> Simplifier::without_remainders(const Polynomial& p,
                                                                                int64_t c) {
  Polynomial quotients, rest = p;
  for (const Term& t : p.terms) {
    int64_t d, product;
    if (t.factors.size() != 1 || t.factors[0]->kind != ExprKind::floor_mod) continue;
    const std::vector<Expr>& args = t.factors[0]->args;
    if (!as_const_int(args[1], &d) || d <= 0) continue;
    if (__builtin_mul_overflow(t.coefficient, d, &product) || product % c != 0) continue;
    rest.add_term(-t.coefficient, t.factors);
    rest.add(polynomial_of(args[0]), t.coefficient);
    quotients.add(floor_div_const(polynomial_of(args[0]), d), -(product / c));
  }
  if (rest.failed || quotients.failed || rest == p) return std::nullopt;
  if (split_multiple(rest, c).remainder.terms.size() >= p.terms.size()) return std::nullopt;
  return std::pair(std::move(quotients), std::move(rest));
}

Polynomial Simplifier::floor_div_const(const Polynomial& p, int64_t c) {
  if (c == 1 || p.failed) return p;
  auto [out, rest] = split_multiple(p, c);
  if (rest.terms.empty()) return out;
  // floor((g * r + k) / (g * c)) = floor((r + floor(k / g)) / c)
  int64_t g = std::gcd(rest.content(), c);
  if (g > 1) {
    rest.constant = floor_quotient(rest.constant, g);
    int64_t k = rest.constant;
    rest.constant = 0;
    rest.divide_exactly(g);
    rest.constant = k;
    return out + floor_div_const(rest, c / g);
  }
  int64_t quotient;
  if (has_constant_quotient(rest, c, facts_, &quotient)) {
    out.add_constant(quotient);
    return out;
  }
  if (auto whole = without_remainders(rest, c)) {
    return out + whole->first + floor_div_const(whole->second, c);
  }
  if (auto carry = split_small_rest(rest, c, facts_)) {
    return out + floor_div_const(carry->multiple, c / carry->g);
  }
  Polynomial inner = rest;
  inner.constant = 0;
  if (inner.terms.size() == 1 && inner.terms[0].factors.size() == 1) {
    // (a * z + k) // c of a z that is 0 or 1 is k // c, or (a + k) // c.
    const Term& t = inner.terms[0];
    const Interval range = intervals_.of_atom(t.factors[0]);
    int64_t both;
    if (range.lower >= 0 && range.upper <= 1 &&
        !__builtin_add_overflow(t.coefficient, rest.constant, &both)) {
      const int64_t low = floor_quotient(rest.constant, c);
      out.add_constant(low);
      if (const int64_t step = floor_quotient(both, c) - low) out.add_term(step, t.factors);
      return out;
    }
  }
  if (const Expr* atom = single_atom(inner)) {
    int64_t d = 0;
    bool is_const = (*atom)->args.size() == 2 && as_const_int((*atom)->args[1], &d);
    int64_t product;
    // (x // d + k) // c = (x + k * d) // (c * d)
    if ((*atom)->kind == ExprKind::floor_div && is_const && d > 0 &&
        !__builtin_mul_overflow(c, d, &product)) {
      Polynomial x = polynomial_of((*atom)->args[0]);
      x.add(Polynomial(rest.constant), d);
      recombine(x);
      Polynomial result = floor_div_const(x, product);
      if (!result.failed) return out + result;
    }
    // (x % (a * c)) // c = (x // c) % a
    if ((*atom)->kind == ExprKind::floor_mod && is_const && d > 0 && d % c == 0 &&
        rest.constant == 0) {
      Polynomial x = floor_div_const(polynomial_of((*atom)->args[0]), c);
      Polynomial result = floor_mod_const(x, d / c);
      if (!result.failed) return out + result;
    }
  }
  if (leads_negative(rest)) return out - floor_div_const(mirrored(rest, c), c);
  return out + quotient_atom(ExprKind::floor_div, rest, Polynomial(c));
}

namespace {

size_t term_count(const Polynomial& p) {
  return p.terms.size() + (p.constant != 0);
}

// Whether writing p as quotient * q + remainder leaves less to divide.
bool is_progress(const Division& d, const Polynomial& p) {
  if (d.quotient.failed || d.remainder.failed || d.quotient.is_zero()) return false;
  return term_count(d.remainder) < term_count(p);
}

}  // namespace

bool Simplifier::lies_below(const Polynomial& p, const Polynomial& q) {
  if (intervals_.of(p).lower < 0) return false;
  Polynomial above = p - q;
  above.add_constant(1);
  return is_at_most_zero(above);
}

Polynomial Simplifier::floor_div_symbolic(Polynomial p, Polynomial q) {
  if (p.failed || q.failed || has_extreme_number(p) || has_extreme_number(q)) {
    p.failed = true;
    return p;
  }
  if (p.is_zero()) return p;
  if (leads_negative(q)) return floor_div_symbolic(negated(p), negated(q));
  Division d = divide(p, q);
  if (is_progress(d, p)) return d.quotient + floor_div_of(d.remainder, q);
  int64_t g = std::gcd(p.content_with_constant(), q.content_with_constant());
  Factors common = common_factors(p, q);
  if (g > 1 || !common.empty()) {
    return floor_div_of(divided_by(p, common, g), divided_by(q, common, g));
  }
  Interval range = interval_floor_div(intervals_.of(p), intervals_.of(q));
  if (range.is_point()) return Polynomial(range.lower);
  bool is_positive = intervals_.of(q).lower > 0;
  if (is_positive && lies_below(p, q)) return Polynomial(0);
  const Expr* atom = single_atom(p);
  if (is_positive && atom && (*atom)->kind == ExprKind::floor_div) {
    Polynomial divisor = polynomial_of((*atom)->args[1]) * q;
    if (!divisor.failed) return floor_div_of(polynomial_of((*atom)->args[0]), divisor);
  }
  return quotient_atom(ExprKind::floor_div, p, q);
}

Polynomial Simplifier::floor_mod_of(const Polynomial& p, const Polynomial& q) {
  Polynomial result;
  if (!q.is_constant()) {
    result = floor_mod_symbolic(p, q);
  } else if (q.constant == 0 || q.constant == int64_min) {
    result.failed = true;
  } else if (q.constant > 0) {
    result = floor_mod_const(p, q.constant);
  } else {
    result = negated(floor_mod_const(negated(p), -q.constant));
  }
  return result.failed ? quotient_atom(ExprKind::floor_mod, p, q) : result;
}

namespace {

// Multiples of c dropped; of the coefficients that remain, the smaller in magnitude.
Polynomial reduced_modulo(const Polynomial& p, int64_t c) {
  Polynomial out(floor_remainder(p.constant, c));
  out.failed = p.failed;
  for (const Term& t : p.terms) {
    int64_t r = floor_remainder(t.coefficient, c);
    if (r > c - r) r -= c;
    if (r) out.terms.push_back({r, t.factors});
  }
  return out;
}

// k * (x % d) where c divides k * d is k * x modulo c.
Polynomial without_inner_mods(const Polynomial& p, int64_t c) {
  for (const Term& t : p.terms) {
    for (size_t i = 0; i < t.factors.size(); ++i) {
      const Expr& f = t.factors[i];
      int64_t d, product;
      if (f->kind != ExprKind::floor_mod || !as_const_int(f->args[1], &d)) continue;
      if (__builtin_mul_overflow(t.coefficient, d, &product) || product % c != 0) continue;
      Polynomial rest(t.coefficient);
      for (size_t j = 0; j < t.factors.size(); ++j) {
        if (j != i) rest = rest * Polynomial::atom(t.factors[j]);
      }
      Polynomial out = p;
      out.add_term(-t.coefficient, t.factors);
      return out + rest * polynomial_of(f->args[0]);
    }
  }
  return p;
}

}  // namespace

Polynomial Simplifier::floor_mod_const(const Polynomial& given, int64_t c) {
  if (given.failed) return given;
  if (c == 1) return Polynomial(0);
  Polynomial p = given;
  for (int i = 0; i < 8; ++i) {
    Polynomial next = without_inner_mods(p, c);
    if (next.failed || next == p) break;
    p = next;
  }
  Polynomial small = split_multiple(p, c).remainder;
  p = reduced_modulo(p, c);
  if (p.terms.empty()) return p;
  int64_t g = std::gcd(p.content(), c);
  if (g > 1) {  // (g * r + k) % (g * c) = g * ((r + k // g) % c) + k % g
    int64_t k = p.constant;
    p.constant = 0;
    p.divide_exactly(g);
    p.constant = k / g;
    Polynomial result = floor_mod_const(p, c / g);
    result.scale(g);
    result.add_constant(k % g);
    return result;
  }
  int64_t quotient, residue;
  const Polynomial* const forms[] = {&small, &p};
  for (const Polynomial* form : forms) {
    if (has_constant_quotient(*form, c, facts_, &quotient)) {
      Polynomial result = *form;
      result.add(Polynomial(c), -quotient);
      return result;
    }
  }
  if (known_residue(intervals_.of(p), c, &residue)) return Polynomial(residue);
  for (const Polynomial* form : forms) {
    if (auto carry = split_small_rest(*form, c, facts_)) {
      Polynomial result = floor_mod_const(carry->multiple, c / carry->g);
      result.scale(carry->g);
      return result + carry->rest;
    }
  }
  if (leads_negative(p)) return Polynomial(c - 1) - floor_mod_const(mirrored(p, c), c);
  return quotient_atom(ExprKind::floor_mod, p, Polynomial(c));
}

namespace {

// k * (x % r) where r is a multiple of q is k * x modulo q.
Polynomial without_inner_mods(const Polynomial& p, const Polynomial& q) {
  for (const Term& t : p.terms) {
    for (size_t i = 0; i < t.factors.size(); ++i) {
      const Expr& f = t.factors[i];
      if (f->kind != ExprKind::floor_mod || !is_multiple(polynomial_of(f->args[1]), q)) continue;
      Factors rest = t.factors;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
      Polynomial out = p;
      out.add_term(-t.coefficient, t.factors);
      return out + monomial(t.coefficient, rest) * polynomial_of(f->args[0]);
    }
  }
  return p;
}

}  // namespace

Polynomial Simplifier::floor_mod_symbolic(Polynomial p, Polynomial q) {
  if (p.failed || q.failed || has_extreme_number(p) || has_extreme_number(q)) {
    p.failed = true;
    return p;
  }
  if (p.is_zero()) return p;
  if (leads_negative(q)) return negated(floor_mod_symbolic(negated(p), negated(q)));
  Polynomial flat = without_inner_mods(p, q);
  if (!(flat == p) && !flat.failed) return floor_mod_of(flat, q);
  Division d = divide(p, q);
  if (is_progress(d, p)) return floor_mod_of(d.remainder, q);
  int64_t g = std::gcd(p.content_with_constant(), q.content_with_constant());
  Factors common = common_factors(p, q);
  if (g > 1 || !common.empty()) {
    Polynomial inner = floor_mod_of(divided_by(p, common, g), divided_by(q, common, g));
    Polynomial factor(g);
    for (const Expr& f : common) factor = factor * Polynomial::atom(f);
    return inner * factor;
  }
  Interval range = interval_floor_mod(intervals_.of(p), intervals_.of(q));
  if (range.is_point()) return Polynomial(range.lower);
  if (intervals_.of(q).lower > 0 && lies_below(p, q)) return p;
  return quotient_atom(ExprKind::floor_mod, p, q);
}

Polynomial Simplifier::truncating(ExprKind kind, const Polynomial& p, const Polynomial& q) {
  bool is_div = kind == ExprKind::div;
  if (intervals_.of(p).lower >= 0 && intervals_.of(q).lower >= 0) {
    return is_div ? floor_div_of(p, q) : floor_mod_of(p, q);
  }
  if (q.is_constant() && q.constant == 1) return is_div ? p : Polynomial(0);
  return quotient_atom(kind, p, q);
}

// ---- (x // c) * c + x % c
// ------------------------------------------------------------------------

namespace {

// Whether p has every term of `part`, with its sign and at least its magnitude.
bool covers(const Polynomial& p, const Polynomial& part) {
  if (part.failed || part.terms.empty()) return false;
  return std::all_of(part.terms.begin(), part.terms.end(), [&](const Term& t) {
    int64_t k = coefficient_of(p, t.factors);
    return t.coefficient > 0 ? k >= t.coefficient : k <= t.coefficient;
  });
}

Factors without(const Factors& factors, size_t i) {
  Factors rest = factors;
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
  return rest;
}

// An occurrence of x // q or x % q: coefficient * rest * atom.
struct Occurrence {
  int64_t coefficient;
  Factors rest;
  Expr atom;

  Polynomial dividend() const { return polynomial_of(atom->args[0]); }
  Polynomial divisor() const { return polynomial_of(atom->args[1]); }
  Polynomial term() const { return monomial(coefficient, multiply_factors(rest, {atom})); }
};

std::vector<Occurrence> occurrences(const Polynomial& p, ExprKind kind) {
  std::vector<Occurrence> found;
  for (const Term& t : p.terms) {
    for (size_t i = 0; i < t.factors.size(); ++i) {
      if (t.factors[i]->kind == kind) {
        found.push_back({t.coefficient, without(t.factors, i), t.factors[i]});
      }
    }
  }
  return found;
}

// k * r * (y % q) + k * r * q * (x // q), x = y modulo q: k * r * x.
bool join_with_quotient(Polynomial& p, const Occurrence& mod, const Occurrence& div) {
  if (!structural_equal(mod.atom->args[1], div.atom->args[1])) return false;
  Polynomial q = mod.divisor(), x = div.dividend();
  if (!is_multiple(x - mod.dividend(), q)) return false;
  Polynomial factor = monomial(mod.coefficient, mod.rest);
  Polynomial quotient = factor * q * Polynomial::atom(div.atom);
  if (!covers(p, quotient)) return false;
  Polynomial joined = p - quotient - mod.term() + factor * x;
  if (joined.failed) return false;
  p = joined;
  return true;
}

// t of k, towards 0 and with its sign: how often both can be taken. 0: not at all.
int64_t common_times(int64_t k, int64_t t) {
  if ((k < 0) != (t < 0)) return 0;
  return std::abs(t) < std::abs(k) ? t : k;
}

bool same_factors(const Factors& a, const Factors& b) {
  return a.size() == b.size() && compare_factors(a, b) == 0;
}

// k * b * ((x // b) % a) + k * (x % b) is k * (x % (a * b)): the product of the divisors, or 0.
int64_t joint_divisor(const Occurrence& low, const Occurrence& high) {
  const Expr& z = high.atom->args[0];
  int64_t a, b, k, ab;
  if (z->kind != ExprKind::floor_div || !as_const_int(low.atom->args[1], &b) || b <= 0) return 0;
  if (!is_const_int(z->args[1], b) || !as_const_int(high.atom->args[1], &a) || a <= 0) return 0;
  if (__builtin_mul_overflow(low.coefficient, b, &k) || k != high.coefficient) return 0;
  if (__builtin_mul_overflow(a, b, &ab)) return 0;
  if (!same_factors(low.rest, high.rest)) return 0;
  Polynomial x = polynomial_of(z->args[0]);
  return is_multiple(x - low.dividend(), Polynomial(b)) ? ab : 0;
}

}  // namespace

// k * (x // m) - k * c * (y // (c * m)), x = y modulo m: k * ((y // m) % c - (y - x) / m).
bool Simplifier::join_nested_quotients(Polynomial& p, const Term& low_term, const Term& high_term,
                                       const Factors& rest) {
  const Expr &low_atom = low_term.factors[0], &high_atom = high_term.factors[0];
  const int64_t low_times = low_term.coefficient, high_times = high_term.coefficient;
  int64_t m, cm;
  if (!as_const_int(low_atom->args[1], &m) || !as_const_int(high_atom->args[1], &cm)) return false;
  if (m <= 0 || cm <= m || cm % m != 0) return false;
  const int64_t c = cm / m;
  if (high_times == int64_min || high_times % c != 0) return false;
  const int64_t times = common_times(low_times, -(high_times / c));
  const Polynomial y = polynomial_of(high_atom->args[0]);
  Polynomial between = y - polynomial_of(low_atom->args[0]);
  if (times == 0 || !is_multiple(between, Polynomial(m))) return false;
  between.divide_exactly(m);
  const Polynomial factor = monomial(times, rest);
  Polynomial joined = p - factor * Polynomial::atom(low_atom) +
                      factor * Polynomial(c) * Polynomial::atom(high_atom) +
                      factor * (floor_mod_const(floor_div_const(y, m), c) - between);
  if (joined.failed) return false;
  p = joined;
  return true;
}

// k * (y // c) + k * min(x % c, 1), x = y modulo c: k * ((x + c - 1) // c + (y - x) / c), the
// quotient rounded up. Modulo 2 the remainder is that minimum.
bool Simplifier::join_rounding_up(Polynomial& p) {
  for (const Term& t : p.terms) {
    if (t.factors.size() != 1) continue;
    Expr mod = t.factors[0];
    if (mod->kind == ExprKind::min) {
      const int one = is_const_int(mod->args[1], 1) ? 1 : 0;
      if (!is_const_int(mod->args[static_cast<size_t>(one)], 1)) continue;
      mod = mod->args[static_cast<size_t>(1 - one)];
    } else if (mod->kind == ExprKind::floor_mod && !is_const_int(mod->args[1], 2)) {
      continue;
    }
    int64_t c = 0;
    if (mod->kind != ExprKind::floor_mod || !as_const_int(mod->args[1], &c) || c <= 0) continue;
    const Polynomial x = polynomial_of(mod->args[0]);
    for (const Term& s : p.terms) {
      if (s.factors.size() != 1 || s.factors[0]->kind != ExprKind::floor_div) continue;
      const Expr& div = s.factors[0];
      Polynomial between = polynomial_of(div->args[0]) - x;
      const int64_t times = common_times(t.coefficient, s.coefficient);
      if (!is_const_int(div->args[1], c) || times == 0 || !is_multiple(between, Polynomial(c))) {
        continue;
      }
      between.divide_exactly(c);
      Polynomial up = x;
      up.add_constant(c - 1);
      Polynomial quotient = floor_div_const(up, c) + between;
      quotient.scale(times);
      Polynomial joined = p + quotient;
      joined.add_term(-times, t.factors);
      joined.add_term(-times, s.factors);
      if (joined.failed) continue;
      p = joined;
      return true;
    }
  }
  return false;
}

// With z = x // m: k * (x // (2 * m)) + k * (y // (2 * m)), y = x + m + 2 * m * j, is k * (z + j),
// as the halves of z rounded down and up are z. And k * z - k * (x // (2 * m)) is k times the
// second.
bool Simplifier::join_halves(Polynomial& p) {
  for (const Term& a : p.terms) {
    int64_t d = 0;
    if (a.factors.size() != 1 || a.factors[0]->kind != ExprKind::floor_div) continue;
    if (!as_const_int(a.factors[0]->args[1], &d) || d <= 0 || d % 2 != 0) continue;
    const int64_t m = d / 2;
    const Polynomial x = polynomial_of(a.factors[0]->args[0]);
    auto replace = [&](int64_t times, const Factors& taken, Polynomial by) {
      by.scale(times);
      Polynomial joined = p + by;
      joined.add_term(-times, taken);
      return joined;
    };
    for (const Term& b : p.terms) {
      if (b.factors.size() != 1 || b.factors[0]->kind != ExprKind::floor_div) continue;
      Polynomial between = polynomial_of(b.factors[0]->args[0]) - x;
      const int64_t up = common_times(a.coefficient, b.coefficient);
      const int64_t down =
          a.coefficient == int64_min ? 0 : common_times(-a.coefficient, b.coefficient);
      Polynomial joined;
      joined.failed = true;
      if (up != 0 && is_const_int(b.factors[0]->args[1], d)) {
        between.add_constant(-m);
        if (!is_multiple(between, Polynomial(d))) continue;
        between.divide_exactly(d);
        joined = replace(up, a.factors, floor_div_const(x, m) + between);
        joined.add_term(-up, b.factors);
      } else if (down % 2 != 0 && m > 1 && is_const_int(b.factors[0]->args[1], m)) {
        if (!is_multiple(between, Polynomial(m))) continue;
        between.divide_exactly(m);
        Polynomial rounded = x;
        rounded.add_constant(m);
        joined = replace(down, b.factors, floor_div_const(rounded, d) + between);
        joined.add_term(down, a.factors);
      }
      if (joined.failed) continue;
      p = joined;
      return true;
    }
    if (m > 1 || a.coefficient == int64_min || a.coefficient % 2 == 0) continue;
    Polynomial taken = x;
    taken.constant = 0;
    taken.scale(-a.coefficient);
    if (!covers(p, taken)) continue;
    Polynomial up = x;
    up.add_constant(1);
    Polynomial rounded = floor_div_const(up, 2) - x;
    rounded.scale(-a.coefficient);
    Polynomial joined = p + rounded;
    joined.add_term(-a.coefficient, a.factors);
    if (joined.failed) continue;
    p = joined;
    return true;
  }
  return false;
}

bool Simplifier::recombine_once(Polynomial& p) {
  std::vector<Occurrence> divs = occurrences(p, ExprKind::floor_div);
  std::vector<Occurrence> mods = occurrences(p, ExprKind::floor_mod);
  for (const Occurrence& mod : mods) {
    for (const Occurrence& div : divs) {
      if (join_with_quotient(p, mod, div)) return true;
    }
    for (const Occurrence& high : mods) {
      int64_t ab = joint_divisor(mod, high);
      if (ab == 0) continue;
      Polynomial whole = floor_mod_of(polynomial_of(high.atom->args[0]->args[0]), Polynomial(ab));
      Polynomial joined =
          p - mod.term() - high.term() + monomial(mod.coefficient, mod.rest) * whole;
      if (joined.failed) continue;
      p = joined;
      return true;
    }
  }
  for (const Occurrence& mod : mods) {  // k * r * x - k * r * (x % q) = k * r * q * (x // q)
    if (mod.coefficient == int64_min) continue;
    const Polynomial x = mod.dividend(), q = mod.divisor();
    const Polynomial factor = monomial(-mod.coefficient, mod.rest);
    Polynomial taken = x;
    taken.constant = 0;
    if (!covers(p, factor * taken)) continue;
    Polynomial joined = p - mod.term() - factor * x + factor * q * floor_div_of(x, q);
    if (joined.failed) continue;
    p = joined;
    return true;
  }
  for (const Occurrence& low : divs) {
    for (const Occurrence& high : divs) {
      if (!same_factors(low.rest, high.rest)) continue;
      const Term low_term{low.coefficient, {low.atom}}, high_term{high.coefficient, {high.atom}};
      if (join_nested_quotients(p, low_term, high_term, low.rest)) return true;
    }
  }
  if (join_rounding_up(p) || join_halves(p)) return true;
  for (const Occurrence& div : divs) {
    Polynomial x = div.dividend(), q = div.divisor();
    if (q.is_constant()) {
      int64_t c = q.constant, residue;
      if (c <= 0 || div.coefficient == int64_min || div.coefficient % c != 0) continue;
      int64_t k = div.coefficient / c;
      if (known_residue(intervals_.of(x), c, &residue)) {  // x // c * c = x - residue
        x.add_constant(-residue);
        Polynomial joined = p - div.term() + monomial(k, div.rest) * x;
        if (joined.failed) continue;
        p = joined;
        return true;
      }
    }
    // k * r * x - k * r * q * (x // q) = k * r * (x % q)
    x.constant = 0;
    for (const Term& t : q.is_constant() ? std::vector<Term>{{q.constant, {}}} : q.terms) {
      auto rest = divide_factors(div.rest, t.factors);
      if (!rest || t.coefficient == -1 || div.coefficient % t.coefficient != 0) continue;
      int64_t k = -(div.coefficient / t.coefficient);
      // As many times as the dividend occurs.
      for (const Term& s : x.terms) {
        int64_t have = coefficient_of(p, multiply_factors(*rest, s.factors));
        int64_t times = have / s.coefficient;
        if (times == 0 || (times < 0) != (k < 0)) {
          k = 0;
          break;
        }
        if (std::abs(times) < std::abs(k)) k = times;
      }
      if (k == 0) continue;
      Polynomial factor = monomial(k, *rest);
      Polynomial quotient = factor * q * Polynomial::atom(div.atom);
      Polynomial taken = factor * x;
      if (!covers(p, negated(quotient)) || !covers(p, taken)) continue;
      Polynomial dividend = div.dividend();
      Polynomial joined = p + quotient - taken + factor * floor_mod_of(dividend, q);
      joined.add(factor, -dividend.constant);
      if (joined.failed) continue;
      p = joined;
      return true;
    }
  }
  return false;
}

void Simplifier::recombine(Polynomial& p) {
  if (p.failed || has_extreme_number(p)) return;
  bool divides = has_kind(p, ExprKind::floor_div), remains = has_kind(p, ExprKind::floor_mod);
  if (!divides && !remains) return;
  for (int i = 0; i < 32 && recombine_once(p); ++i) {
  }
}

}  // namespace repose
