// Names for quotients and remainders.
#include "schedule/name_quotients.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "expr/facts.h"
#include "schedule/known_facts.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

bool is_quotient(const Expr& e) {
  return (e->kind == ExprKind::floor_div || e->kind == ExprKind::floor_mod) && e->dtype.is_index();
}

struct Hash {
  size_t operator()(const Expr& e) const { return e->hash(); }
};
struct Equal {
  bool operator()(const Expr& a, const Expr& b) const { return structural_equal(a, b); }
};

// How often each quotient stands in a statement; inside of loops it counts twice.
class Uses {
 public:
  explicit Uses(const Stmt& s) { count(s, 1); }
  bool none() const { return counts_.empty(); }
  int of(const Expr& e) const {
    auto it = counts_.find(e);
    return it == counts_.end() ? 0 : it->second;
  }

 private:
  void count(const Stmt& s, int weight) {
    if (!s) return;
    bool is_self = true;
    tir::visit_stmts(s, [&](const Stmt& at) {
      if (at != s || !is_self) {
        count(at, weight);
        return false;
      }
      is_self = false;
      tir::visit_exprs_of(s, [&](const Expr& e) { count(e, weight); });
      if (const auto* loop = tir::as<ForNode>(s)) {
        count(loop->body, 2);
        return false;
      }
      return true;
    });
  }
  void count(const Expr& e, int weight) {
    visit(e, [&](const Expr& node) {
      if (is_quotient(node)) counts_[node] += weight;
      return true;
    });
  }
  std::unordered_map<Expr, int, Hash, Equal> counts_;
};

class Naming : public tir::StmtRewriter {
 public:
  explicit Naming(const tir::PrimFunc& f) {
    for (const tir::Param& p : f->params) {
      if (p.var) visible_.insert(p.var.get());
    }
    for (const Var& v : tir::bound_symbols(*f)) visible_.insert(v.get());
  }

  // The statement with names for what can be computed where it begins.
  Stmt name_here(const Stmt& s) {
    if (const auto* let = tir::as<tir::LetNode>(s)) {
      visible_.insert(let->var.get());
      return tir::make<tir::LetNode>(let->var, let->value, name_here(let->body), let->span);
    }
    if (const auto* allocate = tir::as<tir::AllocateNode>(s)) {
      return tir::make<tir::AllocateNode>(allocate->buffer, name_here(allocate->body),
                                          allocate->span);
    }
    if (const auto* view = tir::as<tir::DeclareNode>(s)) {
      return tir::make<tir::DeclareNode>(view->buffer, view->data, name_here(view->body),
                                         view->span);
    }
    const Uses uses(s);
    if (uses.none()) return s;
    Named named{uses, {}, {}, {}};
    Stmt body = Renaming(*this, named).rewrite(s);
    body = rewrite(body);
    for (size_t i = named.order.size(); i-- > 0;) {
      body = tir::make<tir::LetNode>(named.order[i].first, named.order[i].second, std::move(body));
    }
    return body;
  }

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* loop = tir::as<ForNode>(s);
    if (!loop) {
      if (const auto* let = tir::as<tir::LetNode>(s)) visible_.insert(let->var.get());
      return tir::StmtRewriter::rewrite_stmt(s);
    }
    // What lanes do is said in terms of their variable.
    if (loop->loop_kind == tir::ForKind::vectorized) return s;
    visible_.insert(loop->var.get());
    loops_.push_back(loop);
    Stmt body =
        loop->loop_kind == tir::ForKind::unrolled ? rewrite(loop->body) : name_here(loop->body);
    loops_.pop_back();
    if (facts_.size() > loops_.size()) facts_.resize(loops_.size());
    if (body == loop->body) return s;
    return tir::make<ForNode>(loop->var, loop->min, loop->extent, loop->loop_kind, std::move(body),
                              loop->thread, loop->annotations, loop->span);
  }

 private:
  struct Named {
    const Uses& uses;
    std::unordered_map<Expr, Var, Hash, Equal> names;
    std::vector<std::pair<Var, Expr>> order;
    std::unordered_set<Expr, Hash, Equal> refused;
  };

  class Renaming : public tir::StmtRewriter {
   public:
    Renaming(Naming& naming, Named& named) : naming_(naming), named_(named) {}

   protected:
    Expr rewrite_expr(const Expr& e) override { return named(e); }

   private:
    // Top down: what is inside of a name needs none.
    Expr named(const Expr& e) {
      if (is_quotient(e)) {
        auto it = named_.names.find(e);
        if (it != named_.names.end()) return it->second;
        if (!named_.refused.count(e)) {
          if (named_.uses.of(e) > 1 && naming_.can_run_here(e)) return name_for(e);
          named_.refused.insert(e);
        }
      }
      std::vector<Expr> args;
      for (const Expr& a : e->args) args.push_back(named(a));
      return args == e->args ? e : with_args(e, std::move(args));
    }
    Expr name_for(const Expr& e) {
      std::vector<Expr> args;
      for (const Expr& a : e->args) args.push_back(named(a));
      Var name = make_var(e->kind == ExprKind::floor_div ? "q" : "r", dtypes::index, VarRole::let);
      named_.order.emplace_back(name, with_args(e, std::move(args)));
      named_.names.emplace(e, name);
      naming_.visible_.insert(name.get());
      return name;
    }

    Naming& naming_;
    Named& named_;
  };

  bool can_run_here(const Expr& e) {
    bool fits = true, has_variable = false;
    visit(e, [&](const Expr& node) {
      if (const auto* v = as<VarNode>(node)) {
        // What sizes alone say stays as it is: programs that differ in it may become one.
        has_variable = has_variable || v->role == VarRole::loop || v->role == VarRole::let;
        fits = fits && visible_.count(v);
      }
      fits = fits && node->kind != ExprKind::load && node->kind != ExprKind::call;
      return fits;
    });
    if (!fits || !has_variable) return false;
    visit(e, [&](const Expr& node) {
      if (is_quotient(node)) fits = fits && is_not_zero(node->args[1]);
      return fits;
    });
    return fits;
  }

  bool is_not_zero(const Expr& divisor) {
    int64_t known = 0;
    if (as_const_int(divisor, &known)) return known != 0;
    // Along the loops around, each once.
    for (size_t i = facts_.size(); i < loops_.size(); ++i) {
      facts_.push_back(i > 0 ? facts_[i - 1] : Facts());
      assume_in_range(facts_[i], loops_[i]->var, loops_[i]->extent);
    }
    return prove_nonzero(divisor, loops_.empty() ? Facts() : facts_[loops_.size() - 1]) ==
           Truth::yes;
  }

  std::unordered_set<const VarNode*> visible_;
  std::vector<const ForNode*> loops_;
  std::vector<Facts> facts_;  // inside of each of them
};

}  // namespace

tir::Stmt name_quotients(const tir::PrimFunc& f) {
  return Naming(f).name_here(f->body);
}

}  // namespace repose::schedule
