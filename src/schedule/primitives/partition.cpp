// A loop in two parts.
#include "schedule/primitives/partition.h"

#include "schedule/known_conditions.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

Stmt part_of(const Var& v, const Expr& extent, const Stmt& body, Facts facts) {
  assume_in_range(facts, v, extent);
  // Nothing is learned of the loop's variable everywhere: a step may be undone.
  return tir::make<ForNode>(v, make_int(0), extent, tir::ForKind::serial,
                            without_known_conditions(body, facts));
}

}  // namespace

Result<std::vector<Loop>> partition(Scheduled& s, const Loop& loop, const Expr& at) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(node);
  if (node->loop_kind != tir::ForKind::serial || !is_const_int(node->min, 0)) {
    return illegal("`{}` is {}: only serial loops that start at 0 are cut", loop.var->name,
                   tir::for_kind_name(node->loop_kind));
  }
  const Facts facts = facts_at(s, node);
  if (prove_le(make_int(0), at, facts) != Truth::yes ||
      prove_le(at, node->extent, facts) != Truth::yes) {
    return illegal("it is not proven that {} is an iteration of `{}`, which has {}", to_string(at),
                   loop.var->name, to_string(node->extent));
  }
  for (const tir::BlockNode* block : blocks_in(node->body)) {
    if (block->init && moves_reduction(*node, *block)) {
      return illegal(
          "the rest of `{}` would begin the reduction of `{}` again: "
          "decompose_reduction comes first",
          loop.var->name, block->name);
    }
  }
  const Expr rest = simplify(node->extent - at, facts);
  std::vector<Loop> made;
  std::vector<Stmt> parts;
  if (!is_const_int(at, 0)) {
    parts.push_back(part_of(node->var, at, node->body, facts));
    made.push_back(loop);
  }
  if (!is_const_int(rest, 0)) {
    Var v = fresh_loop_var(s, loop.var->name);
    Stmt body = tir::substitute(node->body, {{loop.var.get(), at + v}});
    body = copied(s, body);
    parts.push_back(part_of(v, rest, body, facts));
    made.push_back({v});
  }
  replace(s, node, tir::make_seq(std::move(parts)));
  std::vector<Arg> results(made.begin(), made.end());
  note(s, "partition", {Arg(loop), Arg(at)}, std::move(results));
  return made;
}

}  // namespace repose::schedule
