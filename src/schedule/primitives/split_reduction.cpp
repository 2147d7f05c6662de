// Partial results of a reduction, combined at its end.
#include "schedule/primitives/split_reduction.h"

#include <algorithm>

#include "schedule/block_fields.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::IterKind;
using tir::Stmt;

namespace {

// Makes the block of the partial results, and the one that combines them.
class ReductionSplit {
 public:
  ReductionSplit(Scheduled& s, const ReductionNest& nest, const Accumulation& step,
                 const ForNode& loop, int64_t parts)
      : s_(s), nest_(nest), block_(*nest.block), step_(step), loop_(loop), parts_(parts) {
    const Buffer& target = step.store->buffer;
    std::vector<Expr> shape = target->shape;
    shape.push_back(make_int(parts));
    buffer_ = make_buffer(s.fresh(target->name + "_parts"), std::move(shape), target->dtype,
                          Scope::workspace, {}, nullptr, 64);
  }

  const Buffer& buffer() const { return buffer_; }

  Result<Stmt> partial() {
    tir::BlockNode::Fields fields = block_.fields();
    auto axes = split_axes(fields);
    if (!axes.ok()) return axes.errors();
    std::vector<Expr> of_block, of_step;
    for (const Expr& e : conjuncts_of(fields.predicate)) {
      const bool tells_parts = uses_var(substitute(e, resolved_values()), loop_.var);
      if (!tells_parts) {
        of_block.push_back(e);
        continue;
      }
      REPOSE_TRY(condition, over_axes(e));
      of_step.push_back(std::move(condition));
    }
    fields.predicate = conjunction_of(of_block);
    const std::vector<Expr> at = indices_of(part_);
    fields.init = tir::make<tir::StoreNode>(
        buffer_, at, te::identity_of(step_.reducer, buffer_->dtype), block_.init->span);
    fields.body = tir::make<tir::StoreNode>(buffer_, at, substitute(partial_value(at), values_),
                                            step_.store->span);
    // Every part begins, those beyond the end of the reduction too: only steps are conditional.
    if (!of_step.empty()) {
      fields.body = tir::make<tir::IfNode>(conjunction_of(of_step), fields.body);
    }
    return make_block(std::move(fields));
  }

  // combine(init, part 0, part 1, …)
  Stmt combining(const Beginning& beginning) {
    tir::BlockNode::Fields fields = block_over(beginning, nest_);
    fields.name = block_.name + "_combine";
    Var axis = axis_of(loop_);
    fields.iters.push_back({axis, make_int(0), make_int(parts_), IterKind::reduce, loop_.var});
    const tir::StoreNode& store = *step_.store;
    fields.init = block_.init;
    fields.body =
        tir::make<tir::StoreNode>(store.buffer, store.indices,
                                  te::combine(step_.reducer, make_load(store.buffer, store.indices),
                                              make_load(buffer_, indices_of(axis))),
                                  store.span);
    Stmt parts = tir::make<ForNode>(loop_.var, make_int(0), make_int(parts_), tir::ForKind::serial,
                                    make_block(std::move(fields)));
    return copied(s_, without_vectors(in_loops(beginning, nest_, std::move(parts))));
  }

 private:
  // A loop stands inside now.
  static Stmt without_vectors(const Stmt& s) {
    const auto* loop = tir::as<ForNode>(s);
    if (!loop) return s;
    Stmt body = without_vectors(loop->body);
    if (loop->loop_kind != tir::ForKind::vectorized) return with_body(*loop, std::move(body));
    return tir::make<ForNode>(loop->var, loop->min, loop->extent, tir::ForKind::serial,
                              std::move(body));
  }

  static Var axis_of(const ForNode& loop) {
    return make_var("v_" + loop.var->name, dtypes::index, VarRole::loop);
  }

  std::vector<Expr> indices_of(const Var& part) const {
    std::vector<Expr> indices = step_.store->indices;
    indices.push_back(part);
    return indices;
  }

  // The step, over the axes that the block had.
  Expr partial_value(const std::vector<Expr>& at) const {
    return rewrite(step_.store->value, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      return load && load->buffer == step_.store->buffer ? make_load(buffer_, at) : node;
    });
  }

  // Values of the block's axes over loops and parameters.
  VarMap resolved_values() const {
    VarMap values = nest_.lets_around;
    for (const auto& [v, value] : nest_.lets) {
      values[v] = substitute(value, nest_.lets_around);
    }
    for (size_t i = 0; i < nest_.axes.size(); ++i) {
      values[block_.iters[i].var.get()] = substitute(nest_.axes[i].value, nest_.lets_around);
    }
    return values;
  }

  // An axis for the parts, and one for each loop that feeds, with the loop, an axis of the
  // reduction, which these axes replace.
  Result<void> split_axes(tir::BlockNode::Fields& fields) {
    std::vector<tir::IterVar> spatial, reduce;
    std::vector<const ForNode*> steps;
    for (size_t i = 0; i < nest_.axes.size(); ++i) {
      const tir::IterVar& axis = nest_.axes[i];
      if (!uses_var(axis.value, loop_.var)) {
        (axis.kind == IterKind::spatial ? spatial : reduce).push_back(fields.iters[i]);
        if (fields.iters[i].value->kind == ExprKind::var) {
          axes_of_loops_[as<VarNode>(fields.iters[i].value)] = axis.var;
        }
        continue;
      }
      for (const ForNode* loop : nest_.loops) {
        if (loop == &loop_ || !uses_var(axis.value, loop->var)) continue;
        if (std::find(steps.begin(), steps.end(), loop) == steps.end()) steps.push_back(loop);
      }
    }
    for (const ForNode* loop : steps) {
      auto added = add_axis(*loop, IterKind::reduce, reduce);
      if (!added.ok()) return added.errors();
    }
    auto added = add_axis(loop_, IterKind::spatial, spatial);
    if (!added.ok()) return added.errors();
    part_ = spatial.back().var;
    if (reduce.empty()) {  // a step for each part
      reduce.push_back({axis_of(loop_), make_int(0), make_int(1), IterKind::reduce, make_int(0)});
    }
    VarMap loops;
    for (const auto& [loop, axis] : axes_of_loops_) loops.emplace(loop, axis);
    for (const auto& [axis, value] : resolved_values()) values_[axis] = substitute(value, loops);
    fields.iters = std::move(spatial);
    fields.iters.insert(fields.iters.end(), reduce.begin(), reduce.end());
    // The axes that stay keep their own names in the body.
    for (const tir::IterVar& iter : fields.iters) values_.erase(iter.var.get());
    return {};
  }

  Result<void> add_axis(const ForNode& loop, IterKind kind, std::vector<tir::IterVar>& axes) {
    if (!is_const_int(loop.min, 0)) {
      return illegal("`{}` begins at {}, not at 0", loop.var->name, to_string(loop.min));
    }
    const Expr extent = substitute(loop.extent, nest_.lets);
    for (const ForNode* other : nest_.loops) {
      if (!uses_var(extent, other->var)) continue;
      return illegal("the extent of `{}` depends on `{}`", loop.var->name, other->var->name);
    }
    Var axis = axis_of(loop);
    axes.push_back({axis, make_int(0), extent, kind, loop.var});
    axes_of_loops_[loop.var.get()] = axis;
    return {};
  }

  // A condition of the block as one of its body.
  Result<Expr> over_axes(const Expr& condition) const {
    VarMap axes = values_;
    for (const auto& [loop, axis] : axes_of_loops_) axes.emplace(loop, axis);
    const Expr result = substitute(condition, axes);
    for (const Var& v : free_vars(result)) {
      for (const ForNode* loop : loops_around(s_, &block_)) {
        if (v != loop->var) continue;
        return illegal("`{}` runs where {}, and `{}` is no axis of it", block_.name,
                       to_string(condition), v->name);
      }
    }
    return result;
  }

  Scheduled& s_;
  const ReductionNest& nest_;
  const tir::BlockNode& block_;
  const Accumulation& step_;
  const ForNode& loop_;
  const int64_t parts_;
  Buffer buffer_;
  Var part_;                                               // the axis of the parts
  std::unordered_map<const VarNode*, Var> axes_of_loops_;  // that are axes as they are
  VarMap values_;  // of axes and `let`s that are gone, over axes
};

// That nothing else sees the target while the reduction runs.
Result<void> check_alone(const Scheduled& s, const ForNode& loop, const tir::BlockNode& block,
                         const Buffer& target) {
  if (is_made_in(Stmt(&loop), target)) {
    return illegal("`{}` exists only in iterations of `{}`", target->name, loop.var->name);
  }
  for (const Access& a : accesses_to(s, Stmt(&loop), target)) {
    if (a.block == &block && a.buffer == target) continue;
    return illegal("{} uses `{}` in `{}`, a loop of its reduction", quoted(a.block), target->name,
                   loop.var->name);
  }
  return {};
}

// That all parts begin: the way to the block does not depend on steps.
Result<void> check_way(const ReductionNest& nest) {
  const size_t own = conjuncts_of(nest.block->predicate).size();
  for (size_t i = 0; i + own < nest.conditions.size(); ++i) {
    for (const ForNode* loop : nest.loops) {
      if (!nest.feeds(loop->var, IterKind::reduce)) continue;
      if (!uses_var(nest.conditions[i], loop->var)) continue;
      return illegal("`{}` stands in an `if` that depends on `{}`, a loop of its reduction",
                     nest.block->name, loop->var->name);
    }
  }
  return {};
}

// Makes the buffer exist as long as the other one does.
void allocate_beside(Scheduled& s, const Buffer& made, const Buffer& other) {
  const tir::StmtNode* place = s.func->body.get();
  tir::visit_stmts(s.func->body, [&](const Stmt& at) {
    const auto* allocate = tir::as<tir::AllocateNode>(at);
    if (allocate && allocate->buffer == other) place = allocate->body.get();
    return true;
  });
  replace(s, place, tir::make<tir::AllocateNode>(made, Stmt(place)));
}

}  // namespace

Result<Block> split_reduction(Scheduled& s, const Block& block, const Loop& loop) {
  REPOSE_FIND_BLOCK(node, s, block);
  REPOSE_FIND_LOOP(over_parts, s, loop);
  const Ref<const tir::StmtNode> keep(s.func->body);
  const auto step = accumulation_of(*node);
  if (!step || !node->match_buffers.empty() || !node->alloc_buffers.empty()) {
    return illegal("`{}` is no sum, product, minimum or maximum of an element", block.name);
  }
  if (!step->init) {
    return illegal("`{}` begins elsewhere: split_reduction comes before decompose_reduction",
                   block.name);
  }
  int64_t parts = 0;
  if (!as_const_int(over_parts->extent, &parts) || parts < 1) {
    return illegal("the number of parts is a constant, `{}` has {} iterations", loop.var->name,
                   to_string(over_parts->extent));
  }
  const ForNode* outermost = outermost_reduction_loop(s, *node);
  if (!outermost || path_to(Stmt(outermost), over_parts).empty()) {
    return illegal("`{}` is no loop of the reduction of `{}`", loop.var->name, block.name);
  }
  REPOSE_TRY(nest, reduction_nest(s, *node, *outermost));
  if (!nest.feeds(loop.var, IterKind::reduce)) {
    return illegal("`{}` is no loop of the reduction of `{}`", loop.var->name, block.name);
  }
  const Buffer target = step->store->buffer;
  REPOSE_TRY(beginning, beginning_of(s, nest));
  for (const auto& check : {check_alone(s, *outermost, *node, target), check_way(nest),
                            check_init(s, *outermost, *node)}) {
    if (!check.ok()) return check.errors();
  }
  Scheduled next = s;
  ReductionSplit split(next, nest, *step, *over_parts, parts);
  REPOSE_TRY(partial, split.partial());
  Stmt combining = split.combining(beginning);
  const Block made{blocks_in(combining)[0]->name};
  replace(next, outermost, tir::make_seq({replaced(Stmt(outermost), node, partial), combining}));
  allocate_beside(next, split.buffer(), target);
  s = std::move(next);
  note(s, "split_reduction", {Arg(block), Arg(loop)}, {Arg(made)});
  return made;
}

}  // namespace repose::schedule
