// A condition that is known to hold, as the prover finds and combines it.
#pragma once

#include <optional>

#include "expr/facts.h"
#include "expr/polynomial.h"

namespace repose {

// `difference` <= 0, == 0 or != 0.
struct Hypothesis {
  enum class Kind : uint8_t { at_most_zero, zero, not_zero };
  Kind kind;
  Polynomial difference;
};

struct Known {
  Expr condition;
  std::vector<const ExprNode*> symbols;  // that it mentions; elements of buffers count as one
  std::optional<Hypothesis> hypothesis;  // of a comparison

  bool mentions(const ExprNode* symbol) const;
};

// What an expression mentions, each once, in the order in which it is met.
std::vector<const ExprNode*> mentioned_symbols(const Expr& e);

// The known conditions of a scope, found by what they mention once there are many.
class KnownConditions {
 public:
  using Entry = std::shared_ptr<const Known>;

  void add(Expr condition, std::optional<Hypothesis> hypothesis = std::nullopt);
  void add(Entry entry);
  // In the order in which they were learned; null where one was taken out.
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size() - num_gone_; }
  bool has_disjunction() const { return num_disjunctions_ > 0; }
  // Of those that mention the symbol, the positions in entries(), ascending; of more than 2 *
  // `most` the first and the last `most`.
  std::vector<size_t> mentioning(const ExprNode* symbol,
                                 size_t most = std::numeric_limits<size_t>::max() / 2) const;
  bool contains(const Expr& condition) const;
  // Takes some out, by their positions; other positions change.
  void remove(const std::vector<size_t>& positions);

 private:
  static constexpr size_t max_scanned = 64;  // entries; beyond, they are indexed

  std::vector<Entry> entries_;
  size_t num_gone_ = 0;
  size_t num_disjunctions_ = 0;
  std::unordered_map<const ExprNode*, std::vector<size_t>> by_symbol_;
  std::unordered_map<uint64_t, std::vector<size_t>> by_hash_;

  void index(size_t position);
  void compact();
};

// prove() without distinguishing cases, and whether a comparison is never true: what learning may
// ask.
Truth prove_directly(const Expr& condition, const Facts& facts);
bool is_refuted_directly(const Expr& comparison, const Facts& facts);

}  // namespace repose
