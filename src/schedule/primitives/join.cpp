// One loop of two that stand behind each other.
#include "schedule/primitives/join.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// The sequence in which the second follows the first directly; null: there is none.
const tir::SeqNode* sequence_of(const Scheduled& s, const ForNode* first, const ForNode* second) {
  const tir::SeqNode* found = nullptr;
  tir::visit_stmts(s.func->body, [&](const Stmt& at) {
    const auto* seq = tir::as<tir::SeqNode>(at);
    for (size_t i = 0; seq && i + 1 < seq->stmts.size(); ++i) {
      if (seq->stmts[i].get() == first && seq->stmts[i + 1].get() == second) found = seq;
    }
    return !found;
  });
  return found;
}

// That no iteration of the second meets what later ones of the first touch. Both run over `first`'s
// variable.
Result<void> check_order(const Scheduled& s, const ForNode& first, const Stmt& second,
                         const std::string& second_name) {
  Facts facts = facts_at(s, &first);
  assume_in_range(facts, first.var, first.extent);
  Var distance = make_var("distance", dtypes::index, VarRole::dimension);
  const Expr later = first.var + distance + 1;
  facts.assume(lt(later, first.extent));
  const Memory memory(s.func);
  const std::vector<Access> before = accesses_in(first.body), behind = accesses_in(second);
  for (const Access& a : behind) {
    for (const Access& b : before) {
      if ((!a.is_store && !b.is_store) || !memory.same(a.buffer, b.buffer)) continue;
      const bool apart = a.buffer == b.buffer && are_apart(a, b, {{first.var.get(), later}}, facts);
      if (apart) continue;
      return illegal("an iteration of `{}` would run before a later one of `{}`, but {}, and {}",
                     second_name, first.var->name, to_string(b), to_string(a));
    }
  }
  return {};
}

// `second` behind `first`, within what that allocates: a loop behind the last one of `first` then
// stands directly behind it.
Stmt in_sequence(const Stmt& first, const Stmt& second) {
  const auto* allocate = tir::as<tir::AllocateNode>(first);
  if (!allocate) return tir::make_seq({first, second});
  return tir::make<tir::AllocateNode>(allocate->buffer, in_sequence(allocate->body, second));
}

}  // namespace

Result<Loop> join(Scheduled& s, const Loop& first, const Loop& second) {
  REPOSE_FIND_LOOP(a, s, first);
  REPOSE_FIND_LOOP(b, s, second);
  const Ref<const tir::StmtNode> keep(s.func->body);
  const tir::SeqNode* sequence = sequence_of(s, a, b);
  if (!sequence) {
    return illegal("`{}` does not stand directly behind `{}`", second.var->name, first.var->name);
  }
  if (a->loop_kind != tir::ForKind::serial || b->loop_kind != tir::ForKind::serial ||
      !is_const_int(a->min, 0) || !is_const_int(b->min, 0)) {
    return illegal("`{}` is {} and `{}` is {}: two serial loops are joined", first.var->name,
                   tir::for_kind_name(a->loop_kind), second.var->name,
                   tir::for_kind_name(b->loop_kind));
  }
  if (prove_equal(a->extent, b->extent, facts_at(s, a)) != Truth::yes) {
    return illegal("`{}` has {} iterations, `{}` has {}", first.var->name, to_string(a->extent),
                   second.var->name, to_string(b->extent));
  }
  const Stmt body = tir::substitute(b->body, {{b->var.get(), a->var}});
  for (const Stmt& part : {a->body, b->body}) REPOSE_RUN(check_transparent(part));
  REPOSE_RUN(check_order(s, *a, body, second.var->name));
  std::vector<Stmt> parts;
  for (const Stmt& part : sequence->stmts) {
    if (part.get() == a) {
      parts.push_back(with_body(*a, in_sequence(a->body, body)));
    } else if (part.get() != b) {
      parts.push_back(part);
    }
  }
  replace(s, sequence, tir::make_seq(std::move(parts)));
  note(s, "join", {Arg(first), Arg(second)}, {Arg(first)});
  return first;
}

}  // namespace repose::schedule
