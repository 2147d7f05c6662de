// Upper bounds of sizes that the data decides, over symbols that are known at entry.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "memory/liveness.h"

namespace repose {

class SizeLimits {
 public:
  // `facts`: what is known at entry. Limits come from the ranges of symbols, from what operators
  // and checks say of them (`k <= n`, `a + b == n`), from match_casts, from the test of a loop
  // where its body runs, and from both branches of an `if`; and from the form of a size (`min(n,
  // k)` is at most n).
  SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts);

  // At least `bytes` for all values, and known at position `known` (0: at entry); nothing if none
  // was found. Only what is known before `position` counts.
  std::optional<Expr> limit(const Expr& bytes, int position, int known = 0);

  // Limits of more than Builder::max_size_nodes nodes have names, as sizes have: these, in order,
  // each with what it stands for. `facts` with their definitions.
  const std::vector<std::pair<Var, Expr>>& names() const { return names_; }
  const Facts& facts() const { return facts_; }

 private:
  // `left <= right`, or equal, at the positions after `begin` up to `end`.
  struct Relation {
    int begin, end;
    bool is_equality;
    Expr left, right;
  };
  // What a symbol of an `if` is where each branch ends.
  struct Join {
    Expr values[2];
    int ends[2];
  };
  class Query;

  // A limit that was found, over relations that hold from a position to the end.
  struct Found {
    int from;
    Expr value;
  };

  void add_body(const graph::Body& body, int end);
  void add_loop(const graph::Binding& b, const LoopRange& loop);
  void add_join(const graph::Binding& b, const graph::IfNode& choice);
  // `only_of`: the relation says something of this symbol alone (a definition, of its name).
  void add_relation(int begin, int end, const Expr& condition, const VarNode* only_of = nullptr);
  void find_limits_of_symbols();
  bool is_known(const Expr& e, int position) const;

  Expr named(const Expr& limit, const std::string& hint);

  const Liveness& live_;
  Facts facts_;
  std::vector<Relation> relations_;
  std::unordered_map<const VarNode*, std::vector<size_t>> relations_of_;
  std::unordered_map<uint64_t, std::vector<size_t>> equal_to_;  // by the hash of one side
  std::unordered_map<const VarNode*, Found> found_[2];          // lower, upper
  // The last position where none was found: at an earlier one less is known.
  std::unordered_map<const VarNode*, int> failed_until_[2];
  bool has_inner_relations_ = false;  // some hold in a branch alone
  std::vector<std::pair<Var, Expr>> names_;
  std::unordered_set<const VarNode*> is_name_;
  std::unordered_map<const VarNode*, Join> joins_;
};

}  // namespace repose
