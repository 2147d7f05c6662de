// Making one loop of two.
#include "schedule/primitives/fuse.h"

#include "schedule/block_fields.h"
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

}  // namespace

Result<Loop> fuse(Scheduled& s, const Loop& outer, const Loop& inner) {
  REPOSE_FIND_LOOP(a, s, outer);
  REPOSE_FIND_LOOP(b, s, inner);
  const Ref<const tir::StmtNode> keep(a);
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
  Var fused = fresh_loop_var(s, a->var->name + "_" + b->var->name);
  const Expr extent = simplify(a->extent * b->extent, facts);
  // What stands between the two goes inside.
  Stmt body = tir::as<ForNode>(with_inner_body(*a, b->body))->body;
  AxisMerge merge(*a, *b, fused, extent);
  if (Stmt merged = merge.rewrite(body); merge.fits) {
    body = std::move(merged);
  } else {
    // The old variables go on, so that what is known of them and what was made of them does too.
    Var high = make_var(a->var->name, dtypes::index, VarRole::let);
    Var low = make_var(b->var->name, dtypes::index, VarRole::let);
    s.known->let_in_range(high, a->extent);
    s.known->let_in_range(low, b->extent);
    body = tir::substitute(body, {{a->var.get(), high}, {b->var.get(), low}});
    body = tir::make<tir::LetNode>(low, floor_mod(fused, b->extent), std::move(body));
    body = tir::make<tir::LetNode>(high, floor_div(fused, b->extent), std::move(body));
  }
  replace(s, a, make_loop(s, fused, extent, std::move(body), a->loop_kind));
  note(s, "fuse", {Arg(outer), Arg(inner)}, {Arg(Loop{fused})});
  return Loop{fused};
}

}  // namespace repose::schedule
