// The known conditions of a scope, and their index.
#include "expr/hypothesis.h"

#include <algorithm>
#include <unordered_set>

namespace repose {

std::vector<const ExprNode*> mentioned_symbols(const Expr& e) {
  static const Var elements = make_var("elements", dtypes::index, VarRole::value);
  std::vector<const ExprNode*> found;
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    if (!node->args.empty() && !seen.insert(node.get()).second) return false;
    const ExprNode* symbol = node->kind == ExprKind::var    ? node.get()
                             : node->kind == ExprKind::load ? elements.get()
                                                            : nullptr;
    if (symbol && std::find(found.begin(), found.end(), symbol) == found.end()) {
      found.push_back(symbol);
    }
    return true;
  });
  return found;
}

bool Known::mentions(const ExprNode* symbol) const {
  return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

void KnownConditions::add(Expr condition, std::optional<Hypothesis> hypothesis) {
  auto symbols = mentioned_symbols(condition);
  add(std::make_shared<const Known>(
      Known{std::move(condition), std::move(symbols), std::move(hypothesis)}));
}

void KnownConditions::add(Entry entry) {
  if (entry->condition->kind == ExprKind::logical_or) ++num_disjunctions_;
  entries_.push_back(std::move(entry));
  if (!by_hash_.empty()) {
    index(entries_.size() - 1);
  } else if (entries_.size() > max_scanned) {
    for (size_t i = 0; i < entries_.size(); ++i) index(i);
  }
}

void KnownConditions::index(size_t position) {
  const Entry& entry = entries_[position];
  if (!entry) return;
  for (const ExprNode* s : entry->symbols) by_symbol_[s].push_back(position);
  by_hash_[entry->condition->hash()].push_back(position);
}

std::vector<size_t> KnownConditions::mentioning(const ExprNode* symbol, size_t most) const {
  std::vector<size_t> found;
  if (!by_hash_.empty()) {
    auto it = by_symbol_.find(symbol);
    if (it == by_symbol_.end()) return found;
    const std::vector<size_t>& all = it->second;
    const size_t end = all.size() > 2 * most ? most : all.size();
    auto take = [&](size_t k) {
      if (entries_[all[k]]) found.push_back(all[k]);
    };
    for (size_t k = 0; k < end; ++k) take(k);
    for (size_t k = std::max(end, all.size() - std::min(all.size(), most)); k < all.size(); ++k) {
      take(k);
    }
    return found;
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i] && entries_[i]->mentions(symbol)) found.push_back(i);
  }
  return found;
}

bool KnownConditions::contains(const Expr& condition) const {
  auto is_same = [&](const Entry& e) { return e && structural_equal(e->condition, condition); };
  if (by_hash_.empty()) return std::any_of(entries_.begin(), entries_.end(), is_same);
  auto it = by_hash_.find(condition->hash());
  return it != by_hash_.end() && std::any_of(it->second.begin(), it->second.end(),
                                             [&](size_t i) { return is_same(entries_[i]); });
}

void KnownConditions::remove(const std::vector<size_t>& positions) {
  for (size_t i : positions) {
    if (!entries_[i]) continue;
    if (entries_[i]->condition->kind == ExprKind::logical_or) --num_disjunctions_;
    entries_[i] = nullptr;
    ++num_gone_;
  }
  if (by_hash_.empty() || 2 * num_gone_ > entries_.size()) compact();
}

void KnownConditions::compact() {
  std::erase(entries_, nullptr);
  num_gone_ = 0;
  by_symbol_.clear();
  by_hash_.clear();
  if (entries_.size() <= max_scanned) return;
  for (size_t i = 0; i < entries_.size(); ++i) index(i);
}

}  // namespace repose
