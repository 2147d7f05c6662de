// Facts along the way to a statement, kept for each beginning of a way.
#include "schedule/known_facts.h"

#include <algorithm>

#include "schedule/reduction.h"
#include "schedule/scheduled.h"

namespace repose::schedule {

using tir::Stmt;

// What is bound or holds after some steps, each of which two expressions tell from others (they are
// held, so that no other gets their address).
struct KnownFacts::Node {
  Facts facts;
  bool is_known = false;
  size_t num_ranges = 0;  // of ranges_ that `facts` has
  struct Child {
    Expr first, second;
    std::unique_ptr<Node> node;
  };
  std::map<std::pair<const void*, const void*>, Child> children;
};

KnownFacts::KnownFacts(Facts everywhere) : root_(std::make_unique<Node>()) {
  root_->facts = std::move(everywhere);
  root_->is_known = true;
}
KnownFacts::~KnownFacts() = default;

void KnownFacts::restrict(const Var& v, const Interval& range) {
  ranges_.emplace_back(v, range);
}

void KnownFacts::let_in_range(const Var& v, const Expr& extent) {
  let_extents_[v.get()] = extent;
}

const Facts& KnownFacts::refreshed(Node& node) {
  for (; node.num_ranges < ranges_.size(); ++node.num_ranges) {
    node.facts.restrict(ranges_[node.num_ranges].first, ranges_[node.num_ranges].second);
  }
  return node.facts;
}

const Facts& KnownFacts::everywhere() {
  return refreshed(*root_);
}

KnownFacts::Node& KnownFacts::child(Node& node, const Expr& first, const Expr& second) {
  auto& child = node.children[{first.get(), second.get()}];
  if (!child.node) {
    child = {first, second, std::make_unique<Node>()};
    child.node->facts = refreshed(node);
    child.node->num_ranges = node.num_ranges;
  }
  return *child.node;
}

// The node behind a statement of the path, of which `next` is what comes after it.
KnownFacts::Node* KnownFacts::step(Node& node, const Stmt& at, const Stmt* next) {
  if (const auto* loop = tir::as<tir::ForNode>(at)) {
    Node& inside = child(node, loop->var, loop->extent);
    if (!inside.is_known) assume_in_range(inside.facts, loop->var, loop->extent);
    inside.is_known = true;
    return &inside;
  }
  if (const auto* let = tir::as<tir::LetNode>(at)) {
    Node& inside = child(node, let->var, let->value);
    if (!inside.is_known) {
      assume_let(inside.facts, *let);
      auto it = let_extents_.find(let->var.get());
      if (it != let_extents_.end()) assume_in_range(inside.facts, let->var, it->second);
    }
    inside.is_known = true;
    return &inside;
  }
  if (const auto* branch = tir::as<tir::IfNode>(at)) {
    if (!next || *next != branch->then_body) return &node;
    Node& inside = child(node, branch->condition, nullptr);
    if (!inside.is_known) assume_lasting(inside.facts, branch->condition);
    inside.is_known = true;
    return &inside;
  }
  const auto* block = tir::as<tir::BlockNode>(at);
  if (!block) return &node;
  Node* inside = &node;
  for (const tir::IterVar& iter : block->iters) {
    inside = &child(*inside, iter.var, iter.value);
    if (!inside->is_known) assume_lasting(inside->facts, eq(iter.var, iter.value));
    inside->is_known = true;
  }
  if (block->predicate) {
    inside = &child(*inside, block->predicate, nullptr);
    if (!inside->is_known) assume_lasting(inside->facts, block->predicate);
    inside->is_known = true;
  }
  return inside;
}

const Facts& KnownFacts::at(const std::vector<Stmt>& path, const tir::StmtNode* target) {
  Node* node = root_.get();
  for (size_t i = 0; i < path.size(); ++i) {
    const bool is_end = path[i].get() == target;
    if (is_end && path[i]->kind == tir::StmtKind::for_) break;  // its iterations are inside
    node = step(*node, path[i], i + 1 < path.size() ? &path[i + 1] : nullptr);
  }
  return refreshed(*node);
}

bool KnownFacts::is_true(const std::vector<Expr>& key, const std::function<bool()>& ask) {
  uint64_t hash = key.size();
  for (const Expr& e : key) hash = hash * 1099511628211u ^ e->hash();
  const auto [begin, end] = true_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (std::equal(key.begin(), key.end(), it->second.begin(), it->second.end(),
                   [](const Expr& a, const Expr& b) { return structural_equal(a, b); })) {
      return true;
    }
  }
  if (!ask()) return false;
  true_.emplace(hash, key);
  return true;
}

const Facts& facts_everywhere(const Scheduled& s) {
  return s.known->everywhere();
}

Facts facts_at(const Scheduled& s, const tir::StmtNode* target) {
  return s.known->at(path_to(s.func->body, target), target);
}

Facts facts_inside(const Scheduled& s, const tir::ForNode& loop) {
  std::vector<Stmt> path = path_to(s.func->body, &loop);
  for (Stmt at = loop.body; const auto* let = tir::as<tir::LetNode>(at); at = let->body) {
    path.push_back(at);
  }
  return s.known->at(path, nullptr);
}

void assume_let(Facts& facts, const tir::LetNode& let) {
  if (!let.var->dtype.is_index() || has_load(let.value)) return;
  facts.define(let.var, let.value);
  const bool least = let.value->kind == ExprKind::min;
  if (!least && let.value->kind != ExprKind::max) return;
  for (const Expr& limit : let.value->args) {
    facts.assume(least ? le(let.var, limit) : le(limit, let.var));
  }
}

void assume_lasting(Facts& facts, const Expr& condition) {
  for (const Expr& e : conjuncts_of(condition)) {
    if (!has_load(e)) facts.assume(e);
  }
}

void assume_in_range(Facts& facts, const Var& v, const Expr& extent) {
  Interval range;
  range.lower = 0;
  int64_t known = 0;
  const bool is_known = as_const_int(extent, &known) && known > 0;
  if (is_known) range.upper = known - 1;
  facts.restrict(v, range);
  if (!is_known) facts.assume(lt(v, extent));
}

}  // namespace repose::schedule
