// Initial values of a reduction, set by a block of their own.
#include "schedule/primitives/decompose_reduction.h"

#include "schedule/block_fields.h"
#include "schedule/dependence.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// Does the block touch one element of the buffer only, the one that begins?
bool stays_at(const Scheduled& s, const tir::BlockNode& block, const tir::StoreNode& init) {
  const Memory memory(s.func);
  bool stays = true;
  auto see = [&](const Buffer& buffer, const std::vector<Expr>& indices) {
    stays = stays && (!memory.same(buffer, init.buffer) ||
                      (buffer == init.buffer && same_indices(indices, init.indices)));
  };
  tir::visit_stmts(block.body, [&](const Stmt& part) {
    if (const auto* store = tir::as<tir::StoreNode>(part)) see(store->buffer, store->indices);
    tir::visit_exprs_of(part, [&](const Expr& e) {
      visit(e, [&](const Expr& node) {
        if (const auto* load = as<LoadNode>(node)) see(load->buffer, node->args);
        return true;
      });
    });
    return stays;
  });
  return stays;
}

// That the elements may get their initial values before the loop: until the block begins with them,
// nothing else needs what was in them. What was never written is needed by nothing.
Result<void> check_target(const Scheduled& s, const ForNode& loop, const tir::BlockNode& block,
                          const tir::StoreNode& init) {
  const std::string& at = loop.var->name;
  const Buffer& target = init.buffer;
  if (is_made_in(Stmt(&loop), target)) {
    return illegal("`{}` exists only in iterations of `{}`", target->name, at);
  }
  if (!stays_at(s, block, init)) {
    return illegal("`{}` touches other elements of `{}` than the one that begins", block.name,
                   target->name);
  }
  bool written_elsewhere = false;
  for (const Access& a : accesses_to(s, s.func->body, target)) {
    written_elsewhere = written_elsewhere || (a.is_store && a.block != &block);
  }
  const std::vector<Access> inside = accesses_to(s, Stmt(&loop), target);
  for (const Access& a : inside) {
    if (!a.is_store || a.block == &block) continue;
    return illegal("{} writes `{}` in `{}` too", quoted(a.block), target->name, at);
  }
  bool has_begun = false;
  for (const Access& a : inside) {
    has_begun = has_begun || a.block == &block;
    if (a.block == &block || (has_begun && !written_elsewhere)) continue;
    return illegal("{} may read in `{}` what was in `{}` before `{}` begins", quoted(a.block), at,
                   target->name, block.name);
  }
  return {};
}

// The block without its beginning. Nothing in it runs any more where the body's condition does not
// hold, which is one of the block then.
Stmt without_init(const tir::BlockNode& block) {
  tir::BlockNode::Fields fields = block.fields();
  fields.init = nullptr;
  const auto* branch = tir::as<tir::IfNode>(fields.body);
  if (branch && !branch->else_body && !has_load(branch->condition)) {
    VarMap values;
    for (const tir::IterVar& iter : fields.iters) values.emplace(iter.var.get(), iter.value);
    const Expr condition = substitute(branch->condition, values);
    fields.predicate = fields.predicate ? logical_and(fields.predicate, condition) : condition;
    fields.body = branch->then_body;
  }
  return make_block(std::move(fields));
}

// That no element begins twice: the second time would come too early.
Result<void> check_begins_once(const Scheduled& s, const Stmt& beginning,
                               const std::vector<const ForNode*>& original,
                               const tir::BlockNode& block) {
  Stmt at = beginning;
  for (const ForNode* named : original) {
    const auto* loop = tir::as<ForNode>(at);
    const bool repeats = prove_le(loop->extent, make_int(1), facts_at(s, loop)) != Truth::yes;
    if (repeats && !check_independent(s, *loop).ok()) {
      return illegal("`{}` may begin with the same element in several iterations of `{}`",
                     block.name, named->var->name);
    }
    at = loop->body;
  }
  return {};
}

}  // namespace

Result<Block> decompose_reduction(Scheduled& s, const Block& block, const Loop& at) {
  REPOSE_FIND_BLOCK(node, s, block);
  REPOSE_FIND_LOOP(loop, s, at);
  const Ref<const tir::StmtNode> keep(s.func->body);
  if (!node->init) return illegal("`{}` has no initial values to set", block.name);
  const auto* init = tir::as<tir::StoreNode>(node->init);
  if (!init || init->predicate || !node->match_buffers.empty() || !node->alloc_buffers.empty()) {
    return illegal("the initial values of `{}` are not set by a single store", block.name);
  }
  REPOSE_TRY(nest, reduction_nest(s, *node, *loop));
  const ForNode* outermost = outermost_reduction_loop(s, *node);
  if (outermost && outermost != loop && !path_to(outermost->body, loop).empty()) {
    return illegal("`{}`, a loop of the reduction of `{}`, stands around `{}`",
                   outermost->var->name, block.name, at.var->name);
  }
  REPOSE_TRY(beginning, beginning_of(s, nest));
  for (const auto& check : {check_target(s, *loop, *node, *init), check_init(s, *loop, *node)}) {
    if (!check.ok()) return check.errors();
  }

  tir::BlockNode::Fields fields = block_over(beginning, nest);
  fields.name = block.name + "_init";
  fields.body = Stmt(init);
  Scheduled next = s;
  Stmt first = copied(next, in_loops(beginning, nest, make_block(std::move(fields))));
  const Block made{blocks_in(first)[0]->name};
  replace(next, loop, tir::make_seq({first, replaced(Stmt(loop), node, without_init(*node))}));
  auto once = check_begins_once(next, first, beginning.loops, *node);
  if (!once.ok()) return once.errors();
  s = std::move(next);
  note(s, "decompose_reduction", {Arg(block), Arg(at)}, {Arg(made)});
  return made;
}

}  // namespace repose::schedule
