// Cutting a loop into tiles, with what is left beyond the last full one.
#include "schedule/primitives/split.h"

#include <algorithm>

#include "schedule/region.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

const char* name_of(Tail tail) {
  return std::find_if(std::begin(tail_words), std::end(tail_words),
                      [&](const TailWord& word) { return word.value == tail; })
      ->text;
}

class Split {
 public:
  Split(Scheduled& s, const ForNode& loop, const Expr& factor, const Facts& facts)
      : s_(s), loop_(loop), factor_(factor), facts_(facts) {
    full_ = simplify(floor_div(loop.extent, factor), facts_);
    rest_ = simplify(floor_mod(loop.extent, factor), facts_);
    outer_ = fresh_loop_var(s, loop.var->name + "_o");
    inner_ = fresh_loop_var(s, loop.var->name + "_i");
    made_ = {Loop{outer_}, Loop{inner_}};
  }

  std::vector<Loop> made_;

  bool has_rest() const { return !is_const_int(rest_, 0); }

  Stmt run(Tail tail) {
    const Expr i = outer_ * factor_ + inner_;
    const Expr tiles = simplify(ceil_div(loop_.extent, factor_), facts_);
    if (!has_rest()) return tiled(full_, factor_, body_at(i));
    switch (tail) {
      case Tail::proven:
        return nullptr;
      case Tail::masked:
        return tiled(tiles, factor_, guarded(body_at(i), canonical(lt(i, loop_.extent))));
      case Tail::bounded: {
        Var size = make_var(s_.fresh(loop_.var->name + "_size"), dtypes::index, VarRole::let);
        const Expr value = min(factor_, loop_.extent - outer_ * factor_);
        assume_size(size);
        Stmt inner = make_loop(s_, inner_, size, body_at(i));
        return make_loop(s_, outer_, tiles, tir::make<tir::LetNode>(size, value, inner));
      }
      case Tail::separate: {
        Stmt whole = tiled(full_, factor_, body_at(i));
        return followed_by(std::move(whole), [&](const Var& v) {
          return make_loop(s_, v, rest_, copy_at(full_ * factor_ + v));
        });
      }
      case Tail::vector: {
        Stmt whole = tiled(full_, factor_, body_at(i));
        return followed_by(std::move(whole), [&](const Var& tile) {
          // A loop that runs once or not at all: a tile like the others.
          Var v = fresh_loop_var(s_, tile->name + "_i");
          const Expr at = full_ * factor_ + v;
          Stmt body = guarded(copy_at(at), canonical(lt(at, loop_.extent)));
          inner_rest_ = v;
          return make_loop(s_, tile, simplify(min(make_int(1), rest_), facts_),
                           make_loop(s_, v, factor_, std::move(body)));
        });
      }
      case Tail::powers:
        return with_powers(tiled(full_, factor_, body_at(i)));
    }
    return nullptr;
  }

 private:
  Stmt body_at(const Expr& i) const { return tir::substitute(loop_.body, {{loop_.var.get(), i}}); }
  Stmt copy_at(const Expr& i) { return copied(s_, body_at(i)); }

  Stmt tiled(const Expr& tiles, const Expr& size, Stmt body) {
    return make_loop(s_, outer_, tiles, make_loop(s_, inner_, size, std::move(body)));
  }

  // The loop over full tiles (where there can be one), then what `tail` makes of a new loop.
  template <class F>
  Stmt followed_by(Stmt whole, const F& tail) {
    Var v = fresh_loop_var(s_, loop_.var->name + "_rest");
    Stmt rest = tail(v);
    made_.push_back({v});
    if (inner_rest_) made_.push_back({inner_rest_});
    if (!is_const_int(full_, 0)) return tir::make_seq({std::move(whole), std::move(rest)});
    made_.erase(made_.begin(), made_.begin() + 2);
    return rest;
  }

  Stmt with_powers(Stmt whole) {
    int64_t factor = 0;
    as_const_int(factor_, &factor);
    int64_t power = 1;
    while (power * 2 < factor) power *= 2;
    std::vector<Stmt> parts;
    if (is_const_int(full_, 0)) {
      made_.clear();
    } else {
      parts.push_back(std::move(whole));
    }
    for (; power >= 1; power /= 2) {
      // What larger powers have taken is a multiple of twice this one.
      const Expr taken = full_ * factor_ + floor_div(rest_, make_int(2 * power)) * (2 * power);
      const Expr present =
          simplify(floor_mod(floor_div(rest_, make_int(power)), make_int(2)), facts_);
      if (is_const_int(present, 0)) continue;
      // A loop that runs once or not at all: a tile like the others.
      const std::string name = fmt::format("{}_{}", loop_.var->name, power);
      Var tile = fresh_loop_var(s_, name), v = fresh_loop_var(s_, name + "_i");
      Var first = make_var(s_.fresh(loop_.var->name + "_first"), dtypes::index, VarRole::let);
      Interval range;
      range.lower = 0;
      s_.known->restrict(first, range);
      Stmt body = make_loop(s_, v, make_int(power), copy_at(first + v));
      body = tir::make<tir::LetNode>(first, simplify(taken, facts_), std::move(body));
      parts.push_back(make_loop(s_, tile, present, std::move(body)));
      made_.push_back({tile});
      made_.push_back({v});
    }
    return tir::make_seq(std::move(parts));
  }

  void assume_size(const Var& size) {
    Interval range;
    range.lower = 0;
    range.upper = bounds(factor_, facts_).upper;
    s_.known->restrict(size, range);
  }

  Scheduled& s_;
  const ForNode& loop_;
  const Expr& factor_;
  Facts facts_;
  Expr full_, rest_;
  Var outer_, inner_, inner_rest_;
};

// A block that begins a reduction in iterations of the loop; null: none.
const tir::BlockNode* begun_in(const ForNode& loop) {
  for (const tir::BlockNode* block : blocks_in(loop.body)) {
    if (block->init && moves_reduction(loop, *block)) return block;
  }
  return nullptr;
}

}  // namespace

Result<std::vector<Loop>> split(Scheduled& s, const Loop& loop, const Expr& factor, Tail tail) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(node);
  if (node->loop_kind != tir::ForKind::serial || !is_const_int(node->min, 0)) {
    return illegal("`{}` is {}: only serial loops that start at 0 are split", loop.var->name,
                   tir::for_kind_name(node->loop_kind));
  }
  int64_t known = 0;
  const bool is_known = as_const_int(factor, &known);
  const Facts facts = facts_at(s, node);
  if (is_known ? known < 1 : prove_le(make_int(1), factor, facts) != Truth::yes) {
    return illegal("a factor of `{}` that may be below 1: {}", loop.var->name, to_string(factor));
  }
  if (tail == Tail::powers && (!is_known || known > 64)) {
    return illegal("the factor of `powers` is a constant up to 64, not {}", to_string(factor));
  }
  const Expr rest = simplify(floor_mod(node->extent, factor), facts);
  if (tail == Tail::proven && !is_const_int(rest, 0)) {
    return illegal("it is not proven that {} divides the extent of `{}`, which is {}",
                   to_string(factor), loop.var->name, to_string(node->extent));
  }
  const bool repeats = tail == Tail::separate || tail == Tail::vector || tail == Tail::powers;
  if (repeats && !is_const_int(rest, 0)) {
    if (const tir::BlockNode* block = begun_in(*node)) {
      return illegal(
          "the rest of `{}` would begin the reduction of `{}` again: "
          "decompose_reduction comes first",
          loop.var->name, block->name);
    }
  }
  Split split(s, *node, factor, facts);
  Stmt made = split.run(tail);
  const std::vector<Loop> loops = split.made_;
  replace(s, node, std::move(made));
  std::vector<Arg> results(loops.begin(), loops.end());
  note(s, "split", {Arg(loop), Arg(factor), Arg(std::string(name_of(tail)))}, std::move(results));
  return loops;
}

}  // namespace repose::schedule
