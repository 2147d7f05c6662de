// Intervals of expressions, from the ranges of their variables.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/simplifier.h"
#include "expr/steps.h"

namespace repose {

namespace {

constexpr uint64_t bounds_steps = 100'000;

class Walker {
 public:
  explicit Walker(const Facts& facts) : facts_(facts) {}

  Interval of(const Expr& e) {
    if (e->args.empty() || e->is_unique()) return compute(e);
    if (auto it = shared_.find(e.get()); it != shared_.end()) return it->second;
    Interval result = compute(e);
    shared_.emplace(e.get(), result);
    return result;
  }

 private:
  // What arithmetic gives where it stays within the dtype; index has no end.
  static Interval within(const Interval& exact, DType dtype) {
    Interval all = interval_of_dtype(dtype);
    // The limits of a 64-bit type are infinite here, so a result may have wrapped.
    bool open = dtype.is_data_int() && dtype.bits == 64;
    return is_within(exact, all) && (!open || is_bounded(exact)) ? exact : all;
  }

  Interval compute(const Expr& e) {
    if (!e->args.empty() && !spend_steps()) return interval_of_dtype(e->dtype);
    switch (e->kind) {
      case ExprKind::int_imm:
        return constant(e);
      case ExprKind::var:
        return intersection(facts_.range_of(Var(as<VarNode>(e))), interval_of_dtype(e->dtype));
      case ExprKind::cast:
        return cast(e);
      case ExprKind::select:
      case ExprKind::if_then_else:
        return hull(of(e->args[1]), of(e->args[2]));
      case ExprKind::broadcast:
        return of(e->args[0]);
      case ExprKind::ramp:
        return ramp(e);
      case ExprKind::call:
        return call(e);
      case ExprKind::load:
        return interval_of_dtype(e->dtype);
      case ExprKind::bit_not:
        if (e->dtype.is_uint() || e->dtype.is_bool()) return interval_of_dtype(e->dtype);
        return interval_point(-1) - of(e->args[0]);
      default:
        break;
    }
    if (is_binary(e->kind) && !e->dtype.is_float() && !e->dtype.is_bool()) {
      return within(binary(e), e->dtype);
    }
    return interval_of_dtype(e->dtype);
  }

  static Interval constant(const Expr& e) {
    int64_t value = as<IntImmNode>(e)->value;
    if (e->dtype.is_uint() && value < 0) return {Interval::plus_infinity - 1};
    return interval_point(value);
  }

  Interval cast(const Expr& e) {
    const Expr& value = e->args[0];
    if (!value->dtype.is_any_int() && !value->dtype.is_bool()) return interval_of_dtype(e->dtype);
    return within(of(value), e->dtype);
  }

  Interval ramp(const Expr& e) {
    Interval base = of(e->args[0]), step = of(e->args[1]);
    Interval lane = interval_between(0, e->dtype.lanes - 1);
    return within(base + step * lane, e->dtype);
  }

  Interval call(const Expr& e) {
    const auto* c = as<CallNode>(e);
    switch (c->intrinsic) {
      case Intrinsic::abs: {
        Interval a = of(e->args[0]);
        return within(interval_max(a, -a), e->dtype);
      }
      case Intrinsic::popcount:
      case Intrinsic::clz:
        return within(interval_between(0, e->args[0]->dtype.bits), e->dtype);
      case Intrinsic::input_dim:
        return {0, Interval::plus_infinity};
      default:
        return interval_of_dtype(e->dtype);
    }
  }

  Interval binary(const Expr& e) {
    Interval a = of(e->args[0]), b = of(e->args[1]);
    switch (e->kind) {
      case ExprKind::add:
        return a + b;
      case ExprKind::sub:
        return a - b;
      case ExprKind::mul: {
        Interval product = a * b;
        if (structural_equal(e->args[0], e->args[1]))
          product.lower = std::max<int64_t>(product.lower, 0);
        return tightened(product);
      }
      case ExprKind::floor_div:
        return or_zero(e, b, floor_div(e, a, b));
      case ExprKind::floor_mod:
        return or_zero(e, b, interval_floor_mod(a, b));
      case ExprKind::div:
        return or_zero(e, b, truncating_div(a, b));
      case ExprKind::mod:
        return or_zero(e, b, truncating_mod(a, b));
      case ExprKind::min:
        return interval_min(a, b);
      case ExprKind::max:
        return interval_max(a, b);
      case ExprKind::bit_and:
        return bit_and(a, b);
      case ExprKind::shift_right:
        if (a.lower >= 0) return {0, a.upper};
        return {};
      default:
        return {};
    }
  }

  // (x + k) // c of a symbol x: what it stands for is 64 bits wide, so a c of that size leaves few
  // quotients. A size that strides have halved 62 times is 0 or 1, and is halved no further.
  static Interval floor_div(const Expr& e, const Interval& a, const Interval& b) {
    constexpr int64_t large = int64_t{1} << 32;
    const Interval quotients = interval_floor_div(a, b);
    if (e->dtype != dtypes::index || b.lower < large || !b.is_point()) return quotients;
    Expr symbol = e->args[0];
    int64_t added = 0;
    if (symbol->kind == ExprKind::add && as_const_int(symbol->args[1], &added))
      symbol = symbol->args[0];
    if (symbol->kind != ExprKind::var) return quotients;
    // The quotients of both parts, and one more where their remainders have it: the sum may be
    // wider than 64 bits.
    const int64_t c = b.lower, rest = floor_remainder(added, c);
    const auto quotient = [&](int64_t x) {
      return floor_quotient(x, c) + floor_quotient(added, c) + (floor_remainder(x, c) >= c - rest);
    };
    constexpr int64_t least = std::numeric_limits<int64_t>::min();
    constexpr int64_t largest = std::numeric_limits<int64_t>::max();
    return intersection(quotients, {quotient(least), quotient(largest)});
  }

  // Data integers divided by 0 give 0.
  static Interval or_zero(const Expr& e, const Interval& divisor, const Interval& result) {
    bool may_be_zero = e->dtype.is_data_int() && divisor.contains(0);
    return may_be_zero ? hull(result, interval_point(0)) : result;
  }

  static Interval truncating_div(const Interval& a, const Interval& b) {
    if (a.lower >= 0 && b.lower >= 0) return interval_floor_div(a, b);
    // The quotient's magnitude is not above the dividend's.
    return {interval_min(a, -a).lower, interval_max(a, -a).upper};
  }

  static Interval truncating_mod(const Interval& a, const Interval& b) {
    if (a.lower >= 0 && b.lower >= 0) return interval_floor_mod(a, b);
    Interval magnitude = interval_max(a, -a);
    return {a.lower >= 0 ? 0 : (-magnitude).lower, a.upper <= 0 ? 0 : magnitude.upper};
  }

  static Interval bit_and(const Interval& a, const Interval& b) {
    if (a.lower >= 0 && b.lower >= 0) return {0, std::min(a.upper, b.upper)};
    if (a.lower >= 0) return {0, a.upper};
    if (b.lower >= 0) return {0, b.upper};
    return {};
  }

  const Facts& facts_;
  std::unordered_map<const ExprNode*, Interval> shared_;
};

Interval power(const Interval& a, int exponent) {
  Interval result = a;
  for (int i = 1; i < exponent; ++i) result = result * a;
  if (exponent % 2 == 0) result.lower = std::max<int64_t>(result.lower, 0);
  return tightened(result);
}

// Replaces `atom` by atom * scale + offset.
Polynomial moved(const Polynomial& p, const Expr& atom, int64_t scale, int64_t offset) {
  Polynomial factor = Polynomial::atom(atom);
  factor.scale(scale);
  factor.add_constant(offset);
  Polynomial out(p.constant);
  for (const Term& t : p.terms) {
    Polynomial product(t.coefficient);
    for (const Expr& f : t.factors) {
      product = product * (structural_equal(f, atom) ? factor : Polynomial::atom(f));
    }
    out.add(product);
  }
  return out;
}

}  // namespace

Interval Intervals::of_atom(const Expr& atom) {
  if (auto it = atoms_.find(atom); it != atoms_.end()) return it->second;
  return atoms_.emplace(atom, Walker(facts_).of(atom)).first->second;
}

// `others`: the ranges of atoms that aren't theirs here.
Interval Intervals::of_term(const Term& t, const Ranges& others) {
  auto range_of = [&](const Expr& atom) {
    for (const auto& [e, range] : others) {
      if (structural_equal(e, atom)) return range;
    }
    return of_atom(atom);
  };
  Interval product = interval_point(t.coefficient);
  for (size_t i = 0; i < t.factors.size();) {
    size_t end = i + 1;
    while (end < t.factors.size() && t.factors[end] == t.factors[i]) ++end;
    product = product * power(range_of(t.factors[i]), static_cast<int>(end - i));
    i = end;
  }
  return product;
}

Interval Intervals::of_sum(const Polynomial& p, const Ranges& others) {
  Interval sum = interval_point(p.constant);
  for (const Term& t : p.terms) sum = sum + of_term(t, others);
  return sum;
}

// Bounds of m * n - m: with n = 1 + n', n' >= 0, that is m * n'. Atoms of products move to begin
// (or, where they have no lower limit, end) at zero.
Interval Intervals::from_limits(Polynomial p) {
  Ranges ranges;
  const Polynomial original = p;
  for (const Term& t : original.terms) {
    if (t.factors.size() < 2) continue;
    for (const Expr& f : t.factors) {
      if (std::any_of(ranges.begin(), ranges.end(),
                      [&](const auto& known) { return structural_equal(known.first, f); })) {
        continue;
      }
      Interval& range = ranges.emplace_back(f, of_atom(f)).second;
      if (range.lower != Interval::minus_infinity) {
        int64_t offset = range.lower;
        if (offset == 0) continue;
        p = moved(p, f, 1, offset);
        range = range + interval_scaled(interval_point(offset), -1);
      } else if (range.upper != Interval::plus_infinity) {
        int64_t offset = range.upper;
        p = moved(p, f, -1, offset);
        range = interval_point(offset) - range;
      }
      if (p.failed) return {};
    }
  }
  return of_sum(p, ranges);
}

Interval Intervals::of(const Polynomial& p) {
  if (p.terms.empty()) return interval_point(p.constant);
  const Interval direct = of_sum(p, {});
  if (p.terms.size() < 2 || p.is_linear()) return direct;
  return intersection(direct, from_limits(p));
}

Interval bounds_of(const Polynomial& p, const Facts& facts) {
  return Intervals(facts).of(p);
}

Interval bounds_of(const Expr& e, const Facts& facts) {
  return Walker(facts).of(e);
}

Interval bounds(const Expr& e, const Facts& all) {
  const StepBudget budget(bounds_steps);
  const Facts facts = all.about(e);
  if (e->dtype != dtypes::index) return bounds_of(simplify(e, facts), facts);
  return bounds_of(Simplifier(facts).polynomial(e), facts);
}

}  // namespace repose
