// Lanes of a vector, combined.
#include "schedule/primitives/combine_lanes.h"

#include <algorithm>

#include "schedule/block_fields.h"
#include "schedule/reduction.h"

namespace repose::schedule {

namespace {

constexpr int64_t max_lanes = 1024;  // as of vectorized loops

Intrinsic intrinsic_of(te::Reducer reducer) {
  switch (reducer) {
    case te::Reducer::prod:
      return Intrinsic::vector_reduce_mul;
    case te::Reducer::min:
      return Intrinsic::vector_reduce_min;
    case te::Reducer::max:
      return Intrinsic::vector_reduce_max;
    default:
      return Intrinsic::vector_reduce_add;
  }
}

// The load of the parts, whose last subscript, and no other, is the axis.
const LoadNode* parts_of(const Accumulation& step, const Var& axis) {
  const auto* load = as<LoadNode>(step.value);
  if (!load || load->args.empty() || load->args.back() != axis || !load->buffer->strides.empty()) {
    return nullptr;
  }
  for (size_t d = 0; d + 1 < load->args.size(); ++d) {
    if (uses_var(load->args[d], axis)) return nullptr;
  }
  return load;
}

}  // namespace

Result<void> combine_lanes(Scheduled& s, const Block& block) {
  REPOSE_FIND_BLOCK(node, s, block);
  const Ref<const tir::StmtNode> keep(s.func->body);
  const auto step = accumulation_of(*node);
  if (!step || !step->init) {
    return illegal("`{}` is no sum, product, minimum or maximum that begins in it", block.name);
  }
  const std::vector<const tir::ForNode*> around = loops_around(s, node);
  const tir::ForNode* loop = around.empty() ? nullptr : around.back();
  tir::BlockNode::Fields fields = node->fields();
  const auto own = std::find_if(fields.iters.begin(), fields.iters.end(), [&](const auto& iter) {
    return loop && iter.kind == tir::IterKind::reduce && iter.value == loop->var;
  });
  if (!loop || loop->body.get() != node || own == fields.iters.end() ||
      !is_const_int(loop->min, 0)) {
    return illegal("`{}` does not stand alone in a loop over what it combines", block.name);
  }
  const Var axis = own->var;
  fields.iters.erase(own);
  for (const tir::IterVar& other : fields.iters) {
    if (other.kind == tir::IterKind::spatial && !uses_var(other.value, loop->var)) continue;
    return illegal("`{}` combines along `{}` too", block.name, other.var->name);
  }
  if (fields.predicate &&
      (uses_var(fields.predicate, loop->var) || uses_var(fields.predicate, axis))) {
    return illegal("`{}` leaves some iterations of `{}` out", block.name, loop->var->name);
  }
  const LoadNode* parts = parts_of(*step, axis);
  int64_t lanes = 0;
  if (!parts || !as_const_int(loop->extent, &lanes) ||
      !is_const_int(parts->buffer->shape.back(), lanes) || lanes < 2 || lanes > max_lanes) {
    return illegal(
        "`{}` does not combine all elements along the last dimension of a buffer, from "
        "2 to {}",
        block.name, max_lanes);
  }
  std::vector<Expr> indices = parts->args;
  indices.back() = make_ramp(make_int(0), make_int(1), static_cast<int>(lanes));
  const Expr all =
      make_call(intrinsic_of(step->reducer), make_load(parts->buffer, std::move(indices)));
  fields.body =
      tir::make<tir::StoreNode>(step->store->buffer, step->store->indices,
                                te::combine(step->reducer, step->init, all), step->store->span);
  fields.init = nullptr;
  replace(s, loop, make_block(std::move(fields)));
  note(s, "combine_lanes", {Arg(block)});
  return {};
}

}  // namespace repose::schedule
