// A variant of a loop for where a condition holds.
#include "schedule/primitives/specialize.h"

#include <unordered_set>

#include "schedule/known_conditions.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// What an expression may mention where a statement stands.
std::unordered_set<const VarNode*> visible_at(const Scheduled& s, const tir::StmtNode* target) {
  std::unordered_set<const VarNode*> everywhere;
  for (const Var& v : tir::bound_symbols(*s.func)) everywhere.insert(v.get());
  for (const tir::Param& p : s.func->params) everywhere.insert(p.var.get());
  std::unordered_set<const VarNode*> visible = everywhere;
  for (const Stmt& at : path_to(s.func->body, target)) {
    if (at.get() == target) break;
    if (const auto* loop = tir::as<ForNode>(at)) visible.insert(loop->var.get());
    if (const auto* let = tir::as<tir::LetNode>(at)) visible.insert(let->var.get());
    const auto* block = tir::as<tir::BlockNode>(at);
    if (!block) continue;
    for (const tir::IterVar& iter : block->iters) everywhere.insert(iter.var.get());
    visible = everywhere;
  }
  return visible;
}

Result<void> check_condition(const Scheduled& s, const ForNode& loop, const Expr& condition) {
  if (!condition->dtype.is_bool() || condition->dtype.is_vector()) {
    return illegal("{} is no condition", to_string(condition));
  }
  if (has_load(condition)) {
    return illegal("the condition {} reads memory", to_string(condition));
  }
  const auto visible = visible_at(s, &loop);
  for (const Var& v : free_vars(condition)) {
    if (visible.count(v.get())) continue;
    return illegal("`{}` is not bound around `{}`", v->name, loop.var->name);
  }
  return {};
}

// A reduction over nothing gives its initial value, whatever holds in its steps.
Result<void> check_beginnings(const Scheduled& s, const ForNode& loop, const Expr& condition) {
  VarMap lets;
  std::vector<const ForNode*> around;
  for (const Stmt& at : path_to(s.func->body, &loop)) {
    if (at.get() == &loop) break;
    if (const auto* outer = tir::as<ForNode>(at)) around.push_back(outer);
    const auto* let = tir::as<tir::LetNode>(at);
    if (let) lets[let->var.get()] = substitute(let->value, lets);
  }
  const Expr over_loops = substitute(condition, lets);
  for (const ForNode* outer : around) {
    if (!uses_var(over_loops, outer->var)) continue;
    if (prove_le(make_int(1), outer->extent, facts_at(s, outer)) == Truth::yes) continue;
    for (const tir::BlockNode* block : blocks_in(loop.body)) {
      if (!block->init || !moves_reduction(*outer, *block)) continue;
      return illegal(
          "the condition is about the reduction of `{}`, which may be over nothing: "
          "decompose_reduction comes first",
          block->name);
    }
  }
  return {};
}

std::vector<Loop> loops_in(const Stmt& root) {
  std::vector<Loop> loops;
  tir::visit_stmts(root, [&](const Stmt& s) {
    if (const auto* loop = tir::as<ForNode>(s)) loops.push_back({loop->var});
    return true;
  });
  return loops;
}

}  // namespace

Result<std::vector<Loop>> specialize(Scheduled& s, const Loop& loop, const Expr& condition) {
  REPOSE_FIND_LOOP(node, s, loop);
  const Ref<const tir::StmtNode> keep(s.func->body);
  auto fits = check_condition(s, *node, condition);
  if (!fits.ok()) return fits.errors();
  Facts facts = facts_at(s, node);
  const Truth truth = prove(condition, facts);
  if (truth == Truth::unknown) REPOSE_RUN(check_beginnings(s, *node, condition));
  std::vector<Loop> loops;
  if (truth == Truth::yes) {
    const Stmt variant = without_known_conditions(Stmt(node), facts);
    loops = loops_in(variant);
    replace(s, node, variant);
  } else if (truth == Truth::unknown) {
    const Stmt copy = copied(s, Stmt(node));
    facts = facts_at(s, node);  // of the copy's variables too
    facts.assume(condition);
    const Stmt variant = without_known_conditions(copy, facts);
    loops = loops_in(variant);
    replace(s, node, tir::make<tir::IfNode>(condition, variant, Stmt(node)));
  }
  note(s, "specialize", {Arg(loop), Arg(condition)}, std::vector<Arg>(loops.begin(), loops.end()));
  return loops;
}

}  // namespace repose::schedule
