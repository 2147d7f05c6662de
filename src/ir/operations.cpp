// How much a tensor program computes.
#include "ir/operations.h"

#include <algorithm>
#include <unordered_set>

#include "expr/facts.h"

namespace repose {

void Operations::add(double count, std::vector<Expr> extents) {
  std::vector<Expr> symbolic;
  for (const Expr& e : extents) {
    const Expr extent = canonical(e);
    int64_t number = 0;
    if (as_const_int(extent, &number)) {
      count *= static_cast<double>(std::max<int64_t>(number, 0));
    } else {
      symbolic.push_back(extent);
    }
  }
  if (count == 0) return;
  std::sort(symbolic.begin(), symbolic.end(),
            [](const Expr& a, const Expr& b) { return compare(a, b) < 0; });
  for (Term& t : terms_) {
    if (!std::equal(t.extents.begin(), t.extents.end(), symbolic.begin(), symbolic.end(),
                    [](const Expr& a, const Expr& b) { return structural_equal(a, b); })) {
      continue;
    }
    t.count += count;
    return;
  }
  terms_.push_back({count, std::move(symbolic)});
}

void Operations::add(const Operations& other, const VarMap& symbols) {
  for (const Term& t : other.terms_) {
    std::vector<Expr> extents;
    for (const Expr& e : t.extents) extents.push_back(substitute(e, symbols));
    add(t.count, std::move(extents));
  }
}

Expr Operations::to_expr() const {
  Expr sum;
  for (const Term& t : terms_) {
    Expr product = make_float(t.count, dtypes::float64);
    for (const Expr& e : t.extents) {
      product = product * make_cast(dtypes::float64, max(e, make_int(0)));
    }
    sum = sum ? sum + product : product;
  }
  return sum ? sum : make_float(0, dtypes::float64);
}

namespace {

class Counter {
 public:
  explicit Counter(const tir::PrimFunc& f) {
    for (const tir::Param& p : f->params) known_.insert(p.var.get());
    for (const Var& v : tir::bound_symbols(*f)) known_.insert(v.get());
  }

  Operations counted;

  void count(const tir::Stmt& s) {
    if (const auto* seq = tir::as<tir::SeqNode>(s)) {
      for (const tir::Stmt& child : seq->stmts) count(child);
    } else if (const auto* loop = tir::as<tir::ForNode>(s)) {
      count_loop(*loop);
    } else if (const auto* block = tir::as<tir::BlockNode>(s)) {
      count(block->body);
    } else if (const auto* choice = tir::as<tir::IfNode>(s)) {
      count(choice->then_body);
      if (choice->else_body) count(choice->else_body);
    } else if (const auto* let = tir::as<tir::LetNode>(s)) {
      const Expr low = substitute(let->value, lows_), high = substitute(let->value, highs_);
      lows_[let->var.get()] = low;
      highs_[let->var.get()] = high;
      count(let->body);
    } else if (const auto* loop = tir::as<tir::WhileNode>(s)) {
      count(loop->body);
    } else if (const auto* declare = tir::as<tir::DeclareNode>(s)) {
      count(declare->body);
    } else if (const auto* attr = tir::as<tir::AttrStmtNode>(s)) {
      count(attr->body);
    } else if (const auto* allocate = tir::as<tir::AllocateNode>(s)) {
      count(allocate->body);
    } else if (const auto* store = tir::as<tir::StoreNode>(s)) {
      counted.add(store->value->dtype.lanes, extents_);
    } else if (tir::as<tir::EvaluateNode>(s)) {
      counted.add(1, extents_);
    }
  }

 private:
  void count_loop(const tir::ForNode& loop) {
    const Expr first = canonical(substitute(loop.extent, lows_));
    const Expr last = canonical(substitute(loop.extent, highs_));
    const bool is_known = knows(first) && knows(last);
    const bool is_none = is_const_int(first, 0) || is_const_int(first, 1);
    const Expr times = !is_known ? make_int(1) : is_none ? last : first;
    const Expr low = substitute(loop.min, lows_);
    lows_[loop.var.get()] = low;
    highs_[loop.var.get()] = canonical(low + times - make_int(1));
    extents_.push_back(times);
    count(loop.body);
    extents_.pop_back();
  }

  bool knows(const Expr& e) const {
    bool known = true;
    visit(e, [&](const Expr& node) {
      const auto* v = as<VarNode>(node);
      known = known && node->kind != ExprKind::load && node->kind != ExprKind::call &&
              (!v || known_.contains(v));
      return known;
    });
    return known;
  }

  std::unordered_set<const VarNode*> known_;
  VarMap lows_, highs_;        // loop variables at their ends
  std::vector<Expr> extents_;  // of the loops around
};

}  // namespace

Operations operations_of(const tir::PrimFunc& f) {
  Counter counter(f);
  counter.count(f->body);
  return std::move(counter.counted);
}

}  // namespace repose
