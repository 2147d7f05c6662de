// What a block writes, in a buffer of an iteration.
#include "schedule/primitives/cache_write.h"

#include <algorithm>

#include "schedule/block_fields.h"
#include "schedule/dependence.h"
#include "schedule/local_buffer.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// A loop of the block's reduction that is not inside of `at`; null: there is none.
const ForNode* reduction_outside(const Scheduled& s, const tir::BlockNode& block,
                                 const ForNode& at) {
  for (const ForNode* loop : loops_around(s, &block)) {
    if (moves_reduction(*loop, block)) return loop;
    if (loop == &at) break;
  }
  return nullptr;
}

// That the block runs for every element of the box that is one of the buffer: its conditions only
// keep it from leaving the buffer.
bool fills_box(const Scheduled& s, const tir::BlockNode& block, const tir::StoreNode& store) {
  if (!block.predicate) return true;
  const tir::BlockNode::Fields whole = [&] {
    tir::BlockNode::Fields fields = block.fields();
    fields.predicate = nullptr;
    return fields;
  }();
  Scheduled without = s;
  Stmt open = tir::make<tir::BlockNode>(whole);
  replace(without, &block, open);
  Facts facts = facts_at(without, open.get());
  for (size_t d = 0; d < store.indices.size(); ++d) {
    facts.assume(lt(store.indices[d], store.buffer->shape[d]));
  }
  return prove(block.predicate, facts) == Truth::yes;
}

// In which dimensions the box of a block may reach beyond the buffer. The program is legal: what
// the block writes lies inside, but for iterations that a condition keeps out.
std::vector<bool> may_leave(const tir::BlockNode& block, const Access& store) {
  std::vector<bool> result(store.indices.size(), false);
  if (!block.predicate) return result;
  VarMap values;
  for (const tir::IterVar& iter : block.iters) values.emplace(iter.var.get(), iter.value);
  const Expr condition = substitute(block.predicate, values);
  for (size_t d = 0; d < result.size(); ++d) {
    for (const Var& v : free_vars(store.indices[d])) {
      result[d] = result[d] || uses_var(condition, v);
    }
  }
  return result;
}

// That others read of the buffer only what the block has written before, in the same iteration.
Result<void> check_readers(const Stmt& body, const tir::BlockNode& block, const Access& store,
                           const std::vector<tir::Range>& box, const Facts& facts) {
  bool is_behind = false;
  for (const Access& a : accesses_in(body)) {
    is_behind = is_behind || a.block == &block;
    if (a.block == &block || a.buffer != store.buffer || a.is_store) continue;
    const bool shares_loop =
        !store.loops.empty() && !a.loops.empty() && store.loops[0] == a.loops[0];
    Facts there = facts;
    for (const ForNode* loop : a.loops) {
      assume_in_range(there, loop->var, substitute(loop->extent, a.lets));
    }
    if (a.condition) assume_lasting(there, a.condition);
    bool is_written = is_behind;
    for (size_t d = 0; d < a.indices.size(); ++d) {
      is_written = is_written &&
                   (shares_loop ? prove_equal(a.indices[d], store.indices[d], there) == Truth::yes
                                : prove_le(box[d].min, a.indices[d], there) == Truth::yes &&
                                      prove(lt(a.indices[d], box[d].min + box[d].extent), there) ==
                                          Truth::yes);
    }
    if (is_written) continue;
    return illegal("{}, which `{}` may not have written before", to_string(a), block.name);
  }
  return {};
}

bool reads_own_target(const tir::StoreNode& store) {
  return loads(store.value, store.buffer) ||
         std::any_of(store.indices.begin(), store.indices.end(),
                     [&](const Expr& i) { return loads(i, store.buffer); });
}

enum class Direction : uint8_t { in, out };

// for d…: where inside: out[corner + d] = cache[d], or the other way round.
Stmt copy_box(Scheduled& s, Direction direction, const Buffer& out, const Buffer& cache,
              const std::vector<tir::Range>& box, const std::vector<bool>& may_leave,
              bool keeps_rank, const std::string& name) {
  tir::BlockNode::Fields block;
  block.name = name;
  std::vector<std::pair<Var, Expr>> loops;
  std::vector<Expr> outer, inner;  // subscripts of the buffer and of the cache
  auto keep_inside = [&](const Expr& value, size_t d) {
    const Expr inside = canonical(lt(value, out->shape[d]));
    block.predicate = block.predicate ? logical_and(block.predicate, inside) : inside;
  };
  for (size_t d = 0; d < box.size(); ++d) {
    if (is_const_int(box[d].extent, 1) && !keeps_rank) {
      Var axis = make_var(fmt::format("v_i{}", d), dtypes::index, VarRole::loop);
      block.iters.push_back({axis, make_int(0), out->shape[d], tir::IterKind::spatial, box[d].min});
      outer.push_back(axis);
      if (may_leave[d]) keep_inside(box[d].min, d);
      continue;
    }
    Var loop = fresh_loop_var(s, fmt::format("i{}", d));
    Var axis = make_var(fmt::format("v_i{}", d), dtypes::index, VarRole::loop);
    const Expr value = canonical(box[d].min + loop);
    block.iters.push_back({axis, make_int(0), out->shape[d], tir::IterKind::spatial, value});
    outer.push_back(axis);
    if (structural_equal(value, loop)) {
      inner.push_back(axis);
    } else {
      Var local = make_var(fmt::format("v_c{}", d), dtypes::index, VarRole::loop);
      block.iters.push_back({local, make_int(0), box[d].extent, tir::IterKind::spatial, loop});
      inner.push_back(local);
    }
    if (may_leave[d]) keep_inside(value, d);
    loops.emplace_back(loop, box[d].extent);
  }
  if (inner.empty()) inner.push_back(make_int(0));
  block.body = direction == Direction::out
                   ? tir::make<tir::StoreNode>(out, outer, make_load(cache, inner))
                   : tir::make<tir::StoreNode>(cache, inner, make_load(out, outer));
  Stmt nest = make_block(std::move(block));
  for (size_t i = loops.size(); i-- > 0;) {
    nest = make_loop(s, loops[i].first, loops[i].second, std::move(nest));
  }
  return nest;
}

}  // namespace

Result<Block> cache_write(Scheduled& s, const Block& block, const Loop& at, Scope scope) {
  REPOSE_FIND_BLOCK(node, s, block);
  const ForNode* loop = nullptr;
  if (at.var) {
    REPOSE_FIND_LOOP(found, s, at);
    loop = found;
  }
  const std::string place = at.var ? at.var->name : "root";
  const Stmt body = loop ? inner_body(*loop) : s.func->body;
  const auto* store = tir::as<tir::StoreNode>(node->body);
  if (!store) return illegal("`{}` is no single store", block.name);
  if (path_to(body, node).empty()) {
    return illegal("`{}` does not stand in `{}`", block.name, place);
  }
  // A block without beginning goes on with what is there.
  const bool updates = !node->init && reads_own_target(*store);
  if (loop && !updates) {
    if (const ForNode* outside = reduction_outside(s, *node, *loop)) {
      return illegal("the reduction of `{}` goes on outside of `{}`, in `{}`", block.name, place,
                     outside->var->name);
    }
  }
  const Buffer out = store->buffer;
  Stmt behind = body;  // what the copy comes behind
  while (const auto* made = tir::as<tir::AllocateNode>(behind)) behind = made->body;
  if (is_made_in(behind, out)) {
    return illegal("`{}` is gone at the end of an iteration of `{}`", out->name, place);
  }
  std::vector<Access> own;
  for (const Access& a : accesses_of(accesses_in(body), out)) {
    if (a.block == node) {
      own.push_back(a);
    } else if (a.is_store) {
      return illegal("`{}` writes `{}` in `{}` too", a.block ? a.block->name : "a statement",
                     out->name, place);
    }
  }
  const Facts facts = loop ? facts_inside(s, *loop) : facts_everywhere(s);
  const auto box = box_of(own, facts);
  if (!box) {
    return illegal("what `{}` writes of `{}` in an iteration of `{}` is no box that can be told",
                   block.name, out->name, place);
  }
  if (!fills_box(s, *node, *store)) {
    return illegal("`{}` may leave elements of `{}` unwritten: it runs where {}", block.name,
                   out->name, to_string(node->predicate));
  }
  Scheduled next = s;
  REPOSE_TRY(cache,
             local_buffer(next, out->name + "_local", out->dtype, *box, scope, facts, !loop));
  const std::string name = next.fresh(block.name + "_out");
  const auto own_store =
      std::find_if(own.begin(), own.end(), [](const Access& a) { return a.is_store; });
  REPOSE_RUN(check_readers(body, *node, *own_store, *box, facts));
  const std::vector<bool> leaves = may_leave(*node, *own_store);
  Stmt copy = copy_box(next, Direction::out, out, cache, *box, leaves, !loop, name);
  Stmt inside = appended(moved_accesses(body, out, cache, *box), std::move(copy));
  if (updates) {
    Stmt first = copy_box(next, Direction::in, out, cache, *box, leaves, !loop,
                          next.fresh(block.name + "_in"));
    inside = tir::make_seq({std::move(first), std::move(inside)});
  }
  inside = tir::make<tir::AllocateNode>(cache, std::move(inside));
  if (loop) {
    const Ref<const tir::StmtNode> keep(loop);
    replace(next, loop, with_inner_body(*loop, inside));
  } else {
    next.func = tir::with_body(next.func, std::move(inside));
  }
  s = std::move(next);
  note(s, "cache_write", {Arg(block), Arg(at), Arg(std::string(scope_name(scope)))},
       {Arg(Block{name})});
  return Block{name};
}

}  // namespace repose::schedule
