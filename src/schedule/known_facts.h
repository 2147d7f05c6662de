// What is known in a program that is being scheduled: of its variables, and where a statement runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "expr/facts.h"
#include "ir/tir.h"

namespace repose::schedule {

struct Scheduled;

// Ranges of variables, and what follows from loops and conditions around a statement, which many
// steps ask for again. Copies of a schedule share it: variables are never used twice.
class KnownFacts {
 public:
  explicit KnownFacts(Facts everywhere = {});
  ~KnownFacts();

  // `v` has no value outside of the range, wherever it is bound.
  void restrict(const Var& v, const Interval& range);
  // `v` is bound by a `let`, to values in [0, extent).
  void let_in_range(const Var& v, const Expr& extent);
  // What was said at the beginning, and by restrict().
  const Facts& everywhere();
  // The same, and what holds at the end of a path, from the outermost statement to one inside:
  // where `target` begins, if that is a loop there; else in it.
  const Facts& at(const std::vector<tir::Stmt>& path, const tir::StmtNode* target);
  // Whether a question has the answer yes, which it keeps: asked once of equal keys (by structure).
  bool is_true(const std::vector<Expr>& key, const std::function<bool()>& ask);

 private:
  struct Node;
  Node& child(Node& node, const Expr& first, const Expr& second);
  const Facts& refreshed(Node& node);
  Node* step(Node& node, const tir::Stmt& at, const tir::Stmt* next);

  std::unique_ptr<Node> root_;
  std::vector<std::pair<Var, Interval>> ranges_;
  std::unordered_map<const VarNode*, Expr> let_extents_;
  std::unordered_multimap<uint64_t, std::vector<Expr>> true_;
};

// What is known of variables wherever they are bound.
const Facts& facts_everywhere(const Scheduled& s);
// What is known where `target` runs: of parameters, of loops around it, of conditions.
Facts facts_at(const Scheduled& s, const tir::StmtNode* target);
// What is known in the iterations of a loop, below the `let`s that stand directly in it.
Facts facts_inside(const Scheduled& s, const tir::ForNode& loop);
// What is known of a variable of a `let`: it is a name of its own, with what its value says.
void assume_let(Facts& facts, const tir::LetNode& let);
// A condition that holds, without what loads: stores may change that.
void assume_lasting(Facts& facts, const Expr& condition);
// What is known of a variable that runs over [0, extent) where it runs.
void assume_in_range(Facts& facts, const Var& v, const Expr& extent);

}  // namespace repose::schedule
