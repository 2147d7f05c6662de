// Learning: what conditions say about ranges, divisors and equal values.
#include "expr/facts.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/simplifier.h"

namespace repose {

struct Facts::State {
  std::unordered_map<const VarNode*, std::pair<Var, Interval>> ranges;
  std::vector<Var> replaced;  // keeps the keys of `equalities` alive
  VarMap equalities;
  std::vector<Expr> conditions;
  std::vector<Hypothesis> hypotheses;
  bool contradiction = false;
};

namespace {

constexpr int max_depth = 8;
// What a disjunction leaves open is tried, side by side, down to this depth and among so many that
// bear on each other: beyond, a side goes only where simplifying refutes it.
constexpr int max_case_depth = 2;
constexpr std::ptrdiff_t max_cases = 8;

// The atom of a term that is a multiple of one atom.
const Expr* linear_atom(const Term& t) {
  return t.factors.size() == 1 ? &t.factors[0] : nullptr;
}

Polynomial without_term(Polynomial p, const Term& t) {
  p.add_term(-t.coefficient, t.factors);
  return p;
}

bool occurs(const Polynomial& p, const Var& v) {
  for (const Term& t : p.terms) {
    for (const Expr& f : t.factors) {
      if (uses_var(f, v)) return true;
    }
  }
  return false;
}

Polynomial difference_of(const Expr& comparison) {
  return polynomial_of(comparison->args[0]) - polynomial_of(comparison->args[1]);
}

// What an expression mentions: variables, and the elements of buffers as if they were one.
void mentions(const Expr& e, std::vector<const ExprNode*>& out) {
  static const Var elements = make_var("elements", dtypes::index, VarRole::value);
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    if (!seen.insert(node.get()).second) return false;
    if (node->kind == ExprKind::var) out.push_back(node.get());
    if (node->kind == ExprKind::load) out.push_back(elements.get());
    return true;
  });
}

// What something new about some variables may bear on: the conditions that mention one of them or,
// again and again, share one with such a condition.
class Related {
 public:
  Related(const Expr& about, const std::vector<Expr>& conditions) : is_reached_(conditions.size()) {
    std::vector<std::vector<const ExprNode*>> mentioned(conditions.size());
    for (size_t i = 0; i < conditions.size(); ++i) mentions(conditions[i], mentioned[i]);
    std::vector<const ExprNode*> seeds;
    mentions(about, seeds);
    variables_.insert(seeds.begin(), seeds.end());
    for (bool grows = true; grows;) {
      grows = false;
      for (size_t i = 0; i < conditions.size(); ++i) {
        if (is_reached_[i] || !any_reached(mentioned[i])) continue;
        variables_.insert(mentioned[i].begin(), mentioned[i].end());
        is_reached_[i] = grows = true;
      }
    }
  }

  bool has_condition(size_t index) const { return is_reached_[index]; }
  bool has(const Polynomial& p) const {
    std::vector<const ExprNode*> mentioned;
    for (const Term& t : p.terms) {
      for (const Expr& f : t.factors) mentions(f, mentioned);
    }
    return any_reached(mentioned);
  }

 private:
  std::vector<bool> is_reached_;
  std::unordered_set<const ExprNode*> variables_;

  bool any_reached(const std::vector<const ExprNode*>& mentioned) const {
    return std::any_of(mentioned.begin(), mentioned.end(),
                       [this](const ExprNode* v) { return variables_.count(v) > 0; });
  }
};

bool compares_index(const Expr& e) {
  return is_compare(e->kind) && e->args[0]->dtype == dtypes::index;
}

}  // namespace

const Facts::State& Facts::state() const {
  static const State nothing;
  return state_ ? *state_ : nothing;
}

Facts::State& Facts::change() {
  if (!state_) {
    state_ = std::make_shared<State>();
  } else if (state_.use_count() > 1) {
    state_ = std::make_shared<State>(*state_);
  } else {
    std::atomic_thread_fence(
        std::memory_order_acquire);  // another thread's copy may just have gone
  }
  return const_cast<State&>(*state_);  // made above, or ours alone
}

bool Facts::is_contradiction() const {
  return state().contradiction;
}
const std::vector<Expr>& Facts::conditions() const {
  return state().conditions;
}
const VarMap& Facts::equalities() const {
  return state().equalities;
}
const std::vector<Hypothesis>& Facts::hypotheses() const {
  return state().hypotheses;
}

Interval Facts::range_of(const Var& v) const {
  const auto& ranges = state().ranges;
  if (auto it = ranges.find(v.get()); it != ranges.end()) return it->second.second;
  Interval range;
  if (v->role == VarRole::dimension) range.lower = 0;
  return range;
}

void Facts::contradict() {
  change().contradiction = true;
}

void Facts::narrow(const Var& v, const Interval& range) {
  Interval known = range_of(v), both = intersection(known, range);
  if (both == known) return;
  change().ranges.insert_or_assign(v.get(), std::pair(v, both));
  if (is_empty(both)) contradict();
}

void Facts::restrict(const Var& v, const Interval& range) {
  REPOSE_CHECK(range.divisor > 0, "a divisor is positive");
  restrict(v, range, 0);
  resolve_disjunctions(simplify(v, *this));
}

void Facts::restrict(const Var& v, const Interval& range, int depth) {
  auto it = equalities().find(v.get());
  if (it == equalities().end()) {
    narrow(v, range);
    // A range of one value is an equality.
    Interval known = range_of(v);
    if (known.is_point() && v->dtype == dtypes::index) learn(eq(v, make_int(known.lower)), depth);
    return;
  }
  Expr value = it->second;
  if (range.lower != Interval::minus_infinity) learn(le(make_int(range.lower), value), depth);
  if (range.upper != Interval::plus_infinity) learn(le(value, make_int(range.upper)), depth);
  if (range.divisor > 1) {
    learn(eq(floor_mod(value, make_int(range.divisor)), make_int(range.remainder)), depth);
  }
}

Expr in_range(const Expr& value, const Interval& range) {
  Expr all;
  auto also = [&](Expr condition) {
    all = all ? logical_and(all, std::move(condition)) : std::move(condition);
  };
  if (range.lower != Interval::minus_infinity) also(le(make_int(range.lower), value));
  if (range.upper != Interval::plus_infinity) also(le(value, make_int(range.upper)));
  if (range.divisor != 1) {
    also(eq(floor_mod(value, make_int(range.divisor)), make_int(range.remainder)));
  }
  return all ? all : make_bool(true);
}

void Facts::assume(const Expr& condition) {
  Expr c = simplify(condition, *this);
  if (is_const_int(c, 1)) return;
  learn(c, 0);
  resolve_disjunctions(c);
}

// What was learned may refute a side of what is known of others.
void Facts::resolve_disjunctions(const Expr& about) {
  bool has_disjunction = std::any_of(conditions().begin(), conditions().end(),
                                     [](const Expr& c) { return c->kind == ExprKind::logical_or; });
  if (has_disjunction && !is_contradiction()) learn_again(about, 1);
}

void Facts::learn(const Expr& condition, int depth) {
  if (is_contradiction() || depth > max_depth) return;
  Expr c = simplify(condition, *this);
  switch (c->kind) {
    case ExprKind::int_imm:
      if (is_const_int(c, 0)) contradict();
      return;
    case ExprKind::logical_and:
      learn(c->args[0], depth + 1);
      learn(c->args[1], depth + 1);
      return;
    case ExprKind::logical_or:
      return learn_disjunction(c, depth);
    default:
      break;
  }
  if (compares_index(c)) {
    if (depth <= max_case_depth && !hypotheses().empty() && prove_directly(c, *this) == Truth::no) {
      return contradict();
    }
    if (c->kind == ExprKind::le) return learn_at_most_zero(c, depth);
    if (c->kind == ExprKind::eq) return learn_zero(c, depth);
    if (c->kind == ExprKind::ne) return learn_not_zero(c);
  }
  change().conditions.push_back(c);
}

// What is refuted drops out; a single possibility that remains holds.
void Facts::learn_disjunction(const Expr& condition, int depth) {
  for (int side = 0; side < 2 && depth <= max_case_depth; ++side) {
    Facts without = *this;
    without.learn(condition->args[static_cast<size_t>(side)], depth + 1);
    if (without.is_contradiction())
      return learn(condition->args[static_cast<size_t>(1 - side)], depth + 1);
  }
  change().conditions.push_back(condition);
}

// k * v + rest <= 0 limits v by the range of the rest.
void Facts::learn_ranges(const Polynomial& p) {
  if (p.failed || has_extreme_number(p)) return;
  for (const Term& t : p.terms) {
    const Expr* atom = linear_atom(t);
    const auto* v = atom ? as<VarNode>(*atom) : nullptr;
    if (!v) continue;
    int64_t rest = bounds_of(without_term(p, t), *this).lower;
    if (rest == Interval::minus_infinity) continue;
    Interval range;
    if (t.coefficient > 0) {
      range.upper = floor_quotient(-rest, t.coefficient);
    } else {
      range.lower = -floor_quotient(-rest, -t.coefficient);
    }
    narrow(Var(v), range);
  }
}

void Facts::learn_at_most_zero(const Expr& condition, int depth) {
  Polynomial d = difference_of(condition);
  if (d.failed) {
    change().conditions.push_back(condition);
    return;
  }
  for (const Term& t : d.terms) {  // k * max(a, b) + rest <= 0: for both
    const Expr* atom = linear_atom(t);
    if (!atom || (*atom)->kind != (t.coefficient > 0 ? ExprKind::max : ExprKind::min)) continue;
    for (const Expr& side : (*atom)->args) {
      Polynomial one = without_term(d, t);
      one.add(polynomial_of(side), t.coefficient);
      if (one.failed) continue;
      Polynomial copy = one;
      learn(Simplifier(*this).at_most_zero(copy), depth + 1);
    }
    return;
  }
  learn_ranges(d);
  if (d.terms.size() == 1 && linear_atom(d.terms[0]) &&
      (*linear_atom(d.terms[0]))->kind == ExprKind::var) {
    return;
  }
  State& s = change();
  s.conditions.push_back(condition);
  s.hypotheses.push_back({Hypothesis::Kind::at_most_zero, d});
}

namespace {

// The x with a * x = 1 modulo c; 0 if none.
int64_t inverse_modulo(int64_t a, int64_t c) {
  int64_t x0 = 1, x1 = 0, p = floor_remainder(a, c), q = c;
  while (q != 0) {
    int64_t t = p / q;
    std::swap(p -= t * q, q);
    std::swap(x0 -= t * x1, x1);
  }
  return p == 1 ? floor_remainder(x0, c) : 0;
}

// (a * v + k) % c - r = 0 gives v its residue.
bool residue_of_var(const Polynomial& d, Var* v, Interval* range) {
  if (d.terms.size() != 1 || d.terms[0].factors.size() != 1) return false;
  const Expr& mod = d.terms[0].factors[0];
  int64_t c;
  if (mod->kind != ExprKind::floor_mod || !as_const_int(mod->args[1], &c)) return false;
  if (c <= 0 || c > (int64_t{1} << 30) || std::abs(d.terms[0].coefficient) != 1) return false;
  int64_t r = -d.constant * d.terms[0].coefficient;
  Polynomial x = polynomial_of(mod->args[0]);
  if (x.terms.size() != 1 || x.terms[0].factors.size() != 1) return false;
  const auto* var = as<VarNode>(x.terms[0].factors[0]);
  if (!var || r < 0 || r >= c) return false;
  int64_t inverse = inverse_modulo(x.terms[0].coefficient % c, c);
  if (inverse == 0) return false;
  int64_t residue = floor_remainder(r - floor_remainder(x.constant, c), c);
  *v = Var(var);
  range->divisor = c;
  range->remainder = residue * inverse % c;
  return true;
}

}  // namespace

void Facts::learn_zero(const Expr& condition, int depth) {
  Polynomial d = difference_of(condition);
  if (d.failed || has_extreme_number(d)) {
    change().conditions.push_back(condition);
    return;
  }
  Var v;
  Interval range;
  if (residue_of_var(d, &v, &range)) return narrow(v, range);
  // min(a, b) + rest = 0: neither a nor b is below; max: above. One of the two is equal: if not
  // one, then the other.
  bool learned = false;
  for (const Term& t : d.terms) {
    const Expr* atom = linear_atom(t);
    if (!atom || ((*atom)->kind != ExprKind::min && (*atom)->kind != ExprKind::max)) continue;
    bool negate = ((*atom)->kind == ExprKind::min) == (t.coefficient > 0);
    std::vector<Expr> possible;
    for (const Expr& side : (*atom)->args) {
      Polynomial one = without_term(d, t);
      one.add(polynomial_of(side), t.coefficient);
      if (one.failed || has_extreme_number(one)) {
        possible.assign(2, nullptr);  // nothing can be said
        continue;
      }
      Polynomial copy = one;
      Expr equal = Simplifier(*this).equals_zero(copy);
      if (!is_const_int(equal, 0)) possible.push_back(equal);
      if (negate) one.scale(-1);
      if (!one.failed && !has_extreme_number(one)) {
        learn(Simplifier(*this).at_most_zero(one), depth + 1);
        learned = true;
      }
    }
    if (possible.size() == 1) learn(possible[0], depth + 1);
  }
  if (learned) {  // symbols of the condition may have been replaced since it was simplified
    Expr again = simplify(condition, *this);
    if (!structural_equal(again, condition)) return learn(again, depth + 1);
  }
  if (learn_substitution(d, depth)) return;
  learn_ranges(d);
  learn_ranges(negated(d));
  State& s = change();
  s.conditions.push_back(condition);
  s.hypotheses.push_back({Hypothesis::Kind::zero, d});
}

// k * v + rest = 0 with k = ±1, v not in the rest: v is replaced everywhere. Of several, the
// variable made last.
bool Facts::learn_substitution(const Polynomial& zero, int depth) {
  const Term* best = nullptr;
  for (const Term& t : zero.terms) {
    const Expr* atom = linear_atom(t);
    const auto* v = atom ? as<VarNode>(*atom) : nullptr;
    if (!v || (t.coefficient != 1 && t.coefficient != -1)) continue;
    if (best && as<VarNode>(best->factors[0])->id > v->id) continue;
    if (occurs(without_term(zero, t), Var(v))) continue;
    best = &t;
  }
  if (!best) return false;
  Var v(as<VarNode>(best->factors[0]));
  Polynomial value = without_term(zero, *best);
  if (best->coefficient > 0) value.scale(-1);
  Interval range = range_of(v);
  Expr replacement = to_expr(value);
  State& s = change();
  s.replaced.push_back(v);
  s.equalities[v.get()] = replacement;
  VarMap others = s.equalities;
  for (const auto& [other, expression] : others) {
    if (uses_var(expression, v)) {
      Expr renewed = simplify(expression, *this);
      change().equalities[other] = renewed;
    }
  }
  restrict(v, range, depth + 1);  // now about the replacement
  learn_again(eq(v, replacement), depth + 1);
  return true;
}

void Facts::learn_not_zero(const Expr& condition) {
  Polynomial d = difference_of(condition);
  State& s = change();
  if (!d.failed && d.terms.size() == 1 && linear_atom(d.terms[0])) {
    const auto* v = as<VarNode>(*linear_atom(d.terms[0]));
    const bool has_value = d.constant != std::numeric_limits<int64_t>::min();
    if (v && d.terms[0].coefficient == 1 && has_value) {
      const int64_t excluded = -d.constant;
      Interval range = range_of(Var(v));
      if (range.lower == excluded) range.lower += range.divisor;
      if (range.upper == excluded) range.upper -= range.divisor;
      Interval old = range_of(Var(v));
      if (range.lower != old.lower || range.upper != old.upper) {
        narrow(Var(v), range);
        return;
      }
    }
  }
  s.conditions.push_back(condition);
  if (!d.failed) s.hypotheses.push_back({Hypothesis::Kind::not_zero, d});
}

// The conditions once more that what is known now about the variables of `about` may bear on;
// disjunctions last, so that the others narrow them.
void Facts::learn_again(const Expr& about, int depth) {
  State& s = change();
  const std::vector<Expr> before = std::move(s.conditions);
  const Related related(about, before);
  std::vector<Expr> renewed;
  s.conditions.clear();
  for (size_t i = 0; i < before.size(); ++i) {
    (related.has_condition(i) ? renewed : s.conditions).push_back(before[i]);
  }
  std::erase_if(s.hypotheses, [&](const Hypothesis& h) { return related.has(h.difference); });
  const auto disjunctions =
      std::stable_partition(renewed.begin(), renewed.end(),
                            [](const Expr& c) { return c->kind != ExprKind::logical_or; });
  const bool in_cases = renewed.end() - disjunctions <= max_cases;
  for (auto c = renewed.begin(); c != renewed.end(); ++c) {
    if (depth > max_depth) {  // give up on improving it
      change().conditions.push_back(*c);
    } else if (c < disjunctions || in_cases) {
      learn(*c, depth + 1);
    } else {
      learn(*c, std::max(depth, max_case_depth) + 1);
    }
  }
}

}  // namespace repose
