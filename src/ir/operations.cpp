// How much a tensor program computes.
#include "ir/operations.h"

#include <algorithm>
#include <unordered_map>
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

// Goes through a program; what counts is up to those derived from it.
class LoopCounter {
 public:
  explicit LoopCounter(const tir::PrimFunc& f) {
    for (const tir::Param& p : f->params) known_.insert(p.var.get());
    for (const Var& v : tir::bound_symbols(*f)) known_.insert(v.get());
  }

  virtual ~LoopCounter() = default;

  void count(const tir::Stmt& s) {
    step(s);
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
    }
  }

 protected:
  // A statement, which runs as often as the product of the extents says.
  virtual void step(const tir::Stmt& s) = 0;

  std::vector<Expr> extents_;  // of the loops around

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
  VarMap lows_, highs_;  // loop variables at their ends
};

class StoreCounter : public LoopCounter {
 public:
  using LoopCounter::LoopCounter;

  Operations counted;

 protected:
  void step(const tir::Stmt& s) override {
    if (const auto* store = tir::as<tir::StoreNode>(s)) {
      counted.add(store->value->dtype.lanes, extents_);
    } else if (tir::as<tir::EvaluateNode>(s)) {
      counted.add(1, extents_);
    }
  }
};

// Floating-point operations of one node.
int flops_of(const ExprNode& e) {
  if (!e.dtype.is_float()) return 0;
  switch (e.kind) {
    case ExprKind::add:
    case ExprKind::sub:
    case ExprKind::mul:
    case ExprKind::div:
    case ExprKind::mod:
    case ExprKind::min:
    case ExprKind::max:
      return e.dtype.lanes;
    case ExprKind::call:
      break;
    default:
      return 0;
  }
  const auto& call = static_cast<const CallNode&>(e);
  if (call.intrinsic == Intrinsic::fma) return 2 * e.dtype.lanes;
  return call.intrinsic < Intrinsic::isnan ? e.dtype.lanes : 0;
}

class WorkCounter : public LoopCounter {
 public:
  explicit WorkCounter(const tir::PrimFunc& f) : LoopCounter(f), f_(f) {
    tir::visit_stmts(f->body, [&](const tir::Stmt& s) {
      if (const auto* store = tir::as<tir::StoreNode>(s)) written_.insert(store->buffer.get());
      return true;
    });
  }

  ProgramWork finish() {
    Expr read = make_float(0, dtypes::float64), written = read;
    for (const tir::Param& p : f_->params) {
      if (!p.buffer || !accessed_.contains(p.buffer.get())) continue;
      Operations whole;
      whole.add(p.buffer->dtype.size_bytes(), p.buffer->shape);
      Expr& sum = written_.contains(p.buffer.get()) ? written : read;
      sum = sum + min(whole.to_expr(), accessed_.at(p.buffer.get()).to_expr());
    }
    return {std::move(flops_), read, written};
  }

 protected:
  void step(const tir::Stmt& s) override {
    std::unordered_set<const ExprNode*> seen;  // what is shared is computed once
    auto look_at = [&](const Expr& root) {
      visit(root, [&](const Expr& e) {
        if (!seen.insert(e.get()).second) return false;
        if (const int flops = flops_of(*e)) flops_.add(flops, extents_);
        const auto* load = as<LoadNode>(e);
        // What the program wrote itself is there.
        if (load && !written_.contains(load->buffer.get())) access(load->buffer, e->dtype.lanes);
        return true;
      });
    };
    if (tir::as<tir::ForNode>(s) || tir::as<tir::BlockNode>(s)) return;  // subscripts
    tir::visit_exprs_of(s, look_at);
    if (const auto* store = tir::as<tir::StoreNode>(s)) {
      access(store->buffer, store->value->dtype.lanes);
    }
  }

 private:
  void access(const Buffer& b, int lanes) {
    accessed_[b.get()].add(b->dtype.size_bytes() * lanes, extents_);
  }

  const tir::PrimFunc& f_;
  Operations flops_;
  std::unordered_set<const BufferNode*> written_;
  std::unordered_map<const BufferNode*, Operations> accessed_;
};

}  // namespace

Operations operations_of(const tir::PrimFunc& f) {
  StoreCounter counter(f);
  counter.count(f->body);
  return std::move(counter.counted);
}

ProgramWork work_of(const tir::PrimFunc& f) {
  WorkCounter counter(f);
  counter.count(f->body);
  return counter.finish();
}

}  // namespace repose
