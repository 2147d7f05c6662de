// How much a tensor program computes.
#include "ir/operations.h"

#include <algorithm>
#include <unordered_set>

#include "expr/facts.h"

namespace repose {

namespace {

const DType real = dtypes::float64;

Expr number(double value) {
  return make_float(value, real);
}

bool is_number(const Expr& e, double* value) {
  const auto* f = as<FloatImmNode>(e);
  if (f) *value = f->value;
  return f != nullptr;
}

Expr sum(const Expr& a, const Expr& b) {
  double x = 0, y = 0;
  const bool is_x = is_number(a, &x), is_y = is_number(b, &y);
  if (is_x && is_y) return number(x + y);
  if (is_x && x == 0) return b;
  if (is_y && y == 0) return a;
  return a + b;
}

Expr product(const Expr& a, const Expr& b) {
  double x = 0, y = 0;
  const bool is_x = is_number(a, &x), is_y = is_number(b, &y);
  if (is_x && is_y) return number(x * y);
  if ((is_x && x == 0) || (is_y && y == 0)) return number(0);
  if (is_x && x == 1) return b;
  if (is_y && y == 1) return a;
  return a * b;
}

class Counter {
 public:
  explicit Counter(const tir::PrimFunc& f) {
    for (const tir::Param& p : f->params) known_.insert(p.var.get());
    for (const Var& v : tir::bound_symbols(*f)) known_.insert(v.get());
  }

  Expr count(const tir::Stmt& s) {
    if (const auto* seq = tir::as<tir::SeqNode>(s)) {
      Expr all = number(0);
      for (const tir::Stmt& child : seq->stmts) all = sum(all, count(child));
      return all;
    }
    if (const auto* loop = tir::as<tir::ForNode>(s)) return count_loop(*loop);
    if (const auto* block = tir::as<tir::BlockNode>(s)) return count(block->body);
    if (const auto* choice = tir::as<tir::IfNode>(s)) {
      const Expr then = count(choice->then_body);
      return choice->else_body ? sum(then, count(choice->else_body)) : then;
    }
    if (const auto* let = tir::as<tir::LetNode>(s)) {
      const Expr value = substitute(let->value, lows_), high = substitute(let->value, highs_);
      lows_[let->var.get()] = value;
      highs_[let->var.get()] = high;
      return count(let->body);
    }
    if (const auto* loop = tir::as<tir::WhileNode>(s)) return count(loop->body);
    if (const auto* declare = tir::as<tir::DeclareNode>(s)) return count(declare->body);
    if (const auto* attr = tir::as<tir::AttrStmtNode>(s)) return count(attr->body);
    if (const auto* allocate = tir::as<tir::AllocateNode>(s)) return count(allocate->body);
    if (const auto* store = tir::as<tir::StoreNode>(s)) return number(store->value->dtype.lanes);
    return number(tir::as<tir::EvaluateNode>(s) ? 1 : 0);
  }

 private:
  Expr count_loop(const tir::ForNode& loop) {
    const Expr first = substitute(loop.extent, lows_), last = substitute(loop.extent, highs_);
    const bool is_known = knows(first) && knows(last);
    const Expr most =
        is_known ? (structural_equal(first, last) ? first : max(first, last)) : make_int(1);
    lows_[loop.var.get()] = substitute(loop.min, lows_);
    highs_[loop.var.get()] =
        is_known ? canonical(lows_[loop.var.get()] + most - make_int(1)) : lows_[loop.var.get()];
    const Expr inside = count(loop.body);
    int64_t times = 0;
    const Expr simple = canonical(most);
    if (as_const_int(simple, &times)) {
      return product(number(static_cast<double>(std::max<int64_t>(times, 0))), inside);
    }
    return product(make_cast(real, canonical(max(simple, make_int(0)))), inside);
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
  VarMap lows_, highs_;  // loop variables at their ends
};

}  // namespace

Expr operations_of(const tir::PrimFunc& f) {
  return Counter(f).count(f->body);
}

}  // namespace repose
