// Reductions as loops see them.
#include "schedule/reduction.h"

#include <algorithm>

#include "schedule/dependence.h"

namespace repose::schedule {

using te::Reducer;
using tir::ForNode;
using tir::IterKind;
using tir::Stmt;

// ---- Conditions
// ----------------------------------------------------------------------------------

std::vector<Expr> conjuncts_of(const Expr& condition) {
  if (!condition) return {};
  if (condition->kind != ExprKind::logical_and) return {condition};
  std::vector<Expr> all = conjuncts_of(condition->args[0]);
  for (Expr& e : conjuncts_of(condition->args[1])) all.push_back(std::move(e));
  return all;
}

Expr conjunction_of(const std::vector<Expr>& conjuncts) {
  Expr all;
  for (const Expr& e : conjuncts) all = all ? logical_and(all, e) : e;
  return all;
}

bool has_load(const Expr& e) {
  bool found = false;
  visit(e, [&](const Expr& node) {
    found = found || node->kind == ExprKind::load;
    return !found;
  });
  return found;
}

bool loads(const Expr& e, const Buffer& buffer) {
  bool found = false;
  visit(e, [&](const Expr& node) {
    const auto* load = as<LoadNode>(node);
    found = found || (load && load->buffer == buffer);
    return !found;
  });
  return found;
}

// ---- Steps
// ---------------------------------------------------------------------------------------

bool same_indices(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Expr& x, const Expr& y) { return structural_equal(x, y); });
}

namespace {

Reducer reducer_of(ExprKind kind) {
  switch (kind) {
    case ExprKind::add:
      return Reducer::sum;
    case ExprKind::mul:
      return Reducer::prod;
    case ExprKind::min:
      return Reducer::min;
    case ExprKind::max:
      return Reducer::max;
    default:
      return Reducer::none;
  }
}

// Takes what is stored apart into the accumulator and what is combined with it.
Reducer match_step(const Expr& stored, Expr* accumulator, Expr* value) {
  if (const auto* call = as<CallNode>(stored)) {
    if (call->intrinsic != Intrinsic::fma) return Reducer::none;
    *accumulator = call->args[2];
    *value = call->args[0] * call->args[1];
    return Reducer::sum;
  }
  const Reducer reducer = reducer_of(stored->kind);
  if (reducer == Reducer::none) return reducer;
  *accumulator = stored->args[0];
  *value = stored->args[1];
  return reducer;
}

}  // namespace

std::optional<Accumulation> accumulation_of(const tir::BlockNode& block) {
  const auto* store = tir::as<tir::StoreNode>(block.body);
  if (!store || store->predicate) return std::nullopt;
  Accumulation result;
  result.store = store;
  Expr accumulator;
  result.reducer = match_step(store->value, &accumulator, &result.value);
  const auto* load = result.reducer == Reducer::none ? nullptr : as<LoadNode>(accumulator);
  if (!load || load->buffer != store->buffer || !same_indices(load->args, store->indices) ||
      loads(result.value, store->buffer)) {
    return std::nullopt;
  }
  if (!block.init) return result;
  const auto* init = tir::as<tir::StoreNode>(block.init);
  if (!init || init->predicate || init->buffer != store->buffer ||
      !same_indices(init->indices, store->indices)) {
    return std::nullopt;
  }
  result.init = init->value;
  return result;
}

const ForNode* outermost_reduction_loop(const Scheduled& s, const tir::BlockNode& block) {
  const std::vector<Stmt> path = path_to(s.func->body, &block);
  VarMap lets;
  for (const Stmt& at : path) {
    if (const auto* let = tir::as<tir::LetNode>(at)) {
      lets[let->var.get()] = substitute(let->value, lets);
    }
  }
  for (const Stmt& at : path) {
    const auto* loop = tir::as<ForNode>(at);
    if (!loop) continue;
    for (const tir::IterVar& iter : block.iters) {
      if (iter.kind == IterKind::reduce && uses_var(substitute(iter.value, lets), loop->var)) {
        return loop;
      }
    }
  }
  return nullptr;
}

// ---- Nests
// ---------------------------------------------------------------------------------------

bool ReductionNest::feeds(const Var& loop, IterKind kind) const {
  return std::any_of(axes.begin(), axes.end(), [&](const tir::IterVar& axis) {
    return axis.kind == kind && uses_var(axis.value, loop);
  });
}

namespace {

// What one statement of the way from the loop to the block means for the block.
Result<void> add_to_nest(ReductionNest& nest, const Stmt& at, const Stmt& next) {
  if (const auto* loop = tir::as<ForNode>(at)) {
    nest.loops.push_back(loop);
  } else if (const auto* let = tir::as<tir::LetNode>(at)) {
    nest.lets[let->var.get()] = substitute(let->value, nest.lets);
  } else if (const auto* branch = tir::as<tir::IfNode>(at)) {
    const Expr condition = substitute(branch->condition, nest.lets);
    if (next == branch->then_body) {
      for (Expr& e : conjuncts_of(condition)) nest.conditions.push_back(std::move(e));
    } else {
      nest.conditions.push_back(make_not(condition));
    }
  } else if (const auto* block = tir::as<tir::BlockNode>(at)) {
    return illegal("`{}` stands in the block `{}`", nest.block->name, block->name);
  } else if (at->kind == tir::StmtKind::while_) {
    return illegal("`{}` stands in a `while`", nest.block->name);
  }
  return {};
}

void add_axes(ReductionNest& nest) {
  VarMap values = nest.lets;
  for (const tir::IterVar& iter : nest.block->iters) {
    tir::IterVar axis = iter;
    for (Expr* e : {&axis.min, &axis.extent, &axis.value}) *e = substitute(*e, nest.lets);
    values[iter.var.get()] = axis.value;
    nest.axes.push_back(std::move(axis));
  }
  for (const Expr& e : conjuncts_of(nest.block->predicate)) {
    nest.conditions.push_back(substitute(e, values));
  }
}

}  // namespace

Result<ReductionNest> reduction_nest(const Scheduled& s, const tir::BlockNode& block,
                                     const ForNode& loop) {
  ReductionNest nest;
  nest.block = &block;
  bool inside = false;
  const std::vector<Stmt> path = path_to(s.func->body, &block);
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    inside = inside || path[i].get() == &loop;
    if (inside) {
      auto added = add_to_nest(nest, path[i], path[i + 1]);
      if (!added.ok()) return added.errors();
    } else if (const auto* let = tir::as<tir::LetNode>(path[i])) {
      nest.lets_around[let->var.get()] = substitute(let->value, nest.lets_around);
    }
  }
  if (!inside) return illegal("`{}` does not stand in `{}`", block.name, loop.var->name);
  for (const tir::IterVar& iter : block.iters) {
    if (iter.kind == IterKind::spatial || iter.kind == IterKind::reduce) continue;
    return illegal("the axis `{}` of `{}` is {}, neither spatial nor of a reduction",
                   iter.var->name, block.name, tir::iter_kind_name(iter.kind));
  }
  add_axes(nest);
  return nest;
}

// ---- Beginnings
// ----------------------------------------------------------------------------------

namespace {

// What is known in the first step of a reduction that has steps.
Facts facts_in_first_step(const Scheduled& s, const ReductionNest& nest) {
  Facts facts = facts_at(s, nest.loops[0]);
  for (const ForNode* loop : nest.loops) {
    facts.assume(le(substitute(loop->min, nest.lets), loop->var));
    facts.assume(lt(loop->var, substitute(loop->min + loop->extent, nest.lets)));
  }
  for (const tir::IterVar& axis : nest.axes) {
    if (axis.kind != IterKind::reduce) continue;
    facts.assume(lt(make_int(0), axis.extent));
    facts.assume(eq(axis.value, axis.min));
  }
  return facts;
}

// The conditions that tell elements. Those that tell steps have to hold in the first one: then they
// only keep the reduction from going beyond its domain.
Result<std::vector<Expr>> conditions_on_elements(const Scheduled& s, const ReductionNest& nest,
                                                 const std::vector<const ForNode*>& steps) {
  std::vector<Expr> kept;
  std::optional<Facts> facts;
  for (const Expr& e : nest.conditions) {
    const bool tells_steps = std::any_of(
        steps.begin(), steps.end(), [&](const ForNode* loop) { return uses_var(e, loop->var); });
    if (!tells_steps) {
      kept.push_back(e);
      continue;
    }
    if (!facts) facts = facts_in_first_step(s, nest);
    if (prove(e, *facts) != Truth::yes) {
      return illegal(
          "it is not proven that `{}` runs in the first step of its reduction: only "
          "where {}",
          nest.block->name, to_string(e));
    }
  }
  return kept;
}

bool uses_loop(const ForNode& user, const ReductionNest& nest, const Var& v) {
  return uses_var(substitute(user.min + user.extent, nest.lets), v);
}

// Does anything that tells elements depend on the loop?
bool is_needed(const ForNode& loop, const ReductionNest& nest, const Beginning& beginning) {
  if (nest.feeds(loop.var, IterKind::spatial)) return true;
  for (const Expr& e : beginning.conditions) {
    if (uses_var(e, loop.var)) return true;
  }
  return std::any_of(beginning.loops.begin(), beginning.loops.end(),
                     [&](const ForNode* inner) { return uses_loop(*inner, nest, loop.var); });
}

// Loops that feed no axis, by how often they run.
struct OtherLoops {
  std::vector<const ForNode*> once, at_most_once;
};

Result<OtherLoops> other_loops(const Scheduled& s, const ReductionNest& nest) {
  OtherLoops others;
  for (const ForNode* loop : nest.loops) {
    const bool spatial = nest.feeds(loop->var, IterKind::spatial);
    const bool reduces = nest.feeds(loop->var, IterKind::reduce);
    if (spatial && reduces) {
      return illegal("`{}` feeds spatial axes and the reduction of `{}`", loop->var->name,
                     nest.block->name);
    }
    if (spatial || reduces) continue;
    const Expr extent = substitute(loop->extent, nest.lets);
    const Facts facts = facts_at(s, loop);
    if (prove_le(extent, make_int(1), facts) != Truth::yes) {
      return illegal(
          "`{}` begins again in every iteration of `{}`, on which none of its axes "
          "depends",
          nest.block->name, loop->var->name);
    }
    const bool is_certain = prove_le(make_int(1), extent, facts) == Truth::yes;
    (is_certain ? others.once : others.at_most_once).push_back(loop);
  }
  return others;
}

bool contains(const std::vector<const ForNode*>& loops, const ForNode* loop) {
  return std::find(loops.begin(), loops.end(), loop) != loops.end();
}

}  // namespace

Result<Beginning> beginning_of(const Scheduled& s, const ReductionNest& nest) {
  for (const tir::IterVar& axis : nest.axes) {
    if (!has_load(axis.value)) continue;
    return illegal("the axis `{}` of `{}` has a value that is read from memory: {}", axis.var->name,
                   nest.block->name, to_string(axis.value));
  }
  Beginning beginning;
  for (const Expr& e : nest.conditions) {
    if (!has_load(e)) continue;
    return illegal("`{}` runs on a condition that is read from memory: {}", nest.block->name,
                   to_string(e));
  }
  REPOSE_TRY(others, other_loops(s, nest));
  std::vector<const ForNode*> steps;
  for (const ForNode* loop : nest.loops) {
    if (nest.feeds(loop->var, IterKind::reduce)) steps.push_back(loop);
  }
  REPOSE_TRY(conditions, conditions_on_elements(s, nest, steps));
  beginning.conditions = std::move(conditions);
  for (size_t i = nest.loops.size(); i-- > 0;) {
    const ForNode* loop = nest.loops[i];
    // Where a loop may not run at all, nothing begins either.
    if (!is_needed(*loop, nest, beginning) && !contains(others.at_most_once, loop)) continue;
    if (contains(steps, loop)) {
      return illegal("the loops over elements of `{}` depend on `{}`, a loop of its reduction",
                     nest.block->name, loop->var->name);
    }
    if (has_load(substitute(loop->min + loop->extent, nest.lets))) {
      return illegal("the extent of `{}` is read from memory", loop->var->name);
    }
    beginning.loops.insert(beginning.loops.begin(), loop);
  }
  return beginning;
}

Stmt in_loops(const Beginning& beginning, const ReductionNest& nest, Stmt body) {
  for (size_t i = beginning.loops.size(); i-- > 0;) {
    const ForNode& loop = *beginning.loops[i];
    body = tir::make<ForNode>(loop.var, substitute(loop.min, nest.lets),
                              substitute(loop.extent, nest.lets), loop.loop_kind, std::move(body),
                              loop.thread, loop.annotations);
  }
  return body;
}

tir::BlockNode::Fields block_over(const Beginning& beginning, const ReductionNest& nest) {
  tir::BlockNode::Fields fields;
  fields.span = nest.block->span;
  fields.predicate = conjunction_of(beginning.conditions);
  for (const tir::IterVar& axis : nest.axes) {
    if (axis.kind == IterKind::spatial) fields.iters.push_back(axis);
  }
  return fields;
}

std::string quoted(const tir::BlockNode* block) {
  return block ? fmt::format("`{}`", block->name) : "a statement";
}

std::vector<Access> accesses_to(const Scheduled& s, const Stmt& root, const Buffer& buffer) {
  const Memory memory(s.func);
  std::vector<Access> found = accesses_in(root);
  std::erase_if(found, [&](const Access& a) { return !memory.same(a.buffer, buffer); });
  return found;
}

Result<void> check_init(const Scheduled& s, const ForNode& loop, const tir::BlockNode& block) {
  for (const Access& load : accesses_in(block.init)) {
    if (load.is_store) continue;
    for (const Access& a : accesses_to(s, Stmt(&loop), load.buffer)) {
      if (!a.is_store) continue;
      return illegal("`{}` begins with values of `{}`, which {} writes in `{}`", block.name,
                     load.buffer->name, quoted(a.block), loop.var->name);
    }
  }
  return check_transparent(Stmt(&loop));
}

}  // namespace repose::schedule
