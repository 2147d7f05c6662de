// Making one loop of two.
#include "schedule/primitives/fuse.h"

#include "schedule/block_fields.h"
#include "schedule/primitives/fuse_either.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::BlockNode;
using tir::ForNode;
using tir::Stmt;

namespace {

// Blocks of which the two loops are axes get one axis in their place, out of which both are cut.
class AxisMerge : public tir::StmtRewriter {
 public:
  AxisMerge(const ForNode& outer, const ForNode& inner, const Var& fused, const Expr& extent)
      : outer_(outer), inner_(inner), fused_(fused), extent_(extent) {}
  bool fits = true;

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* block = tir::as<BlockNode>(s);
    if (!block) {
      tir::visit_exprs_of(s, [&](const Expr& e) { see(e); });
      return tir::StmtRewriter::rewrite_stmt(s);
    }
    BlockNode::Fields fields = block->fields();
    tir::IterVar *high = nullptr, *low = nullptr;
    for (tir::IterVar& iter : fields.iters) {
      if (is_axis(iter, outer_)) {
        high = &iter;
      } else if (is_axis(iter, inner_)) {
        low = &iter;
      } else {
        see(iter.value);
      }
    }
    if (fields.predicate) see(fields.predicate);
    fits = fits && high && low && high->kind == low->kind && fields.alloc_buffers.empty() &&
           fields.match_buffers.empty();
    if (!fits) return s;
    Var axis = make_var(high->var->name + "_" + low->var->name, dtypes::index, VarRole::loop);
    const VarMap cut{{high->var.get(), floor_div(axis, inner_.extent)},
                     {low->var.get(), floor_mod(axis, inner_.extent)}};
    fields.body = tir::substitute(fields.body, cut);
    if (fields.init) fields.init = tir::substitute(fields.init, cut);
    if (fields.predicate) fields.predicate = substitute(fields.predicate, cut);
    *high = {axis, make_int(0), extent_, high->kind, fused_};
    fields.iters.erase(fields.iters.begin() + (low - fields.iters.data()));
    return canonical_block(std::move(fields));
  }

 private:
  void see(const Expr& e) { fits = fits && !uses_var(e, outer_.var) && !uses_var(e, inner_.var); }
  static bool is_axis(const tir::IterVar& iter, const ForNode& loop) {
    return iter.value == loop.var && is_const_int(iter.min, 0) &&
           structural_equal(canonical(iter.extent), canonical(loop.extent));
  }

  const ForNode& outer_;
  const ForNode& inner_;
  const Var& fused_;
  const Expr& extent_;
};

// A divisor that may be 0; null: there is none.
Expr unsure_divisor(const Expr& e, const Facts& facts) {
  Expr found;
  visit(e, [&](const Expr& part) {
    const bool divides = part->kind == ExprKind::floor_div || part->kind == ExprKind::floor_mod;
    if (divides && prove_nonzero(part->args[1], facts) != Truth::yes) found = part->args[1];
    return !found;
  });
  return found;
}

// A reduction over nothing gives its initial value: where the loop runs over elements too, nobody
// would know which ones.
Result<void> check_beginnings(const ForNode& outer, const ForNode& inner, const Facts& facts) {
  for (const tir::BlockNode* block : blocks_in(inner.body)) {
    const bool by_outer = moves_reduction(outer, *block), by_inner = moves_reduction(inner, *block);
    // Of a condition nobody would know what is about steps.
    const bool mixes = by_outer != by_inner || (by_outer && block->predicate);
    if (!block->init || !mixes) continue;
    const ForNode& steps = by_outer ? outer : inner;
    const Expr times = by_outer && by_inner ? min(outer.extent, inner.extent) : steps.extent;
    if (prove_le(make_int(1), times, facts) == Truth::yes) continue;
    return illegal(
        "the reduction of `{}` along `{}` may be over nothing: decompose_reduction comes "
        "first",
        block->name, steps.var->name);
  }
  return {};
}

// The two loops of a fusion, where it is legal; `b` is the inner one.
struct Pair {
  const ForNode* a;
  const ForNode* b;
  Facts facts;
};

Result<Pair> loops_to_fuse(Scheduled& s, const Loop& outer, const Loop& inner) {
  REPOSE_FIND_LOOP(a, s, outer);
  REPOSE_FIND_LOOP(b, s, inner);
  if (inner_body(*a).get() != b) {
    return illegal("`{}` does not stand directly in `{}`", inner.var->name, outer.var->name);
  }
  const bool fits = a->loop_kind == b->loop_kind && (a->loop_kind == tir::ForKind::serial ||
                                                     a->loop_kind == tir::ForKind::parallel);
  if (!fits || !is_const_int(a->min, 0) || !is_const_int(b->min, 0)) {
    return illegal("`{}` is {} and `{}` is {}: two serial or two parallel loops are fused",
                   outer.var->name, tir::for_kind_name(a->loop_kind), inner.var->name,
                   tir::for_kind_name(b->loop_kind));
  }
  bool depends = uses_var(b->extent, a->var);
  for (Stmt at = a->body; const auto* let = tir::as<tir::LetNode>(at); at = let->body) {
    depends = depends || uses_var(b->extent, let->var);
  }
  if (depends) {
    return illegal("the extent of `{}` depends on `{}`", inner.var->name, outer.var->name);
  }
  const Facts facts = facts_at(s, a);
  if (const Expr divisor = unsure_divisor(b->extent, facts)) {
    return illegal("the extent of `{}` divides by {}, which may be 0 where `{}` runs never",
                   inner.var->name, to_string(divisor), outer.var->name);
  }
  REPOSE_RUN(check_beginnings(*a, *b, facts));
  return Pair{a, b, facts};
}

// The old variables go on, so that what is known of them and what was made of them does too.
Stmt with_lets(Scheduled& s, const Pair& loops, Stmt body, const Expr& high_value,
               const Expr& low_value) {
  Var high = make_var(loops.a->var->name, dtypes::index, VarRole::let);
  Var low = make_var(loops.b->var->name, dtypes::index, VarRole::let);
  s.known->let_in_range(high, loops.a->extent);
  s.known->let_in_range(low, loops.b->extent);
  body = tir::substitute(body, {{loops.a->var.get(), high}, {loops.b->var.get(), low}});
  body = tir::make<tir::LetNode>(low, low_value, std::move(body));
  return tir::make<tir::LetNode>(high, high_value, std::move(body));
}

// What stands between the two goes inside.
Stmt body_of(const Pair& loops) {
  return tir::as<ForNode>(with_inner_body(*loops.a, loops.b->body))->body;
}

}  // namespace

Result<Loop> fuse(Scheduled& s, const Loop& outer, const Loop& inner) {
  REPOSE_TRY(loops, loops_to_fuse(s, outer, inner));
  const auto& [a, b, facts] = loops;
  const Ref<const tir::StmtNode> keep(a);
  Var fused = fresh_loop_var(s, a->var->name + "_" + b->var->name);
  const Expr extent = simplify(a->extent * b->extent, facts);
  Stmt body = body_of(loops);
  AxisMerge merge(*a, *b, fused, extent);
  if (Stmt merged = merge.rewrite(body); merge.fits) {
    body = std::move(merged);
  } else {
    body = with_lets(s, loops, std::move(body), floor_div(fused, b->extent),
                     floor_mod(fused, b->extent));
  }
  replace(s, a, make_loop(s, fused, extent, std::move(body), a->loop_kind));
  note(s, "fuse", {Arg(outer), Arg(inner)}, {Arg(Loop{fused})});
  return Loop{fused};
}

Result<Loop> fuse_either(Scheduled& s, const Loop& outer, const Loop& inner,
                         const Expr& condition) {
  REPOSE_TRY(loops, loops_to_fuse(s, outer, inner));
  const auto& [a, b, facts] = loops;
  const Ref<const tir::StmtNode> keep(a);
  if (a->loop_kind != tir::ForKind::parallel) {
    return illegal("`{}` is {}: only iterations of parallel loops change their order",
                   outer.var->name, tir::for_kind_name(a->loop_kind));
  }
  if (!condition->dtype.is_bool() || uses_var(condition, a->var) || uses_var(condition, b->var)) {
    return illegal("{} is no condition that holds for all iterations", to_string(condition));
  }
  if (const Expr divisor = unsure_divisor(a->extent, facts)) {
    return illegal("the extent of `{}` divides by {}, which may be 0", outer.var->name,
                   to_string(divisor));
  }
  Var fused = fresh_loop_var(s, a->var->name + "_" + b->var->name);
  Stmt body =
      with_lets(s, loops, body_of(loops),
                make_select(condition, floor_div(fused, b->extent), floor_mod(fused, a->extent)),
                make_select(condition, floor_mod(fused, b->extent), floor_div(fused, a->extent)));
  const Expr extent = simplify(a->extent * b->extent, facts);
  replace(s, a, make_loop(s, fused, extent, std::move(body), a->loop_kind));
  note(s, "fuse_either", {Arg(outer), Arg(inner), Arg(condition)}, {Arg(Loop{fused})});
  return Loop{fused};
}

}  // namespace repose::schedule
