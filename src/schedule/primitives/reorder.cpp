// Loops in another order.
#include "schedule/primitives/reorder.h"

#include <algorithm>
#include <unordered_map>

#include "schedule/region.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// From the outermost to the innermost of the named loops, which stand in each other with nothing
// but `let`s between them.
struct Chain {
  std::vector<const ForNode*> loops;  // empty: they do not
  std::vector<const tir::LetNode*> lets;
};

Chain chain_of(const Scheduled& s, const std::vector<const ForNode*>& named) {
  const ForNode* outermost = named[0];
  for (const ForNode* loop : named) {
    if (path_to(s.func->body, loop).size() < path_to(s.func->body, outermost).size()) {
      outermost = loop;
    }
  }
  Chain chain;
  size_t found = 0;
  const tir::StmtNode* at = outermost;
  while (true) {
    if (at->kind == tir::StmtKind::for_) {
      const auto* loop = static_cast<const ForNode*>(at);
      chain.loops.push_back(loop);
      if (std::find(named.begin(), named.end(), loop) != named.end()) ++found;
      if (found == named.size()) return chain;
      at = loop->body.get();
    } else if (at->kind == tir::StmtKind::let) {
      chain.lets.push_back(static_cast<const tir::LetNode*>(at));
      at = chain.lets.back()->body.get();
    } else {
      return {};
    }
  }
}

// The nest of `loops` around `body`, each `let` as far outside as what it mentions allows. Nothing
// where an extent mentions what would only be bound further inside.
std::optional<Stmt> nest(const std::vector<const ForNode*>& loops,
                         const std::vector<const tir::LetNode*>& lets, Stmt body) {
  std::vector<std::vector<const tir::LetNode*>> below(
      loops.size());  // by the loop that they follow
  std::unordered_map<const VarNode*, size_t> depth;
  for (size_t i = 0; i < loops.size(); ++i) depth[loops[i]->var.get()] = i;
  for (const tir::LetNode* let : lets) {
    size_t at = 0;
    for (const Var& v : free_vars(let->value)) {
      auto it = depth.find(v.get());
      if (it != depth.end()) at = std::max(at, it->second);
    }
    depth[let->var.get()] = at;
    below[at].push_back(let);
  }
  for (size_t i = 0; i < loops.size(); ++i) {
    for (const Expr& e : {loops[i]->extent, loops[i]->min}) {
      for (const Var& v : free_vars(e)) {
        auto it = depth.find(v.get());
        if (it != depth.end() && it->second >= i) return std::nullopt;
      }
    }
  }
  for (size_t i = loops.size(); i-- > 0;) {
    for (size_t k = below[i].size(); k-- > 0;) {
      const tir::LetNode* let = below[i][k];
      body = tir::make<tir::LetNode>(let->var, let->value, std::move(body), let->span);
    }
    body = with_body(*loops[i], std::move(body));
  }
  return body;
}

// Loops that feed the reduction of a block, in this order.
std::vector<Var> reduction_of(const tir::BlockNode& block,
                              const std::vector<const ForNode*>& loops) {
  std::vector<Var> result;
  for (const ForNode* loop : loops) {
    if (moves_reduction(*loop, block)) result.push_back(loop->var);
  }
  return result;
}

}  // namespace

Result<void> reorder(Scheduled& s, const std::vector<Loop>& order) {
  if (order.size() < 2) return illegal("reorder takes two loops or more");
  std::vector<const ForNode*> named;
  for (const Loop& loop : order) {
    REPOSE_FIND_LOOP(node, s, loop);
    if (std::find(named.begin(), named.end(), node) != named.end()) {
      return illegal("`{}` is named twice", loop.var->name);
    }
    named.push_back(node);
  }
  const Chain chain = chain_of(s, named);
  if (chain.loops.empty()) {
    return illegal("`{}` and `{}` do not stand directly in each other", named[0]->var->name,
                   named[1]->var->name);
  }
  std::vector<const ForNode*> next = chain.loops;
  size_t taken = 0;
  for (const ForNode*& loop : next) {
    if (std::find(named.begin(), named.end(), loop) != named.end()) loop = named[taken++];
  }
  const Stmt& body = chain.loops.back()->body;
  auto made = nest(next, chain.lets, body);
  if (!made) {
    return illegal("the extent of a loop would depend on one inside of it: {}",
                   to_string(Step{"reorder", {Arg(order)}, {}}));
  }
  const std::vector<const tir::BlockNode*> blocks = blocks_in(body);
  for (const tir::BlockNode* block : blocks) {
    if (reduction_of(*block, chain.loops) != reduction_of(*block, next)) {
      return illegal("the reduction of `{}` would add up in another order", block->name);
    }
  }
  if (blocks.size() != 1) {
    for (const ForNode* loop : named) {
      auto independent = check_independent(s, *loop);
      if (!independent.ok()) return independent.errors();
    }
  }
  replace(s, chain.loops[0], std::move(*made));
  note(s, "reorder", {Arg(order)});
  return {};
}

}  // namespace repose::schedule
