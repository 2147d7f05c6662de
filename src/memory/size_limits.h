// Upper bounds of sizes that the data decides, over symbols that are known at entry.
#pragma once

#include <optional>

#include "memory/liveness.h"

namespace repose {

class SizeLimits {
 public:
  // `facts`: what is known at entry. Limits come from the ranges of symbols, and from checks of `f`
  // that always run (`k <= n`).
  SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts);

  // At least `bytes` for all values, and known at entry; nothing if that cannot be shown. Only
  // checks before `position` count.
  std::optional<Expr> limit(const Expr& bytes, int position) const;

 private:
  struct Check {
    int position;
    Expr condition;
  };
  void add_check(int position, const Expr& condition);
  std::optional<Expr> limit_of(const Var& v, int position, int depth) const;
  std::optional<Expr> limit_at(const Expr& e, int position, int depth) const;
  bool known_at_entry(const Expr& e) const;

  const Liveness& live_;
  const Facts& facts_;
  std::vector<Check> checks_;
};

}  // namespace repose
