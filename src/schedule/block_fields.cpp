// Regions of blocks, from their bodies.
#include "schedule/block_fields.h"

#include <algorithm>
#include <unordered_set>

#include "expr/facts.h"

namespace repose::schedule {

namespace {

// What a subscript of one access runs over: more than a point if it is of a vector.
tir::Range range_of(const Expr& index) {
  int64_t stride = 0;
  if (index->kind != ExprKind::ramp || !as_const_int(index->args[1], &stride) || stride < 1) {
    return {index, make_int(1)};
  }
  return {index->args[0], make_int((index->dtype.lanes - 1) * stride + 1)};
}

void add_point(std::vector<tir::Region>& regions, const Buffer& buffer,
               const std::vector<Expr>& indices) {
  tir::Region region{buffer, {}};
  for (const Expr& i : indices) region.ranges.push_back(range_of(i));
  for (const tir::Region& known : regions) {
    bool same = known.buffer == buffer;
    for (size_t d = 0; same && d < indices.size(); ++d) {
      same = structural_equal(known.ranges[d].min, region.ranges[d].min) &&
             structural_equal(known.ranges[d].extent, region.ranges[d].extent);
    }
    if (same) return;
  }
  regions.push_back(std::move(region));
}

class CanonicalSubscripts : public tir::StmtRewriter {
 public:
  explicit CanonicalSubscripts(const Facts& facts) : facts_(facts) {}

 protected:
  tir::Stmt rewrite_stmt(const tir::Stmt& s) override {
    const auto* store = tir::as<tir::StoreNode>(s);
    if (!store) return tir::StmtRewriter::rewrite_stmt(s);
    return tir::make<tir::StoreNode>(store->buffer, canonical_list(store->indices),
                                     rewrite_expr(store->value), store->span,
                                     store->predicate ? rewrite_expr(store->predicate) : nullptr);
  }
  Expr rewrite_expr(const Expr& e) override {
    return repose::rewrite(e, [&](const Expr& node) -> Expr {
      return node->kind == ExprKind::load ? with_args(node, canonical_list(node->args)) : node;
    });
  }

 private:
  std::vector<Expr> canonical_list(const std::vector<Expr>& indices) const {
    std::vector<Expr> result;
    for (const Expr& i : indices) {
      result.push_back(canonical(i));
      if (has_division(result.back())) result.back() = simplify(result.back(), facts_);
    }
    return result;
  }
  static bool has_division(const Expr& e) {
    bool found = false;
    visit(e, [&](const Expr& node) {
      found = found || node->kind == ExprKind::floor_div || node->kind == ExprKind::floor_mod;
      return !found;
    });
    return found;
  }

  const Facts& facts_;
};

}  // namespace

tir::Stmt with_canonical_subscripts(const tir::Stmt& s, const Facts& facts) {
  return CanonicalSubscripts(facts).rewrite(s);
}

tir::Stmt canonical_block(tir::BlockNode::Fields fields) {
  fields.body = with_canonical_subscripts(fields.body);
  if (fields.init) fields.init = with_canonical_subscripts(fields.init);
  return make_block(std::move(fields));
}

tir::Stmt make_block(tir::BlockNode::Fields fields) {
  fields.reads.clear();
  fields.writes.clear();
  std::unordered_set<const VarNode*> used;
  auto see = [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      if (const auto* v = as<VarNode>(node)) used.insert(v);
      if (const auto* load = as<LoadNode>(node)) add_point(fields.reads, load->buffer, node->args);
      return true;
    });
  };
  for (const tir::Stmt& part : {fields.init, fields.body}) {
    if (!part) continue;
    tir::visit_stmts(part, [&](const tir::Stmt& s) {
      if (const auto* store = tir::as<tir::StoreNode>(s)) {
        add_point(fields.writes, store->buffer, store->indices);
      }
      tir::visit_exprs_of(s, see);
      return true;
    });
  }
  if (fields.predicate) {  // over loops: what it loads is no region of the block's
    for (const Var& v : free_vars(fields.predicate)) used.insert(v.get());
  }
  std::erase_if(fields.iters, [&](const tir::IterVar& iter) {
    return iter.kind == tir::IterKind::spatial && !used.count(iter.var.get());
  });
  return tir::make<tir::BlockNode>(std::move(fields));
}

}  // namespace repose::schedule
