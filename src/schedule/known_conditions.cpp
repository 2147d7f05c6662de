// Conditions that hold for certain, left out.
#include "schedule/known_conditions.h"

#include <algorithm>

#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

class Decision : public tir::StmtRewriter {
 public:
  explicit Decision(const Facts& facts) : facts_(facts) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    // What holds inside is forgotten behind it.
    const Facts outside = facts_;
    Stmt result = decided(s);
    facts_ = outside;
    return result;
  }

  // Of `if_then_else`, what is never taken goes.
  Expr rewrite_expr(const Expr& e) override {
    if (!has_choice(e)) return e;
    return repose::rewrite(e, [&](const Expr& node) -> Expr {
      if (node->kind != ExprKind::if_then_else || has_load(node->args[0])) return node;
      const Expr condition = open_part(node->args[0]);
      if (!condition) return node->args[1];
      if (condition == node->args[0]) return node;
      return make_if_then_else(condition, node->args[1], node->args[2]);
    });
  }

 private:
  static bool has_choice(const Expr& e) {
    bool found = false;
    visit(e, [&](const Expr& node) {
      found = found || node->kind == ExprKind::if_then_else;
      return !found;
    });
    return found;
  }

  Stmt decided(const Stmt& s) {
    if (const auto* loop = tir::as<ForNode>(s)) return decided(*loop, s);
    if (const auto* branch = tir::as<tir::IfNode>(s)) return decided(*branch, s);
    if (const auto* block = tir::as<tir::BlockNode>(s)) return decided(*block, s);
    if (const auto* let = tir::as<tir::LetNode>(s)) {
      if (let->var->dtype.is_index() && !has_load(let->value)) {
        facts_.assume(eq(let->var, let->value));
      }
    }
    return tir::StmtRewriter::rewrite_stmt(s);
  }

  Stmt decided(const ForNode& loop, const Stmt& s) {
    const Expr extent = decided_extent(loop.extent);
    if (is_const_int(loop.min, 0)) {
      assume_in_range(facts_, loop.var, loop.extent);
    } else {
      facts_.assume(le(loop.min, loop.var));
      facts_.assume(lt(loop.var, loop.min + loop.extent));
    }
    Stmt body = rewrite(loop.body);
    if (body == loop.body && extent == loop.extent) return s;
    return tir::make<ForNode>(loop.var, loop.min, extent, loop.loop_kind, std::move(body),
                              loop.thread, loop.annotations, loop.span);
  }

  Stmt decided(const tir::IfNode& branch, const Stmt& s) {
    const Expr condition = open_part(branch.condition);
    if (!condition) return rewrite(branch.then_body);
    if (prove(condition, facts_) == Truth::no) {
      return branch.else_body ? rewrite(branch.else_body) : tir::make_seq({});
    }
    const Facts outside = facts_;
    assume_lasting(facts_, condition);
    Stmt then_body = rewrite(branch.then_body);
    facts_ = outside;
    Stmt else_body = rewrite(branch.else_body);
    if (condition == branch.condition && then_body == branch.then_body &&
        else_body == branch.else_body) {
      return s;
    }
    return tir::make<tir::IfNode>(condition, std::move(then_body), std::move(else_body),
                                  branch.span);
  }

  Stmt decided(const tir::BlockNode& block, const Stmt& s) {
    for (const tir::IterVar& iter : block.iters) {
      // Conditions are over loops, or over axes.
      if (is_mentioned(block, iter.var)) assume_lasting(facts_, eq(iter.var, iter.value));
    }
    tir::BlockNode::Fields fields = block.fields();
    if (fields.predicate) {
      fields.predicate = open_part(fields.predicate);
      if (fields.predicate) assume_lasting(facts_, fields.predicate);
    }
    fields.body = rewrite(fields.body);
    fields.init = rewrite(fields.init);
    if (fields.predicate == block.predicate && fields.body == block.body &&
        fields.init == block.init) {
      return s;
    }
    return tir::make<tir::BlockNode>(std::move(fields));
  }

  static bool is_mentioned(const tir::BlockNode& block, const Var& axis) {
    if (block.predicate && uses_var(block.predicate, axis)) return true;
    bool found = false;
    tir::visit_stmts(block.body, [&](const Stmt& s) {
      const auto* branch = tir::as<tir::IfNode>(s);
      const auto* loop = tir::as<ForNode>(s);
      found = found || (branch && uses_var(branch->condition, axis)) ||
              (loop && uses_var(loop->extent, axis));
      tir::visit_exprs_of(s, [&](const Expr& e) { found = found || chooses_by(e, axis); });
      return !found;
    });
    return found;
  }
  static bool chooses_by(const Expr& e, const Var& axis) {
    bool found = false;
    visit(e, [&](const Expr& node) {
      found = found || (node->kind == ExprKind::if_then_else && uses_var(node->args[0], axis));
      return !found;
    });
    return found;
  }

  // The constant that an extent is, if it is one.
  Expr decided_extent(const Expr& extent) const {
    if (is_constant(extent)) return extent;
    Expr simple = simplify(extent, facts_);
    if (is_constant(simple)) return simple;
    // Of last tiles, which `let`s name.
    const std::vector<Var> vars = free_vars(extent);
    const bool is_tile =
        std::any_of(vars.begin(), vars.end(), [](const Var& v) { return v->role == VarRole::let; });
    if (!is_tile) return extent;
    // The shorter last tile of a loop that is full: its longest extent is the only one.
    const Interval known = bounds(extent, facts_);
    if (known.upper == Interval::plus_infinity) return extent;
    const Expr largest = make_int(known.upper);
    return prove_equal(extent, largest, facts_) == Truth::yes ? largest : extent;
  }

  // The conjuncts that may not hold; null: there is none.
  Expr open_part(const Expr& condition) const {
    std::vector<Expr> open;
    const std::vector<Expr> all = conjuncts_of(condition);
    for (const Expr& e : all) {
      if (prove(e, facts_) != Truth::yes) open.push_back(e);
    }
    return open.size() == all.size() ? condition : conjunction_of(open);
  }

  Facts facts_;
};

}  // namespace

Stmt without_known_conditions(const Stmt& root, const Facts& facts) {
  return Decision(facts).rewrite(root);
}

}  // namespace repose::schedule
