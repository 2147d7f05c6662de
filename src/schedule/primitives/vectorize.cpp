// Iterations in the lanes of vectors.
#include "schedule/primitives/vectorize.h"

#include "schedule/region.h"

namespace repose::schedule {

Result<void> vectorize(Scheduled& s, const Loop& loop) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(node);
  int64_t lanes = 0;
  if (node->loop_kind != tir::ForKind::serial) {
    return illegal("`{}` is {} already", loop.var->name, tir::for_kind_name(node->loop_kind));
  }
  if (!as_const_int(node->extent, &lanes) || lanes < 1 || lanes > 1024) {
    return illegal("a vector has a constant number of lanes up to 1024, `{}` has {} iterations",
                   loop.var->name, to_string(node->extent));
  }
  const tir::StmtNode* other = nullptr;
  tir::visit_stmts(node->body, [&](const tir::Stmt& inner) {
    if (inner->kind == tir::StmtKind::for_ || inner->kind == tir::StmtKind::while_) {
      other = inner.get();
    }
    return !other;
  });
  if (other) return illegal("another loop stands in `{}`", loop.var->name);
  for (const tir::BlockNode* block : blocks_in(node->body)) {
    if (block->init) {
      return illegal("the reduction of `{}` begins in `{}`: decompose_reduction comes first",
                     block->name, loop.var->name);
    }
  }
  auto independent = check_independent(s, *node);
  if (!independent.ok()) return independent.errors();
  replace(s, node,
          tir::make<tir::ForNode>(node->var, node->min, node->extent, tir::ForKind::vectorized,
                                  node->body, "", node->annotations, node->span));
  note(s, "vectorize", {Arg(loop)});
  return {};
}

}  // namespace repose::schedule
