// Iterations on all threads.
#include "schedule/primitives/parallel.h"

#include "schedule/region.h"

namespace repose::schedule {

Result<void> parallel(Scheduled& s, const Loop& loop, const Expr& grain) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(node);
  if (node->loop_kind != tir::ForKind::serial && node->loop_kind != tir::ForKind::parallel) {
    return illegal("`{}` is {} already", loop.var->name, tir::for_kind_name(node->loop_kind));
  }
  if (prove_le(make_int(1), grain, facts_at(s, node)) != Truth::yes) {
    return illegal("the grain of `{}` may be below 1: {}", loop.var->name, to_string(grain));
  }
  if (node->loop_kind != tir::ForKind::parallel) {
    auto independent = check_independent(s, *node);
    if (!independent.ok()) return independent.errors();
  }
  Attrs annotations;
  if (!is_const_int(grain, 1)) annotations.set("grain", grain);
  replace(s, node,
          tir::make<tir::ForNode>(node->var, node->min, node->extent, tir::ForKind::parallel,
                                  node->body, "", std::move(annotations), node->span));
  note(s, "parallel", {Arg(loop), Arg(grain)});
  return {};
}

}  // namespace repose::schedule
