// Learning: what conditions say about ranges, divisors and equal values.
#include "expr/facts.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <unordered_set>

#include "expr/hypothesis.h"
#include "expr/interval.h"
#include "expr/polynomial_bounds.h"
#include "expr/simplifier.h"
#include "expr/steps.h"

namespace repose {

namespace {

// What a name stands for, and what that mentions.
struct Definition {
  Expr value;
  std::vector<const ExprNode*> symbols;
  size_t nodes;
};

}  // namespace

struct Facts::State {
  std::unordered_map<const VarNode*, std::pair<Var, Interval>> ranges;
  std::vector<Var> kept;  // keeps the keys of `equalities` and `definitions` alive
  VarMap equalities;
  // The replaced variables by what their replacements mention.
  std::unordered_map<const ExprNode*, std::vector<const VarNode*>> replaced_by;
  std::unordered_map<const VarNode*, std::shared_ptr<const Definition>> definitions;
  std::unordered_map<uint64_t, std::vector<Var>> names;  // by the hashes of their definitions
  KnownConditions known;
  bool contradiction = false;
};

namespace {

constexpr int max_depth = 8;
// What a disjunction leaves open is tried, side by side, down to this depth and among so many that
// bear on each other: beyond, a side goes only where simplifying refutes it.
constexpr int max_case_depth = 2;
constexpr std::ptrdiff_t max_disjunctions = 8;
// A replacement of more nodes is a definition: it is not put in place of the variable everywhere.
constexpr size_t max_replacement = 48;
constexpr int max_defined = 64;  // names looked through for a circle
constexpr uint64_t assume_steps = 100'000;

// What a question sees of many facts (Facts::about).
constexpr size_t all_conditions = 48;
constexpr size_t all_names = 32;
constexpr size_t all_symbols = 256;
constexpr size_t near_conditions = 32;
constexpr size_t max_scanned = 32;  // of a symbol that many conditions mention
constexpr int unfolded_levels = 3;
constexpr size_t unfolded_nodes = 600;

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
std::vector<Expr> Facts::conditions() const {
  std::vector<Expr> all;
  for (const auto& entry : known().entries()) {
    if (entry) all.push_back(entry->condition);
  }
  return all;
}
const VarMap& Facts::equalities() const {
  return state().equalities;
}
const KnownConditions& Facts::known() const {
  return state().known;
}

Expr Facts::definition(const VarNode* name) const {
  const auto& all = state().definitions;
  auto it = all.find(name);
  return it == all.end() ? nullptr : it->second->value;
}

Var Facts::name_of(const Expr& value) const {
  auto it = state().names.find(value->hash());
  if (it == state().names.end()) return nullptr;
  for (const Var& name : it->second) {
    if (structural_equal(definition(name.get()), value)) return name;
  }
  return nullptr;
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
  const StepBudget budget(assume_steps);
  restrict(v, range, 0);
  resolve_disjunctions(simplify(v, *this));
}

void Facts::restrict(const Var& v, const Interval& range, int depth) {
  auto it = equalities().find(v.get());
  if (it == equalities().end()) {
    narrow(v, range);
    learn_of_definition(v, range, depth);
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
  if (range.is_point()) return eq(value, make_int(range.lower));
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
  const StepBudget budget(assume_steps);
  Expr c = simplify(condition, *this);
  if (is_const_int(c, 1)) return;
  learn(c, 0);
  // Possibilities that are all left open refute none of others.
  const auto& entries = known().entries();
  const bool is_open = c->kind == ExprKind::logical_or && !entries.empty() && entries.back() &&
                       structural_equal(entries.back()->condition, c);
  if (!is_open) resolve_disjunctions(c);
}

void Facts::define(const Var& name, const Expr& value) {
  const Interval range = bounds(value, *this);
  State& s = change();
  if (s.definitions.contains(name.get())) return assume(eq(name, value));
  s.definitions.emplace(
      name.get(), std::make_shared<const Definition>(Definition{value, mentioned_symbols(value),
                                                                tree_size(value, unfolded_nodes)}));
  s.kept.push_back(name);
  s.names[value->hash()].push_back(name);
  narrow(name, range);
}

bool Facts::unfold(const Expr& e) {
  bool found = false;
  for (const Var& v : free_vars(e)) {
    const Expr value = definition(v.get());
    if (!value || equalities().contains(v.get())) continue;
    found = true;
    change().definitions.erase(v.get());
    replace(v, simplify(value, *this), 0);
  }
  return found;
}

// The range of a name is one of its value.
void Facts::learn_of_definition(const Var& v, const Interval& range, int depth) {
  const Expr value = definition(v.get());
  if (!value || depth > max_depth) return;
  const Expr condition = in_range(value, range);
  if (!is_const_int(condition, 1)) learn(condition, depth + 1);
}

// Whether `v` is in `e`, in what a symbol of `e` is defined or replaced by, and so on; true where
// there are many.
bool Facts::depends_on(const Expr& e, const Var& v) const {
  std::vector<const ExprNode*> open = mentioned_symbols(e);
  std::unordered_set<const ExprNode*> seen(open.begin(), open.end());
  for (int looked_at = 0; !open.empty(); ++looked_at) {
    const ExprNode* symbol = open.back();
    open.pop_back();
    if (symbol == v.get() || looked_at > max_defined) return true;
    const auto* name = static_cast<const VarNode*>(symbol);
    auto replaced = equalities().find(name);
    for (const Expr& value :
         {definition(name), replaced == equalities().end() ? nullptr : replaced->second}) {
      if (!value) continue;
      for (const ExprNode* inner : mentioned_symbols(value)) {
        if (seen.insert(inner).second) open.push_back(inner);
      }
    }
  }
  return false;
}

// What was learned may refute a side of what is known of others: of all, or where much is known, of
// the latest that mention a symbol of it.
void Facts::resolve_disjunctions(const Expr& about) {
  if (!known().has_disjunction() || is_contradiction()) return;
  if (known().size() <= all_conditions) return learn_again(about, 1);
  std::vector<size_t> positions;
  for (const ExprNode* symbol : mentioned_symbols(about)) {
    for (size_t i : known().mentioning(symbol, max_scanned)) {
      if (known().entries()[i]->condition->kind == ExprKind::logical_or) positions.push_back(i);
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  if (std::ssize(positions) > max_disjunctions)
    positions.erase(positions.begin(), positions.end() - max_disjunctions);
  learn_anew(positions, 1);
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
    if (depth <= max_case_depth && known().size() > 0 && is_refuted_directly(c, about(c))) {
      return contradict();
    }
    if (c->kind == ExprKind::le) return learn_at_most_zero(c, depth);
    if (c->kind == ExprKind::eq) return learn_zero(c, depth);
    if (c->kind == ExprKind::ne) return learn_not_zero(c);
  }
  change().known.add(c);
}

// What is refuted drops out; a single possibility that remains holds.
void Facts::learn_disjunction(const Expr& condition, int depth) {
  const Facts near = depth <= max_case_depth ? about(condition) : Facts();
  for (int side = 0; side < 2 && depth <= max_case_depth; ++side) {
    Facts without = near;
    without.learn(condition->args[static_cast<size_t>(side)], depth + 1);
    if (without.is_contradiction())
      return learn(condition->args[static_cast<size_t>(1 - side)], depth + 1);
  }
  change().known.add(condition);
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
    change().known.add(condition);
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
  change().known.add(condition, Hypothesis{Hypothesis::Kind::at_most_zero, d});
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
    change().known.add(condition);
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
  change().known.add(condition, Hypothesis{Hypothesis::Kind::zero, d});
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
  const Expr replacement = to_expr(value);
  const Expr defined = definition(v.get());
  if (depends_on(replacement, v)) return false;
  if (tree_size(replacement, max_replacement) < max_replacement) {
    replace(v, replacement, depth);
  } else if (!defined) {
    define(v, replacement);
    restrict(v, range_of(v), depth + 1);
  } else {
    return false;
  }
  if (defined) learn(eq(replacement, defined), depth + 1);
  return true;
}

void Facts::replace(const Var& v, const Expr& value, int depth) {
  const Interval range = range_of(v);
  State& s = change();
  s.kept.push_back(v);
  s.equalities[v.get()] = value;
  for (const ExprNode* symbol : mentioned_symbols(value)) s.replaced_by[symbol].push_back(v.get());
  if (auto it = s.replaced_by.find(v.get()); it != s.replaced_by.end()) {
    const std::vector<const VarNode*> others = std::move(it->second);
    s.replaced_by.erase(it);
    for (const VarNode* other : others) {
      const Expr renewed = simplify(equalities().at(other), *this);
      State& now = change();
      now.equalities[other] = renewed;
      for (const ExprNode* symbol : mentioned_symbols(renewed)) {
        std::vector<const VarNode*>& list = now.replaced_by[symbol];
        if (std::find(list.begin(), list.end(), other) == list.end()) list.push_back(other);
      }
    }
  }
  restrict(v, range, depth + 1);  // now about the replacement
  learn_again(eq(v, value), depth + 1);
}

void Facts::learn_not_zero(const Expr& condition) {
  Polynomial d = difference_of(condition);
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
  std::optional<Hypothesis> hypothesis;
  if (!d.failed) hypothesis = Hypothesis{Hypothesis::Kind::not_zero, d};
  change().known.add(condition, std::move(hypothesis));
}

namespace {

// The conditions that something about these symbols may bear on: those that mention one of them
// or, again and again, share one with such a condition. Of many, the nearest.
std::vector<size_t> related(const std::vector<const ExprNode*>& symbols,
                            const KnownConditions& known) {
  const bool is_small = known.size() <= all_conditions;
  std::vector<size_t> found;
  std::unordered_set<size_t> taken;
  std::vector<const ExprNode*> open = symbols;
  std::unordered_set<const ExprNode*> seen(open.begin(), open.end());
  for (size_t next = 0; next < open.size(); ++next) {
    if (!is_small && next >= symbols.size() && found.size() >= near_conditions) break;
    for (size_t i : known.mentioning(open[next])) {
      if (!taken.insert(i).second) continue;
      found.push_back(i);
      for (const ExprNode* s : known.entries()[i]->symbols) {
        if (seen.insert(s).second) open.push_back(s);
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

// The conditions once more that what is known now about the variables of `about` may bear on.
void Facts::learn_again(const Expr& about, int depth) {
  learn_anew(related(mentioned_symbols(about), known()), depth);
}

// Disjunctions last, so that the others narrow them.
void Facts::learn_anew(const std::vector<size_t>& positions, int depth) {
  if (positions.empty()) return;
  std::vector<Expr> renewed;
  for (size_t i : positions) renewed.push_back(known().entries()[i]->condition);
  change().known.remove(positions);
  const auto disjunctions =
      std::stable_partition(renewed.begin(), renewed.end(),
                            [](const Expr& c) { return c->kind != ExprKind::logical_or; });
  const bool in_cases = renewed.end() - disjunctions <= max_disjunctions;
  for (auto c = renewed.begin(); c != renewed.end(); ++c) {
    if (depth > max_depth) {  // give up on improving it
      change().known.add(*c);
    } else if (c < disjunctions || in_cases) {
      learn(*c, depth + 1);
    } else {
      learn(*c, std::max(depth, max_case_depth) + 1);
    }
  }
}

// ---- What bears on a question
// --------------------------------------------------------------------

Facts Facts::about(const Expr& e) const {
  const State& all = state();
  if (all.known.size() <= all_conditions && all.ranges.size() <= all_symbols &&
      all.definitions.size() <= all_names && all.equalities.size() <= all_symbols) {
    return *this;
  }
  auto near = std::make_shared<State>();
  near->contradiction = all.contradiction;
  std::vector<const ExprNode*> symbols;  // the nearest first
  std::unordered_set<const ExprNode*> seen;
  size_t nodes = 0;
  std::function<void(const ExprNode*, int)> reach = [&](const ExprNode* symbol, int level) {
    if (!seen.insert(symbol).second) return;
    symbols.push_back(symbol);
    const auto* v = static_cast<const VarNode*>(symbol);
    if (auto it = all.ranges.find(v); it != all.ranges.end()) near->ranges.insert(*it);
    if (auto it = all.equalities.find(v); it != all.equalities.end()) {
      near->equalities.insert(*it);
      near->kept.emplace_back(v);
      for (const ExprNode* s : mentioned_symbols(it->second)) {
        near->replaced_by[s].push_back(v);
        reach(s, level);
      }
    }
    if (auto it = all.definitions.find(v);
        it != all.definitions.end() && level < unfolded_levels && nodes < unfolded_nodes) {
      nodes += it->second->nodes;
      near->definitions.insert(*it);
      near->kept.emplace_back(v);
      for (const ExprNode* s : it->second->symbols) reach(s, level + 1);
    }
  };
  for (const ExprNode* s : mentioned_symbols(e)) reach(s, 0);
  // Conditions about these symbols alone come first, then those that add the fewest.
  std::vector<size_t> taken;
  std::unordered_set<size_t> is_taken;
  for (size_t next = 0; next < symbols.size() && taken.size() < near_conditions; ++next) {
    std::vector<std::pair<size_t, size_t>> found;  // symbols that are new; position
    for (size_t i : all.known.mentioning(symbols[next], max_scanned)) {
      if (is_taken.contains(i)) continue;
      size_t is_new = 0;
      for (const ExprNode* s : all.known.entries()[i]->symbols) is_new += !seen.contains(s);
      found.emplace_back(is_new, i);
    }
    std::sort(found.begin(), found.end());
    for (const auto& [is_new, i] : found) {
      if (taken.size() >= near_conditions) break;
      is_taken.insert(i);
      taken.push_back(i);
      for (const ExprNode* s : all.known.entries()[i]->symbols) reach(s, 1);
    }
  }
  std::sort(taken.begin(), taken.end());
  for (size_t i : taken) near->known.add(all.known.entries()[i]);
  Facts result;
  result.state_ = std::move(near);
  return result;
}

}  // namespace repose
