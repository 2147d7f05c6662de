// Iterations written out.
#include "schedule/primitives/unroll.h"

namespace repose::schedule {

namespace {
constexpr int64_t max_unrolled = 64;  // iterations: code grows with each
}

Result<void> unroll(Scheduled& s, const Loop& loop) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(node);
  if (node->loop_kind != tir::ForKind::serial) {
    return illegal("`{}` is {} already", loop.var->name, tir::for_kind_name(node->loop_kind));
  }
  int64_t extent = 0;
  if (!as_const_int(node->extent, &extent) || extent > max_unrolled) {
    return illegal("a loop of at most {} iterations is unrolled, `{}` has {}", max_unrolled,
                   loop.var->name, to_string(node->extent));
  }
  replace(s, node,
          tir::make<tir::ForNode>(node->var, node->min, node->extent, tir::ForKind::unrolled,
                                  node->body, "", node->annotations, node->span));
  note(s, "unroll", {Arg(loop)});
  return {};
}

}  // namespace repose::schedule
