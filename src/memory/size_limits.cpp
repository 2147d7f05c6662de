// Upper bounds of sizes that the data decides.
#include "memory/size_limits.h"

#include <algorithm>
#include <utility>

#include "ir/builder.h"
#include "ir/function_facts.h"
#include "ir/while_loop.h"

namespace repose {

SizeLimits::SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts)
    : live_(live), facts_(facts) {
  add_body(f->body, live.num_positions);
  find_limits_of_symbols();
}

void SizeLimits::add_body(const graph::Body& body, int end) {
  for (const graph::Block& block : body->blocks) {
    for (const graph::Binding& b : block.bindings) {
      const int position = live_.positions.at(b.var.get());
      if (const auto* call = graph::as<graph::CallNode>(b.value)) {
        if (const LoopRange* loop = live_.loop_of(*call)) add_loop(b, *loop);
      }
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) add_join(b, *choice);
      if (const Expr condition = check_condition(b.value)) {
        add_relation(position, end, canonical(condition));
      }
      if (const auto named = size_name(b)) {
        add_relation(position, end, eq(named->name, named->value), named->name.get());
      }
      for (const Expr& equality : cast_equalities(b)) {
        add_relation(position, end, canonical(equality));
      }
    }
  }
}

void SizeLimits::add_join(const graph::Binding& b, const graph::IfNode& choice) {
  const int position = live_.positions.at(b.var.get());
  const auto join = std::find_if(live_.joins.begin(), live_.joins.end(),
                                 [&](const BranchJoin& j) { return j.join == position; });
  REPOSE_CHECK(join != live_.joins.end(), "an `if` has a join");
  const graph::Body bodies[] = {choice.then_body, choice.else_body};
  const int ends[] = {join->then_end, join->else_end};
  VarMap values[2];
  for (int side = 0; side < 2; ++side) {
    add_body(bodies[side], ends[side]);
    match_symbols(b.var->type, bodies[side]->result->type, values[side]);
  }
  for (const auto& [v, value] : values[0]) {
    auto other = values[1].find(v);
    if (other != values[1].end()) joins_[v] = {{value, other->second}, {ends[0], ends[1]}};
  }
}

// While the body runs, the test holds; a symbol that the body hands on as it is stays what it was.
void SizeLimits::add_loop(const graph::Binding& b, const LoopRange& loop) {
  add_body(loop.cond->body, loop.back);
  add_body(loop.body->body, loop.back);
  const Type& init = loop.call->args[2]->type;
  const Type carried = carried_type(*loop.body, init);
  VarMap first, next, last;
  match_symbols(carried, init, first);
  match_symbols(carried, loop.body->body->result->type, next);
  match_symbols(b.var->type, carried, last);
  auto stays = [&](const VarNode* v) {
    const auto it = next.find(v);
    return it != next.end() && first.contains(v) && as<VarNode>(it->second) == v;
  };
  for (const auto& [v, value] : first) {
    if (stays(v)) add_relation(loop.enter, loop.back, eq(Var(v), value));
  }
  for (const auto& [v, of_body] : last) {
    const auto* symbol = as<VarNode>(of_body);
    if (symbol && stays(symbol)) {
      add_relation(loop.exit, live_.num_positions, eq(Var(v), first.at(symbol)));
    }
  }
  const auto* test = as<PrimTypeNode>(loop.cond->body->result->type);
  if (!test || !test->value) return;
  VarMap tested;
  match_symbols(carried_type(*loop.cond, init), carried, tested);
  add_relation(loop.test_end, loop.back, canonical(substitute(test->value, tested)));
}

void SizeLimits::add_relation(int begin, int end, const Expr& condition, const VarNode* only_of) {
  if (condition->kind == ExprKind::logical_and) {
    for (const Expr& part : condition->args) add_relation(begin, end, part, only_of);
  } else if (condition->kind == ExprKind::le || condition->kind == ExprKind::eq) {
    const size_t index = relations_.size();
    relations_.push_back(
        {begin, end, condition->kind == ExprKind::eq, condition->args[0], condition->args[1]});
    has_inner_relations_ = has_inner_relations_ || end < live_.num_positions;
    for (const Var& v : free_vars(condition)) {
      if (!only_of || v.get() == only_of) relations_of_[v.get()].push_back(index);
    }
    if (condition->kind != ExprKind::eq) return;
    for (const Expr& side : condition->args) equal_to_[side->hash()].push_back(index);
  }
}

bool SizeLimits::is_known(const Expr& e, int position) const {
  for (const Var& v : free_vars(e)) {
    if (is_name_.contains(v.get())) continue;
    auto it = live_.symbol_positions.find(v.get());
    if (it == live_.symbol_positions.end() || it->second > position) return false;
  }
  return true;
}

// One search for a limit: from the form of an expression, and from relations of its symbols.
class SizeLimits::Query {
 public:
  enum class Side { lower, upper };

  Query(SizeLimits& limits, int position, int known = 0)
      : limits_(limits), position_(position), known_(known) {}

  std::optional<Expr> bound(const Expr& e, Side side) {
    if (is_known(e)) return e;
    if (--budget_ < 0) return std::nullopt;
    if (auto other = bound_of_equal(e)) return other;
    switch (e->kind) {
      case ExprKind::var:
        return bound_of_symbol(Var(as<VarNode>(e)), side);
      case ExprKind::min:
      case ExprKind::max:
        return bound_of_choice(e, side);
      case ExprKind::select:
        return combine(max_or_min(side), bound(e->args[1], side), bound(e->args[2], side));
      case ExprKind::add:
        return combine(ExprKind::add, bound(e->args[0], side), bound(e->args[1], side));
      case ExprKind::sub:
        return combine(ExprKind::sub, bound(e->args[0], side), bound(e->args[1], opposite(side)));
      case ExprKind::mul:
        return bound_of_product(e, side);
      case ExprKind::floor_div:
        if (!is_positive(e->args[1])) return std::nullopt;
        return combine(ExprKind::floor_div, bound(e->args[0], side), e->args[1]);
      case ExprKind::floor_mod:
        if (!is_positive(e->args[1])) return std::nullopt;
        return side == Side::lower ? make_int(0) : e->args[1] - make_int(1);
      default:
        return std::nullopt;
    }
  }

 private:
  SizeLimits& limits_;
  const int position_;
  const int known_;   // what is known there is a limit; other than 0: of this query alone
  int budget_ = 300;  // expressions
  std::vector<const VarNode*> open_;  // symbols that are being bounded
  std::unordered_set<const VarNode*> failed_[2];
  int used_from_ = 0;      // the relations that were used hold from here,
  bool used_end_ = false;  // not all of them to the end
  bool is_cut_ = false;    // a symbol was met that is being bounded

  static Side opposite(Side side) { return side == Side::lower ? Side::upper : Side::lower; }
  static ExprKind max_or_min(Side side) {
    return side == Side::upper ? ExprKind::max : ExprKind::min;
  }
  static std::optional<Expr> combine(ExprKind kind, const std::optional<Expr>& a,
                                     const std::optional<Expr>& b) {
    if (!a || !b) return std::nullopt;
    return canonical(make_binary(kind, *a, *b));
  }

  bool is_known(const Expr& e) const { return limits_.is_known(e, known_); }
  bool is_positive(const Expr& e) const {
    return is_known(e) && prove_le(make_int(1), e, limits_.facts_) == Truth::yes;
  }
  bool is_at_least_zero(const std::optional<Expr>& e) const {
    return e && prove_le(make_int(0), *e, limits_.facts_) == Truth::yes;
  }
  bool holds(const Relation& r) const { return r.begin < position_ && position_ <= r.end; }
  void use(const Relation& r) {
    used_from_ = std::max(used_from_, r.begin + 1);
    used_end_ = used_end_ || r.end < limits_.live_.num_positions;
  }

  // Of the two sides of min and max, one is enough or both are needed.
  std::optional<Expr> bound_of_choice(const Expr& e, Side side) {
    const bool one_is_enough = (e->kind == ExprKind::min) == (side == Side::upper);
    const auto a = bound(e->args[0], side), b = bound(e->args[1], side);
    if (!one_is_enough || (a && b)) return combine(e->kind, a, b);
    const auto& found = a ? a : b;
    // Where a size is clamped so that sums stay in 64 bits, that is more than any memory has.
    int64_t number = 0;
    const bool is_endless = found && as_const_int(*found, &number) && number >= int64_t{1} << 48;
    return side == Side::upper && is_endless ? std::nullopt : found;
  }

  std::optional<Expr> bound_of_product(const Expr& e, Side side) {
    const Expr &a = e->args[0], &b = e->args[1];
    int64_t factor;
    for (const auto& [constant, other] : {std::pair(a, b), std::pair(b, a)}) {
      if (!as_const_int(constant, &factor)) continue;
      return combine(ExprKind::mul, bound(other, factor < 0 ? opposite(side) : side), constant);
    }
    const auto low_a = bound(a, Side::lower), low_b = bound(b, Side::lower);
    if (!is_at_least_zero(low_a) || !is_at_least_zero(low_b)) return std::nullopt;
    if (side == Side::lower) return combine(ExprKind::mul, low_a, low_b);
    return combine(ExprKind::mul, bound(a, side), bound(b, side));
  }

  // An expression that is one side of an equation, as a whole.
  std::optional<Expr> bound_of_equal(const Expr& e) {
    auto candidates = limits_.equal_to_.find(e->hash());
    if (candidates == limits_.equal_to_.end()) return std::nullopt;
    for (size_t i : candidates->second) {
      const Relation& r = limits_.relations_[i];
      if (!holds(r)) continue;
      for (const auto& [same, other] : {std::pair(r.left, r.right), std::pair(r.right, r.left)}) {
        if (!is_known(other) || !structural_equal(same, e)) continue;
        use(r);
        return other;
      }
    }
    return std::nullopt;
  }

  std::optional<Expr> bound_of_symbol(const Var& v, Side side) {
    if (std::find(open_.begin(), open_.end(), v.get()) != open_.end()) {
      is_cut_ = true;
      return std::nullopt;
    }
    auto& known = limits_.found_[side == Side::upper];
    if (auto it = known.find(v.get()); it != known.end() && it->second.from <= position_) {
      used_from_ = std::max(used_from_, it->second.from);
      return it->second.value;
    }
    if (failed_[side == Side::upper].contains(v.get())) return std::nullopt;
    auto& failed_until = limits_.failed_until_[side == Side::upper];
    if (auto it = failed_until.find(v.get());
        known_ == 0 && it != failed_until.end() && position_ <= it->second) {
      return std::nullopt;
    }
    const int outer_from = std::exchange(used_from_, 0);
    const bool outer_end = std::exchange(used_end_, false);
    const bool outer_cut = std::exchange(is_cut_, false);
    open_.push_back(v.get());
    auto found = bound_by_relations(v, side);
    if (!found) found = bound_by_branches(v, side);
    open_.pop_back();
    if (!found) found = bound_by_range(v, side);
    if (found && !used_end_ && known_ == 0) {
      found = limits_.named(*found, v->name + (side == Side::upper ? "_most" : "_least"));
      known.insert_or_assign(v.get(), Found{used_from_, *found});
    }
    if (!found && !is_cut_) failed_[side == Side::upper].insert(v.get());
    if (!found && known_ == 0 && open_.empty() && !limits_.has_inner_relations_)
      failed_until[v.get()] = position_;
    used_from_ = std::max(used_from_, outer_from);
    used_end_ = used_end_ || outer_end;
    is_cut_ = is_cut_ || outer_cut;
    return found;
  }

  std::optional<Expr> bound_by_range(const Var& v, Side side) const {
    const Interval range = limits_.facts_.range_of(v);
    const int64_t end = side == Side::upper ? range.upper : range.lower;
    if (end == Interval::plus_infinity || end == Interval::minus_infinity) return std::nullopt;
    return make_int(end);
  }

  // left <= right says that v <= right - left + v, and that left - right + v <= v: something where
  // v is gone from that.
  std::optional<Expr> bound_by_relations(const Var& v, Side side) {
    auto own = limits_.relations_of_.find(v.get());
    if (own == limits_.relations_of_.end()) return std::nullopt;
    for (size_t i : own->second) {
      const Relation& r = limits_.relations_[i];
      if (!holds(r)) continue;
      // What is above v, or equal to it; below.
      for (const bool is_above : {side == Side::upper, side != Side::upper}) {
        const Expr other = canonical(is_above ? r.right - r.left + v : r.left - r.right + v);
        if (!uses_var(other, v)) {
          if (auto found = bound(other, side)) {
            use(r);
            return found;
          }
        }
        if (!r.is_equality) break;
      }
    }
    return std::nullopt;
  }

  std::optional<Expr> bound_by_branches(const Var& v, Side side) {
    auto it = limits_.joins_.find(v.get());
    if (it == limits_.joins_.end()) return std::nullopt;
    used_end_ = true;  // what the branches know isn't known elsewhere
    std::optional<Expr> ends[2];
    for (int branch = 0; branch < 2; ++branch) {
      Query inside(limits_, it->second.ends[branch], known_);
      inside.budget_ = budget_ / 2;
      inside.open_ = open_;
      ends[branch] = inside.bound(it->second.values[branch], side);
    }
    return combine(max_or_min(side), ends[0], ends[1]);
  }
};

// Of all symbols that the data decides, in the order in which they become known: the limit of one
// is made of those of others, so that none is a search of its own through all before it.
void SizeLimits::find_limits_of_symbols() {
  std::vector<std::pair<int, Var>> late;
  for (const auto& [v, position] : live_.symbol_positions) {
    if (position > 0) late.emplace_back(position, Var(v));
  }
  std::sort(late.begin(), late.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second->id) < std::pair(b.first, b.second->id);
  });
  for (const auto& [position, v] : late) {
    for (const auto side : {Query::Side::lower, Query::Side::upper}) {
      Query(*this, live_.num_positions).bound(v, side);
    }
  }
}

Expr SizeLimits::named(const Expr& limit, const std::string& hint) {
  if (tree_size(limit, Builder::max_size_nodes + 1) <= Builder::max_size_nodes) return limit;
  if (Var known = facts_.name_of(limit)) return known;
  const Var name = make_var(hint, dtypes::index, VarRole::value);
  names_.emplace_back(name, limit);
  is_name_.insert(name.get());
  facts_.define(name, limit);
  return name;
}

std::optional<Expr> SizeLimits::limit(const Expr& bytes, int position, int known) {
  auto found = Query(*this, position, known).bound(canonical(bytes), Query::Side::upper);
  // Below 0 a check will fail, once the memory is there.
  if (found && prove_le(make_int(0), *found, facts_) != Truth::yes) {
    found = canonical(max(*found, make_int(0)));
  }
  return found;
}

}  // namespace repose
