// Upper bounds of sizes that the data decides, over symbols that are known at entry.
#pragma once

#include <optional>
#include <unordered_map>

#include "memory/liveness.h"

namespace repose {

class SizeLimits {
 public:
  // `facts`: what is known at entry. Limits come from the ranges of symbols, from what operators
  // and checks say of them (`k <= n`, `a + b == n`), from match_casts, and from both branches of an
  // `if`; and from the form of a size (`min(n, k)` is at most n).
  SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts);

  // At least `bytes` for all values, and known at entry; nothing if none was found. Only what is
  // known before `position` counts.
  std::optional<Expr> limit(const Expr& bytes, int position) const;

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

  void add_body(const graph::Body& body, int end);
  void add_join(const graph::Binding& b, const graph::IfNode& choice);
  void add_relation(int begin, int end, const Expr& condition);
  bool known_at_entry(const Expr& e) const;

  const Liveness& live_;
  const Facts& facts_;
  std::vector<Relation> relations_;
  std::unordered_map<const VarNode*, Join> joins_;
};

}  // namespace repose
