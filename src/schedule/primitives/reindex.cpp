// A factor of a product, computed beforehand.
#include "schedule/primitives/reindex.h"

#include <algorithm>

#include "passes/tensor/stages.h"
#include "schedule/block_fields.h"
#include "schedule/dependence.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// The factor of `sum + a * b` that loads the buffer; null: none.
Expr factor_of(const tir::StoreNode& store, const Buffer& buffer) {
  if (store.value->kind != ExprKind::add) return nullptr;
  const Expr& product = store.value->args[1];
  if (product->kind != ExprKind::mul) return nullptr;
  const bool in_a = loads(product->args[0], buffer), in_b = loads(product->args[1], buffer);
  if (in_a == in_b) return nullptr;
  return product->args[in_a ? 0 : 1];
}

// What of a factor is computed beforehand: all of it but a conversion of an integer to one of more
// bits, which costs next to nothing where it is loaded, and memory where it is kept.
Expr kept_part(const Expr& factor) {
  if (factor->kind != ExprKind::cast || !factor->dtype.is_data_int()) return factor;
  const Expr& narrow = factor->args[0];
  const DType dtype = narrow->dtype;
  const bool widens = dtype.is_data_int() && !dtype.is_packed() && dtype.bits < factor->dtype.bits;
  return widens ? narrow : factor;
}

// The outermost of the loops around the block that holds nothing else.
Stmt nest_of(const Scheduled& s, const tir::BlockNode& block) {
  const std::vector<Stmt> path = path_to(s.func->body, &block);
  size_t i = path.size() - 1;
  while (i > 0 &&
         (path[i - 1]->kind == tir::StmtKind::for_ || path[i - 1]->kind == tir::StmtKind::let)) {
    --i;
  }
  return path[i];
}

bool is_factor(const Expr& divisor, const Expr& product) {
  if (structural_equal(divisor, product)) return true;
  return product->kind == ExprKind::mul &&
         (is_factor(divisor, product->args[0]) || is_factor(divisor, product->args[1]));
}

// Is the divisor a factor of the extent of an axis that `factor` uses? Where that runs, it is not
// 0.
bool divides_extent(const tir::BlockNode& block, const Expr& factor, const Expr& divisor) {
  return std::any_of(block.iters.begin(), block.iters.end(), [&](const tir::IterVar& iter) {
    return uses_var(factor, iter.var) && is_factor(divisor, iter.extent);
  });
}

// That the factor can be computed for every point of the axes before the nest: nothing in there
// changes what it loads, and the block runs at every one of them.
Result<void> check_factor(const Scheduled& s, const Stmt& nest, const tir::BlockNode& block,
                          const Expr& factor) {
  const Memory memory(s.func);
  for (const Buffer& loaded : loaded_buffers(factor)) {
    for (const Access& a : accesses_in(nest)) {
      if (!a.is_store || !memory.same(a.buffer, loaded)) continue;
      return illegal("{}, of which its factor reads `{}`", to_string(a), loaded->name);
    }
  }
  const std::vector<Stmt> path = path_to(nest, &block);
  // It is computed at points of the axes that it uses, where there are any.
  Facts facts = facts_at(s, nest.get());
  for (const tir::IterVar& iter : block.iters) {
    if (uses_var(factor, iter.var)) assume_in_range(facts, iter.var, iter.extent);
  }
  Expr divisor;
  visit(factor, [&](const Expr& e) {
    const bool divides = e->kind == ExprKind::floor_div || e->kind == ExprKind::floor_mod;
    if (!divides || divisor || divides_extent(block, factor, e->args[1])) return !divisor;
    if (prove_nonzero(e->args[1], facts) != Truth::yes) divisor = e->args[1];
    return !divisor;
  });
  if (divisor) return illegal("the factor divides by {}, which may be 0", to_string(divisor));
  const Space space = space_of(path, facts);
  // Where a loop runs never, the factor is computed in vain.
  Facts runs = facts;
  for (const ForNode* loop : space.list()) {
    const bool depends = std::any_of(
        space.loops.begin(), space.loops.end(),
        [&](const Stmt& other) { return uses_var(loop->extent, tir::as<ForNode>(other)->var); });
    if (!depends) runs.assume(le(make_int(1), loop->extent));
  }
  std::vector<tir::Range> box, wanted;
  for (const tir::IterVar& iter : block.iters) {
    if (!uses_var(factor, iter.var)) continue;
    for (const Stmt& at : path) {
      const auto* loop = tir::as<ForNode>(at);
      const auto* let = tir::as<tir::LetNode>(at);
      if ((loop && uses_var(iter.extent, loop->var)) || (let && uses_var(iter.extent, let->var))) {
        return illegal("the axis `{}` of `{}` has the extent {}, which depends on loops",
                       iter.var->name, block.name, to_string(iter.extent));
      }
    }
    if (!is_const_int(iter.min, 0)) {
      return illegal("the axis `{}` of `{}` begins at {}, not at 0", iter.var->name, block.name,
                     to_string(iter.min));
    }
    box.push_back({iter.value, make_int(1)});
    wanted.push_back({make_int(0), iter.extent});
  }
  if (!cover_together(box, wanted, space, runs)) {
    return illegal("it is not proven that `{}` runs at every point of its axes", block.name);
  }
  return {};
}

}  // namespace

Result<Block> reindex(Scheduled& s, const Block& block, const Buffer& buffer) {
  REPOSE_FIND_BLOCK(node, s, block);
  const auto* store = tir::as<tir::StoreNode>(node->body);
  Expr factor = store ? factor_of(*store, buffer) : nullptr;
  if (!factor) {
    return illegal("`{}` adds up no product that has one factor with `{}`", block.name,
                   buffer->name);
  }
  factor = kept_part(factor);
  if (node->predicate) {
    return illegal("`{}` runs where {}: reindex comes before loops are split", block.name,
                   to_string(node->predicate));
  }
  const Stmt nest = nest_of(s, *node);
  for (const Stmt& at : path_to(s.func->body, nest.get())) {
    if (at != nest && at->kind == tir::StmtKind::for_) {
      return illegal("`{}` stands in `{}` with other blocks", block.name,
                     tir::as<ForNode>(at)->var->name);
    }
  }
  REPOSE_RUN(check_factor(s, nest, *node, factor));
  const bool is_one = std::none_of(node->iters.begin(), node->iters.end(),
                                   [&](const auto& iter) { return uses_var(factor, iter.var); });
  if (is_one) return illegal("the factor with `{}` is the same everywhere", buffer->name);
  tir::BlockNode::Fields fields;
  fields.name = s.fresh(buffer->name + "_reindex");
  fields.span = node->span;
  std::vector<Expr> shape, own_axes, new_axes;
  std::vector<std::pair<Var, Expr>> loops;
  VarMap to_new;
  for (const tir::IterVar& iter : node->iters) {
    if (!uses_var(factor, iter.var)) continue;
    const std::string name =
        iter.var->name.starts_with("v_") ? iter.var->name.substr(2) : iter.var->name;
    Var axis = make_var("v_" + name, dtypes::index, VarRole::loop);
    Var loop = fresh_loop_var(s, name);
    fields.iters.push_back({axis, make_int(0), iter.extent, tir::IterKind::spatial, loop});
    loops.emplace_back(loop, iter.extent);
    to_new.emplace(iter.var.get(), axis);
    shape.push_back(iter.extent);
    own_axes.push_back(iter.var);
    new_axes.push_back(axis);
  }
  const Buffer computed = make_buffer(s.fresh(buffer->name + "_factor"), shape, factor->dtype,
                                      Scope::workspace, {}, nullptr, 64);
  fields.body = tir::make<tir::StoreNode>(computed, new_axes, substitute(factor, to_new));
  const std::string name = fields.name;
  Stmt fill = make_block(std::move(fields));
  for (size_t i = loops.size(); i-- > 0;) {
    fill = make_loop(s, loops[i].first, loops[i].second, std::move(fill));
  }
  tir::BlockNode::Fields user = node->fields();
  const Expr load = make_load(computed, own_axes);
  user.body = tir::make<tir::StoreNode>(
      store->buffer, store->indices,
      rewrite(store->value, [&](const Expr& e) { return e == factor ? load : e; }), store->span);
  Stmt rest = replaced(nest, node, make_block(std::move(user)));
  replace(
      s, nest.get(),
      tir::make<tir::AllocateNode>(computed, tir::make_seq({std::move(fill), std::move(rest)})));
  note(s, "reindex", {Arg(block), Arg(buffer)}, {Arg(Block{name})});
  return Block{name};
}

}  // namespace repose::schedule
