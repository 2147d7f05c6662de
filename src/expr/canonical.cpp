// Canonical forms of index expressions, and simplification of conditions and data.
#include <algorithm>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/rules.h"
#include "expr/simplifier.h"
#include "expr/steps.h"

namespace repose {

namespace {

constexpr size_t max_choices = 16;  // of one min or max
constexpr uint64_t simplify_steps = 100'000;

}  // namespace

// ---- Choices ----------------------------------------------------------------------------------

namespace {

// Sums that contain a minimum (k > 0) or a maximum (k < 0) become the minimum of sums.
void flatten_choices(ExprKind kind, std::vector<Polynomial>& choices) {
  ExprKind opposite = kind == ExprKind::min ? ExprKind::max : ExprKind::min;
  for (size_t i = 0; i < choices.size() && choices.size() < max_choices;) {
    bool expanded = false;
    for (const Term& t : choices[i].terms) {
      if (t.factors.size() != 1) continue;
      const Expr& f = t.factors[0];
      if (f->kind != (t.coefficient > 0 ? kind : opposite) || !is_scalar_index(f)) continue;
      Polynomial base = choices[i];
      base.add_term(-t.coefficient, t.factors);
      Polynomial a = base, b = base;
      a.add(polynomial_of(f->args[0]), t.coefficient);
      b.add(polynomial_of(f->args[1]), t.coefficient);
      if (a.failed || b.failed) continue;
      choices[i] = std::move(a);
      choices.push_back(std::move(b));
      expanded = true;
      break;
    }
    if (!expanded) ++i;
  }
}

int compare_shape(const Polynomial& a, const Polynomial& b) {
  size_t n = std::min(a.terms.size(), b.terms.size());
  for (size_t i = 0; i < n; ++i) {
    if (int c = compare_factors(a.terms[i].factors, b.terms[i].factors)) return c;
  }
  if (a.terms.size() != b.terms.size()) return a.terms.size() > b.terms.size() ? -1 : 1;
  for (size_t i = 0; i < n; ++i) {
    int64_t x = a.terms[i].coefficient, y = b.terms[i].coefficient;
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

// Removes what every choice has in common, and returns it.
Polynomial take_common(std::vector<Polynomial>& choices) {
  Polynomial common;
  for (const Term& t : choices[0].terms) {
    bool everywhere = std::all_of(choices.begin() + 1, choices.end(), [&](const Polynomial& c) {
      return coefficient_of(c, t.factors) == t.coefficient;
    });
    if (everywhere) common.terms.push_back(t);
  }
  for (Polynomial& c : choices) c.add(common, -1);
  return common;
}

}  // namespace

// Not above 0: by ranges, by what is known, or because a minimum or maximum in it can be replaced
// by one of its sides.
bool Simplifier::is_at_most_zero(const Polynomial& p, int depth) {
  if (p.failed) return false;
  if (intervals_.of(p).upper <= 0) return true;
  if (depth == 0) return false;
  if (!spend_steps()) return false;
  for (const KnownConditions::Entry& known : facts_.known().entries()) {
    if (!known || !known->hypothesis) continue;
    const Hypothesis& h = *known->hypothesis;
    if (h.kind == Hypothesis::Kind::not_zero) continue;
    Polynomial rest = p - h.difference;
    if (!rest.failed && intervals_.of(rest).upper <= 0) return true;
    if (h.kind != Hypothesis::Kind::zero) continue;
    rest = p + h.difference;
    if (!rest.failed && intervals_.of(rest).upper <= 0) return true;
  }
  for (const Term& t : p.terms) {
    if (t.factors.size() != 1) continue;
    const Expr& f = t.factors[0];
    bool above = f->kind == ExprKind::max && t.coefficient < 0;
    bool below = f->kind == ExprKind::min && t.coefficient > 0;
    if (!above && !below) continue;
    for (const Expr& side : f->args) {
      Polynomial q = p;
      q.add_term(-t.coefficient, t.factors);
      q.add(polynomial_of(side), t.coefficient);
      if (is_at_most_zero(q, depth - 1)) return true;
    }
  }
  return false;
}

Polynomial Simplifier::extremum(ExprKind kind, std::vector<Polynomial> choices) {
  flatten_choices(kind, choices);
  for (Polynomial& c : choices) recombine(c);
  bool is_min = kind == ExprKind::min;
  // Drop what another choice is never above (for a maximum: never below).
  for (size_t i = 0; i < choices.size(); ++i) {
    for (size_t j = 0; j < choices.size(); ++j) {
      if (i == j) continue;
      Polynomial d = choices[i] - choices[j];
      if (!is_at_most_zero(is_min ? d : negated(d))) continue;
      choices.erase(choices.begin() + static_cast<std::ptrdiff_t>(j));
      if (j < i) --i;
      j = static_cast<size_t>(-1);
    }
  }
  if (choices.size() == 1) return choices[0];
  Polynomial common = take_common(choices);
  for (Polynomial& c : choices) recombine(c);
  bool all_negative = true;
  int64_t g = 0;
  for (const Polynomial& c : choices) {
    if (has_extreme_number(c) || c.failed) {
      common.failed = true;
      return common;
    }
    all_negative = all_negative && (c.terms.empty() || leads_negative(c));
    g = std::gcd(g, c.content_with_constant());
  }
  int64_t scale = 1;
  if (all_negative) {
    kind = is_min ? ExprKind::max : ExprKind::min;
    for (Polynomial& c : choices) c.scale(-1);
    scale = -1;
  }
  if (g > 1) {
    for (Polynomial& c : choices) c.divide_exactly(g);
    scale *= g;
  }
  std::sort(choices.begin(), choices.end(), [](const Polynomial& a, const Polynomial& b) {
    int c = compare_shape(a, b);
    return c ? c < 0 : a.constant < b.constant;
  });
  bool symbolic = std::all_of(choices.begin(), choices.end(),
                              [](const Polynomial& c) { return !c.terms.empty(); });
  int64_t offset = symbolic ? choices[0].constant : 0;
  Expr atom;
  for (Polynomial& c : choices) {
    c.add_constant(-offset);
    if (c.failed) return c;
    Expr e = to_expr(c);
    atom = atom ? make_binary(kind, atom, e) : e;
  }
  Polynomial result = polynomial_of(atom);
  result.add_constant(offset);
  result.scale(scale);
  return result + common;
}

Polynomial Simplifier::choice(ExprKind kind, const Expr& condition, const Polynomial& a,
                              const Polynomial& b) {
  int64_t constant;
  if (as_const_int(condition, &constant)) return constant ? a : b;
  if (a == b) return a;
  Expr c = condition;
  Polynomial yes = a, no = b;
  if (c->kind == ExprKind::logical_not || c->kind == ExprKind::ne) {
    c = negated_condition(c);
    std::swap(yes, no);
  }
  bool on_index = is_compare(c->kind) && is_scalar_index(c->args[0]);
  Polynomial change = yes - no;
  if (on_index && !change.failed && kind == ExprKind::select) {
    Polynomial d = polynomial_of(c->args[0]) - polynomial_of(c->args[1]);
    if (c->kind == ExprKind::eq && !d.failed && !d.terms.empty()) {
      // Where they are equal, both sides are.
      if (d.is_constant() ? d.is_zero() : is_multiple(change, d)) return no;
    }
    // select(z == 0, x, x + 1) and select(1 <= z, x + 1, x) of a z that isn't negative.
    const bool is_step =
        change.is_constant() && change.constant == (c->kind == ExprKind::eq ? -1 : 1);
    if (is_step && !d.failed && (c->kind == ExprKind::eq || c->kind == ExprKind::le)) {
      const Polynomial z = c->kind == ExprKind::eq ? d : Polynomial(1) - d;
      if (intervals_.of(z).lower >= 0) {
        return (c->kind == ExprKind::eq ? yes : no) + extremum(ExprKind::min, {z, Polynomial(1)});
      }
    }
    if (c->kind == ExprKind::le && !d.failed) {  // select(a <= b, a, b), also of a < b
      Polynomial strict = d;
      strict.add_constant(-1);
      if (change == d || change == strict) return extremum(ExprKind::min, {yes, no});
      Polynomial back = negated(change);
      if (back == d || back == strict) return extremum(ExprKind::max, {yes, no});
    }
  }
  for (Polynomial* side : {&yes, &no}) {
    const Expr* atom = single_atom(*side);
    if (!atom || ((*atom)->kind != ExprKind::select && (*atom)->kind != ExprKind::if_then_else)) {
      continue;
    }
    if (structural_equal((*atom)->args[0], c)) {
      *side = polynomial_of((*atom)->args[side == &yes ? 1 : 2]);
    }
  }
  Expr x = to_expr(yes), y = to_expr(no);
  return polynomial_of(kind == ExprKind::select ? make_select(c, x, y)
                                                : make_if_then_else(c, x, y));
}

Polynomial Simplifier::index_cast(const Expr& e) {
  Expr value = run(e->args[0]);
  // index -> int64 -> index changes nothing that has a value; narrower ones where the range fits.
  if (value->kind == ExprKind::cast && is_scalar_index(value->args[0])) {
    DType through = value->dtype;
    bool wide = through == dtypes::int64;
    const Expr& inner = value->args[0];
    if (wide ||
        (through.is_any_int() && is_within(bounds_of(inner, facts_), interval_of_dtype(through)))) {
      return polynomial_of(inner);
    }
  }
  return polynomial_of(make_cast(e->dtype, value));
}

// ---- Expressions ------------------------------------------------------------------------------

Polynomial Simplifier::polynomial(const Expr& e) {
  Polynomial p = expand(e);
  recombine(p);
  return p;
}

Polynomial Simplifier::expand(const Expr& e) {
  if (e->args.empty() || e->is_unique()) return expand_node(e);
  if (auto it = polynomials_.find(e.get()); it != polynomials_.end()) return it->second.second;
  Polynomial p = expand_node(e);
  polynomials_.emplace(e.get(), std::pair(e, p));
  return p;
}

Polynomial Simplifier::expand_node(const Expr& e) {
  if (!e->args.empty() && !spend_steps()) return polynomial_of(e);
  Polynomial p;
  switch (e->kind) {
    case ExprKind::int_imm:
      return Polynomial(as<IntImmNode>(e)->value);
    case ExprKind::var: {
      const VarMap& known = facts_.equalities();
      if (auto it = known.find(as<VarNode>(e)); it != known.end()) return polynomial_of(it->second);
      Interval range = facts_.range_of(Var(as<VarNode>(e)));
      return range.is_point() ? Polynomial(range.lower) : Polynomial::atom(e);
    }
    case ExprKind::add:
      p = expand(e->args[0]) + expand(e->args[1]);
      break;
    case ExprKind::sub:
      p = expand(e->args[0]) - expand(e->args[1]);
      break;
    case ExprKind::mul:
      p = expand(e->args[0]) * expand(e->args[1]);
      break;
    case ExprKind::floor_div:
      return floor_div_of(polynomial(e->args[0]), polynomial(e->args[1]));
    case ExprKind::floor_mod:
      return floor_mod_of(polynomial(e->args[0]), polynomial(e->args[1]));
    case ExprKind::div:
    case ExprKind::mod:
      return truncating(e->kind, polynomial(e->args[0]), polynomial(e->args[1]));
    case ExprKind::min:
    case ExprKind::max:
      p = extremum(e->kind, {polynomial(e->args[0]), polynomial(e->args[1])});
      break;
    case ExprKind::select:
    case ExprKind::if_then_else:
      return choice(e->kind, run(e->args[0]), polynomial(e->args[1]), polynomial(e->args[2]));
    case ExprKind::cast:
      return index_cast(e);
    case ExprKind::shift_left:
    case ExprKind::shift_right: {
      int64_t count;
      Expr by = run(e->args[1]);
      if (!as_const_int(by, &count) || count < 0 || count > 62) break;
      Polynomial power(int64_t{1} << count);
      Polynomial x = polynomial(e->args[0]);
      if (e->kind == ExprKind::shift_right) return floor_div_of(x, power);
      p = x * power;
      break;
    }
    case ExprKind::call:
      if (as<CallNode>(e)->intrinsic == Intrinsic::abs) {
        Polynomial x = polynomial(e->args[0]);
        Interval range = intervals_.of(x);
        if (range.lower >= 0) return x;
        if (range.upper <= 0 && !has_extreme_number(x)) return negated(x);
      }
      p.failed = true;
      break;
    default:
      p.failed = true;
      break;
  }
  if (!p.failed) return p;
  Expr simple = with_simple_args(e);
  Expr changed = apply_rules(simple);
  if (changed != simple) return expand(changed);
  return is_binary(simple->kind) || simple->kind == ExprKind::call ? Polynomial::atom(simple)
                                                                   : polynomial_of(simple);
}

Expr Simplifier::expression(Polynomial p) {
  recombine(p);
  return to_expr(p);
}

Expr Simplifier::run(const Expr& e) {
  if (is_scalar_index(e)) {
    if (e->kind == ExprKind::int_imm) return e;
    Expr result = expression(expand(e));
    return structural_equal(result, e) ? e : result;
  }
  if (e->args.empty()) return simplify_node(e);
  if (auto it = expressions_.find(e.get()); it != expressions_.end()) return it->second.second;
  Expr result = simplify_node(e);
  if (structural_equal(result, e)) result = e;
  expressions_.emplace(e.get(), std::pair(e, result));
  return result;
}

Expr Simplifier::with_simple_args(const Expr& e) {
  std::vector<Expr> args;
  args.reserve(e->args.size());
  for (const Expr& a : e->args) args.push_back(run(a));
  return with_args(e, std::move(args));
}

Expr Simplifier::simplify_node(const Expr& e) {
  if (!e->args.empty() && !spend_steps()) return e;
  if (is_compare(e->kind) && is_scalar_index(e->args[0])) {
    Expr result = compare_index(e);
    bool value;
    return is_known(result, &value) ? make_bool(value) : result;
  }
  if (e->dtype == dtypes::boolean) {
    if (is_logic(e->kind)) return logic(e);
    if (e->kind == ExprKind::logical_not) return negation(e);
  }
  Expr simple = with_simple_args(e);
  bool value;
  if (e->dtype == dtypes::boolean && is_known(simple, &value)) return make_bool(value);
  Expr changed = apply_rules(simple);
  return changed == simple ? simple : run(changed);
}

// ---- Conditions -------------------------------------------------------------------------------

// Without the factors that every term has, where these are known to be above zero (or below, which
// turns the sign; for an equality, either).
Polynomial Simplifier::without_known_factors(Polynomial d) {
  for (const Expr& f : common_factors(d, d)) {
    Interval range = intervals_.of_atom(f);
    if (range.contains(0) || is_empty(range)) continue;
    const bool negative = range.upper < 0;
    if (!negative && range.lower <= 0) continue;  // its stride alone excludes 0
    d = divided_by(d, {f}, 1);
    if (negative) d.scale(-1);
  }
  return d;
}

namespace {

// x // c + k <= 0 says x + k * c <= c - 1, and k - x // c <= 0 says k * c <= x: without the
// quotient; nothing where `d` is neither.
std::optional<Polynomial> without_quotient(const Polynomial& d) {
  if (d.terms.size() != 1 || d.terms[0].factors.size() != 1) return std::nullopt;
  const Expr& quotient = d.terms[0].factors[0];
  int64_t c = 0;
  if (std::abs(d.terms[0].coefficient) != 1 || quotient->kind != ExprKind::floor_div ||
      !as_const_int(quotient->args[1], &c) || c <= 0) {
    return std::nullopt;
  }
  Polynomial limit(d.constant), x = polynomial_of(quotient->args[0]);
  limit.scale(c);
  if (d.terms[0].coefficient < 0) {
    limit.add(x, -1);
  } else {
    limit.add(x);
    limit.add_constant(1 - c);
  }
  if (limit.failed || has_extreme_number(limit)) return std::nullopt;
  return limit;
}

}  // namespace

Expr Simplifier::at_most_zero(Polynomial d) {
  if (d.is_constant()) return make_bool(d.constant <= 0);
  if (has_extreme_number(d)) return le(to_expr(d), make_int(0));
  d = without_known_factors(std::move(d));
  if (d.is_constant()) return make_bool(d.constant <= 0);
  int64_t g = d.content();
  if (g > 1) {  // s * g + k <= 0 where s + ceil(k / g) <= 0
    int64_t k = -floor_quotient(-d.constant, g);
    d.constant = 0;
    d.divide_exactly(g);
    d.constant = k;
  }
  if (const auto limit = without_quotient(d)) return at_most_zero(*limit);
  Interval range = intervals_.of(d);
  if (range.upper <= 0) return make_bool(true);
  if (range.lower > 0) return make_bool(false);
  Sides sides = split_by_sign(d);
  return le(sides.positive, sides.negative);
}

Expr Simplifier::equals_zero(Polynomial d) {
  if (d.is_constant()) return make_bool(d.constant == 0);
  if (has_extreme_number(d)) return eq(to_expr(d), make_int(0));
  d = without_known_factors(std::move(d));
  if (d.is_constant()) return make_bool(d.constant == 0);
  int64_t g = d.content();
  if (d.constant % g != 0) return make_bool(false);
  d.divide_exactly(g);
  if (leads_negative(d)) d.scale(-1);
  Interval range = intervals_.of(d);
  if (!range.contains(0)) return make_bool(false);
  if (range.is_point()) return make_bool(true);
  Sides sides = split_by_sign(d);
  return eq(sides.positive, sides.negative);
}

Expr Simplifier::differs_from_zero(Polynomial d) {
  Expr equal = equals_zero(std::move(d));
  if (equal->kind == ExprKind::eq) return ne(equal->args[0], equal->args[1]);
  return make_bool(is_const_int(equal, 0));
}

Expr Simplifier::compare_index(const Expr& e) {
  Polynomial a = polynomial(e->args[0]), b = polynomial(e->args[1]);
  Polynomial d = a - b;
  recombine(d);
  if (d.failed || has_extreme_number(d)) return make_binary(e->kind, to_expr(a), to_expr(b));
  switch (e->kind) {
    case ExprKind::eq:
      return equals_zero(std::move(d));
    case ExprKind::ne:
      return differs_from_zero(std::move(d));
    case ExprKind::gt:
    case ExprKind::ge:
      d.scale(-1);
      break;
    default:
      break;
  }
  if (e->kind == ExprKind::lt || e->kind == ExprKind::gt) d.add_constant(1);
  if (d.failed) return make_binary(e->kind, to_expr(a), to_expr(b));
  return at_most_zero(std::move(d));
}

Expr negated_condition(const Expr& c) {
  switch (c->kind) {
    case ExprKind::int_imm:
      return make_bool(is_const_int(c, 0));
    case ExprKind::logical_not:
      return c->args[0];
    case ExprKind::eq:
      return ne(c->args[0], c->args[1]);
    case ExprKind::ne:
      return eq(c->args[0], c->args[1]);
    case ExprKind::logical_and:
      return logical_or(negated_condition(c->args[0]), negated_condition(c->args[1]));
    case ExprKind::logical_or:
      return logical_and(negated_condition(c->args[0]), negated_condition(c->args[1]));
    case ExprKind::le: {
      if (!is_scalar_index(c->args[0])) break;
      Polynomial d = polynomial_of(c->args[1]) - polynomial_of(c->args[0]);
      d.add_constant(1);
      if (d.failed || has_extreme_number(d)) break;
      Sides sides = split_by_sign(d);
      return le(sides.positive, sides.negative);
    }
    default:
      break;
  }
  return apply_rules(make_not(c));
}

Expr Simplifier::negation(const Expr& e) {
  Expr inner = run(e->args[0]);
  if (inner->kind == ExprKind::logical_and || inner->kind == ExprKind::logical_or) {
    return run(negated_condition(inner));
  }
  Expr result = negated_condition(inner);
  bool value;
  return is_known(result, &value) ? make_bool(value) : result;
}

namespace {

void flatten_logic(ExprKind kind, const Expr& e, std::vector<Expr>& parts) {
  if (e->kind == kind) {
    flatten_logic(kind, e->args[0], parts);
    flatten_logic(kind, e->args[1], parts);
  } else {
    parts.push_back(e);
  }
}

bool is_one_of(const Expr& e, const std::vector<Expr>& list) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Expr& other) { return structural_equal(e, other); });
}

// A disjunction is known, all of whose parts are among these.
bool follows_from_disjunction(const std::vector<Expr>& parts, const Facts& facts) {
  if (!facts.known().has_disjunction()) return false;
  for (const KnownConditions::Entry& known : facts.known().entries()) {
    if (!known || known->condition->kind != ExprKind::logical_or) continue;
    std::vector<Expr> possible;
    flatten_logic(ExprKind::logical_or, known->condition, possible);
    bool covered = std::all_of(possible.begin(), possible.end(),
                               [&](const Expr& p) { return is_one_of(p, parts); });
    if (covered) return true;
  }
  return false;
}

}  // namespace

// The order stays: what comes first may guard a division in what follows.
Expr Simplifier::logic(const Expr& e) {
  bool is_and = e->kind == ExprKind::logical_and;
  std::vector<Expr> parts, kept;
  flatten_logic(e->kind, run(e->args[0]), parts);
  flatten_logic(e->kind, run(e->args[1]), parts);
  for (const Expr& part : parts) {
    if (is_const_int(part, is_and ? 1 : 0)) continue;
    if (is_const_int(part, is_and ? 0 : 1)) return part;
    Expr opposite = negated_condition(part);
    bool repeats = false;
    for (const Expr& k : kept) {
      repeats = repeats || structural_equal(k, part);
      if (structural_equal(k, opposite)) return make_bool(!is_and);
    }
    if (!repeats) kept.push_back(part);
  }
  if (!is_and && kept.size() > 1 && follows_from_disjunction(kept, facts_)) return make_bool(true);
  Expr result;
  for (const Expr& k : kept) result = result ? make_binary(e->kind, result, k) : k;
  return result ? result : make_bool(is_and);
}

bool Simplifier::is_known(const Expr& condition, bool* value) {
  if (facts_.known().size() == 0) return false;
  if (facts_.known().contains(condition)) return *value = true, true;
  if (facts_.known().contains(negated_condition(condition))) return *value = false, true;
  return false;
}

Expr canonical(const Expr& e) {
  static const Facts none;
  return Simplifier(none).run(e);
}

Expr simplify(const Expr& e, const Facts& facts) {
  const StepBudget budget(simplify_steps);
  const Facts near = facts.about(e);
  return Simplifier(near).run(e);
}

}  // namespace repose
