// The loops of a path, taken apart where `let`s and subscripts do.
#include "schedule/space.h"

#include <algorithm>
#include <unordered_map>

namespace repose::schedule {

using tir::ForNode;
using tir::Range;
using tir::Stmt;

std::vector<const ForNode*> Space::list() const {
  std::vector<const ForNode*> result;
  for (const Stmt& loop : loops) result.push_back(tir::as<ForNode>(loop));
  return result;
}

bool Space::mentioned_in(const Expr& e) const {
  return std::any_of(loops.begin(), loops.end(),
                     [&](const Stmt& s) { return uses_var(e, tir::as<ForNode>(s)->var); });
}

namespace {

class SpaceOf {
 public:
  explicit SpaceOf(const Facts& facts, Space begun = {}) : facts_(facts), space(std::move(begun)) {}

  void enter(const Stmt& s) {
    if (const auto* loop = tir::as<ForNode>(s)) {
      space.loops.push_back(
          bare_loop(loop->var, space.over_loops(loop->min), space.over_loops(loop->extent)));
    } else if (const auto* let = tir::as<tir::LetNode>(s)) {
      const Expr value = space.over_loops(let->value);
      space.values[let->var.get()] = value;
      see_part(let->var, value);
    }
  }

  // Takes a loop apart that `e` divides; false: it divides none.
  bool take_apart_in(const Expr& e) {
    bool done = false;
    visit(e, [&](const Expr& node) {
      if (done) return false;
      const size_t loop = divided_loop(node);
      if (loop == none) return true;
      const Var high = make_var("high", dtypes::index, VarRole::loop);
      const Var low = make_var("low", dtypes::index, VarRole::loop);
      done = take_apart(loop, {node->args[1], high, low});
      return !done;
    });
    return done;
  }

 private:
  static constexpr size_t none = static_cast<size_t>(-1);

  struct Parts {
    Expr size;
    Var high, low;  // the loop's variable // size, and % size
  };

  static Stmt bare_loop(const Var& v, const Expr& min, const Expr& extent) {
    return tir::make<ForNode>(v, min, extent, tir::ForKind::serial, tir::make_seq({}));
  }

  // The loop whose variable `e` divides by something, or the rest of that; `none`.
  size_t divided_loop(const Expr& e) const {
    if (e->kind != ExprKind::floor_div && e->kind != ExprKind::floor_mod) return none;
    if (space.mentioned_in(e->args[1])) return none;
    const auto* of = as<VarNode>(e->args[0]);
    for (size_t i = 0; of && i < space.loops.size(); ++i) {
      if (tir::as<ForNode>(space.loops[i])->var.get() == of) return i;
    }
    return none;
  }

  void see_part(const Var& v, const Expr& value) {
    const size_t loop = divided_loop(value);
    if (loop == none) return;
    Parts& parts = parts_[as<VarNode>(value->args[0])];
    if (parts.size && !structural_equal(parts.size, value->args[1])) return;
    parts.size = value->args[1];
    (value->kind == ExprKind::floor_div ? parts.high : parts.low) = v;
    if (parts.high && parts.low) take_apart(loop, parts);
  }

  bool take_apart(size_t position, const Parts& parts) {
    const Stmt whole = space.loops[position];
    const auto* loop = tir::as<ForNode>(whole);
    if (!is_const_int(loop->min, 0)) return false;
    Expr count = simplify(floor_div(loop->extent, parts.size), facts_);
    if (prove_equal(count * parts.size, loop->extent, facts_) != Truth::yes) {
      count = canonical(ceil_div(loop->extent, parts.size));
      space.exact = false;
    }
    space.loops[position] = bare_loop(parts.high, make_int(0), count);
    space.loops.insert(space.loops.begin() + static_cast<int64_t>(position) + 1,
                       bare_loop(parts.low, make_int(0), parts.size));
    space.values.erase(parts.high.get());
    space.values.erase(parts.low.get());
    const VarMap again{{loop->var.get(), parts.high * parts.size + parts.low}};
    for (auto& [v, value] : space.values) value = substitute(value, again);
    space.values[loop->var.get()] = again.begin()->second;
    return true;
  }

  const Facts& facts_;
  std::unordered_map<const VarNode*, Parts> parts_;

 public:
  Space space;
};

}  // namespace

Space space_of(std::span<const Stmt> path, const Facts& facts) {
  SpaceOf space(facts);
  for (const Stmt& s : path) space.enter(s);
  return std::move(space.space);
}

Space refined(const Space& space, std::vector<Expr>& exprs, const Facts& facts) {
  constexpr int most = 8;  // dimensions that were one loop
  SpaceOf finer(facts, space);
  for (Expr& e : exprs) e = canonical(finer.space.over_loops(e));
  for (int i = 0; i < most; ++i) {
    if (std::none_of(exprs.begin(), exprs.end(),
                     [&](const Expr& e) { return finer.take_apart_in(e); })) {
      break;
    }
    const Facts known = facts_in(finer.space, facts);
    for (Expr& e : exprs) e = simplify(finer.space.over_loops(e), known);
  }
  return std::move(finer.space);
}

Facts facts_in(const Space& space, Facts facts) {
  for (const ForNode* loop : space.list()) {
    if (is_const_int(loop->min, 0)) {
      assume_in_range(facts, loop->var, loop->extent);
    } else {
      facts.assume(le(loop->min, loop->var));
      facts.assume(lt(loop->var, loop->min + loop->extent));
    }
  }
  return facts;
}

namespace {

// Joins loops from those that take single steps up to those that go on where others end.
class ValuesOf {
 public:
  ValuesOf(const Expr& e, std::span<const ForNode* const> loops, const Facts& facts, Times times)
      : facts_(facts), times_(times), first_(canonical(e)), reach_(make_int(1)) {
    for (const ForNode* loop : loops) {
      if (uses_var(first_, loop->var)) loops_.push_back(loop);
    }
  }

  std::optional<Range> run() {
    while (!loops_.empty()) {
      const auto next = std::find_if(loops_.rbegin(), loops_.rend(),
                                     [&](const ForNode* loop) { return join(*loop); });
      if (next == loops_.rend()) return std::nullopt;
      loops_.erase(std::next(next).base());
    }
    return Range{first_, reach_};
  }

 private:
  bool join(const ForNode& loop) {
    const Expr step = canonical(substitute(first_, {{loop.var.get(), loop.var + 1}}) - first_);
    Facts known = facts_;
    for (const ForNode* other : loops_) {
      if (uses_var(step, other->var)) return false;
      if (uses_var(other->extent, loop.var)) return false;
      if (is_const_int(other->min, 0)) assume_in_range(known, other->var, other->extent);
    }
    const Expr last = loop.min + loop.extent - 1;
    const Expr reach =
        canonical(step * (loop.extent - 1) + substitute(reach_, {{loop.var.get(), last}}));
    Facts goes_on = known;
    goes_on.assume(lt(loop.var + 1, loop.min + loop.extent));
    const bool meets = prove_equal(step, reach_, goes_on) == Truth::yes;
    if (!meets && (times_ == Times::once || !fits(step, goes_on))) return false;
    if (!structural_equal(step, canonical(reach_)) && !is_empty_where_loop_is(loop, reach)) {
      return false;
    }
    reach_ = simplify(reach, facts_);
    first_ = canonical(substitute(first_, {{loop.var.get(), loop.min}}));
    return true;
  }

  bool fits(const Expr& step, const Facts& facts) const {
    return prove_le(make_int(1), step, facts) == Truth::yes &&
           prove_le(step, reach_, facts) == Truth::yes;
  }
  bool is_empty_where_loop_is(const ForNode& loop, const Expr& reach) const {
    Facts facts = facts_;
    facts.assume(le(loop.extent, make_int(0)));
    return facts.is_contradiction() || prove_le(reach, make_int(0), facts) == Truth::yes;
  }

  const Facts& facts_;
  const Times times_;
  Expr first_, reach_;
  std::vector<const ForNode*> loops_;
};

}  // namespace

std::optional<Range> values_of(const Expr& e, std::span<const ForNode* const> loops,
                               const Facts& facts, Times times) {
  return ValuesOf(e, loops, facts, times).run();
}

}  // namespace repose::schedule
