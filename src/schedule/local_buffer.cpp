// Accesses of a buffer turned to a small one that holds a part of it.
#include "schedule/local_buffer.h"

#include <algorithm>

#include "schedule/block_fields.h"

namespace repose::schedule {

using tir::Stmt;

namespace {

// Known where the program begins: workspace is laid out there.
bool is_known_early(const Scheduled& s, const Expr& e) {
  std::vector<Var> known = tir::bound_symbols(*s.func);
  for (const tir::Param& p : s.func->params) {
    if (!p.buffer) known.push_back(p.var);
  }
  bool result = true;
  visit(e, [&](const Expr& node) {
    const auto* v = as<VarNode>(node);
    if (node->kind == ExprKind::load) result = false;
    if (v && std::none_of(known.begin(), known.end(), [&](const Var& k) { return k.get() == v; })) {
      result = false;
    }
    return result;
  });
  return result;
}

}  // namespace

Result<Buffer> local_buffer(Scheduled& s, const std::string& name, DType dtype,
                            const std::vector<tir::Range>& box, Scope scope, const Facts& facts,
                            bool keeps_rank) {
  if (scope != Scope::local && scope != Scope::workspace) {
    return illegal("a buffer of a loop is local or workspace, not {}", scope_name(scope));
  }
  std::vector<Expr> shape;
  for (const tir::Range& range : box) {
    Expr extent = range.extent;
    if (is_const_int(extent, 1) && !keeps_rank) continue;
    if (!is_constant(extent) && (scope == Scope::local || !is_known_early(s, extent))) {
      const Interval known = bounds(extent, facts);
      if (known.upper == Interval::plus_infinity) {
        return illegal("`{}` would have the extent {}, of which no constant bound is known", name,
                       to_string(extent));
      }
      extent = make_int(std::max<int64_t>(0, known.upper));
    }
    // Loops that never run may touch less than nothing.
    if (prove_le(make_int(0), extent, facts) != Truth::yes) extent = max(extent, make_int(0));
    shape.push_back(std::move(extent));
  }
  if (shape.empty()) shape.push_back(make_int(1));
  return make_buffer(s.fresh(name), std::move(shape), dtype, scope, {}, nullptr, 64);
}

namespace {

class AccessMove : public tir::StmtRewriter {
 public:
  AccessMove(const Buffer& from, const Buffer& to, const std::vector<tir::Range>& box)
      : from_(from), to_(to), box_(box), keeps_rank_(to->shape.size() == from->shape.size()) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (block && !block_) {
      tir::BlockNode::Fields fields = block->fields();
      block_ = &fields;
      moved_ = false;
      // The axes grow as subscripts need them.
      fields.body = rewrite(fields.body);
      fields.init = rewrite(fields.init);
      block_ = nullptr;
      return moved_ ? tir::StmtRewriter::rewrite_stmt(make_block(std::move(fields))) : s;
    }
    if (const auto* store = tir::as<tir::StoreNode>(s); store && store->buffer == from_) {
      moved_ = true;
      return tir::make<tir::StoreNode>(to_, moved(store->indices), rewrite_expr(store->value),
                                       store->span,
                                       store->predicate ? rewrite_expr(store->predicate) : nullptr);
    }
    return tir::StmtRewriter::rewrite_stmt(s);
  }

  Expr rewrite_expr(const Expr& e) override { return rewrite_loads(e); }

 private:
  Expr rewrite_loads(const Expr& e) {
    return repose::rewrite(e, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      if (!load || load->buffer != from_) return node;
      moved_ = true;
      return make_load(to_, moved(node->args));
    });
  }

  std::vector<Expr> moved(const std::vector<Expr>& indices) {
    std::vector<Expr> result;
    for (size_t d = 0; d < indices.size(); ++d) {
      if (is_const_int(box_[d].extent, 1) && !keeps_rank_) continue;
      result.push_back(moved(indices[d], d, to_->shape[result.size()]));
    }
    if (result.empty()) result.push_back(make_int(0));
    return result;
  }

  Expr moved(const Expr& index, size_t d, const Expr& extent) {
    const Expr& corner = box_[d].min;
    if (!block_) return canonical(index - corner);
    if (is_const_int(corner, 0)) return index;
    if (is_constant(corner)) return canonical(index - corner);
    // What the axes of a reduction add to the subscript stays beside an axis for the rest: those
    // axes say where the reduction begins.
    VarMap values, first;
    for (const tir::IterVar& iter : block_->iters) {
      values.emplace(iter.var.get(), iter.value);
      if (iter.kind != tir::IterKind::spatial) first.emplace(iter.var.get(), make_int(0));
    }
    if (const VarMap begin = begin_of_reduction(corner); !begin.empty()) {
      // An axis of the reduction is 0 where that begins.
      const Expr fixed = substitute(corner, begin), moving = canonical(corner - fixed);
      const std::string name = from_->name + "_at";
      const Expr at = axis(moving, from_->shape[d], name, tir::IterKind::reduce);
      if (is_constant(canonical(fixed))) return index - at - canonical(fixed);
      return index - at - axis(fixed, from_->shape[d], name, tir::IterKind::spatial);
    }
    const Expr rest = substitute(index, first);
    const Expr added = rest == index ? make_int(0) : canonical(index - rest);
    const Expr value = canonical(substitute(rest, values) - corner);
    if (is_constant(value)) return canonical(value + added);
    for (const tir::IterVar& iter : block_->iters) {
      if (iter.kind != tir::IterKind::spatial || !uses_var(added, iter.var)) continue;
      return index - axis(corner, from_->shape[d], from_->name + "_at", tir::IterKind::spatial);
    }
    return axis(value, extent, to_->name + "_at", tir::IterKind::spatial) + added;
  }

  // What `e` mentions of the reduction's loops, with what it is in the first step.
  VarMap begin_of_reduction(const Expr& e) const {
    VarMap begin;
    for (const tir::IterVar& iter : block_->iters) {
      if (iter.kind == tir::IterKind::spatial) continue;
      for (const Var& v : free_vars(iter.value)) {
        if (uses_var(e, v)) begin.emplace(v.get(), make_int(0));
      }
    }
    return begin;
  }

  // An axis of the block that has this value.
  Expr axis(const Expr& value, const Expr& extent, const std::string& name, tir::IterKind kind) {
    for (const tir::IterVar& iter : block_->iters) {
      if (iter.kind == kind && is_const_int(iter.min, 0) && structural_equal(iter.value, value) &&
          structural_equal(iter.extent, extent)) {
        return iter.var;
      }
    }
    Var v = make_var("v_" + name, dtypes::index, VarRole::loop);
    // Spatial axes come before those of reductions.
    auto at =
        std::find_if(block_->iters.begin(), block_->iters.end(),
                     [](const tir::IterVar& iter) { return iter.kind != tir::IterKind::spatial; });
    block_->iters.insert(at, {v, make_int(0), extent, kind, value});
    return v;
  }

  const Buffer& from_;
  const Buffer& to_;
  const std::vector<tir::Range>& box_;
  const bool keeps_rank_;
  tir::BlockNode::Fields* block_ = nullptr;
  bool moved_ = false;
};

}  // namespace

Stmt moved_accesses(const Stmt& root, const Buffer& from, const Buffer& to,
                    const std::vector<tir::Range>& box) {
  return AccessMove(from, to, box).rewrite(root);
}

}  // namespace repose::schedule
