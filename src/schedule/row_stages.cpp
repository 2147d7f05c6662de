// How the stages of a row run.
#include "schedule/row_stages.h"

#include <algorithm>

#include "schedule/primitives.h"
#include "schedule/reduction.h"
#include "schedule/region.h"
#include "schedule/rule_parts.h"
#include "schedule/strides.h"

namespace repose::schedule {

namespace {

constexpr int64_t max_unrolled_steps = 16;  // of a window

bool stores_along(const Stage& s, const Var& axis) {
  for (size_t i = 0; i < s.indices.size(); ++i) {
    if (uses_var(s.indices[i], axis) && (i + 1 < s.indices.size() || s.indices[i] != axis)) {
      return false;
    }
  }
  return !s.indices.empty() && s.indices.back() == axis;
}

}  // namespace

int lanes_for(const Stage& s, const Target& target) {
  int bytes = s.target->dtype.size_bytes();
  visit(s.value, [&](const Expr& e) {
    if (!e->dtype.is_index() && !e->dtype.is_bool()) bytes = std::max(bytes, e->dtype.size_bytes());
    return e->kind != ExprKind::load;
  });
  return std::max(1, target.vector_bits / 8 / bytes);
}

Inner choose_inner(const Stage& s, const Target& target) {
  if (s.target->dtype.bits < 8) return Inner::scalar;
  if (s.is_reduction() && !s.reduce_axes.empty()) {
    if (stride_of_loads(s.value, s.reduce_axes.back()) != Stride::other &&
        !is_const_int(s.reduce_extents.back(), 1)) {
      // A window of a few columns would leave most lanes empty.
      int64_t steps = 0;
      const bool is_short = as_const_int(s.reduce_extents.back(), &steps) &&
                            steps < lanes_for(s, target) && !s.axes.empty() &&
                            !is_const_int(s.extents.back(), 1);
      const bool by_axis_too =
          !s.axes.empty() && stores_along(s, s.axes.back()) &&
          (is_short || stride_of_loads(s.value, s.axes.back()) == Stride::unit);
      if (!by_axis_too) return Inner::vector_reduce;
    }
    if (!s.axes.empty() && stores_along(s, s.axes.back()) && !is_const_int(s.extents.back(), 1)) {
      return Inner::vector_axis;  // strided or gathered loads still share one store
    }
    return Inner::scalar;
  }
  if (s.axes.empty() || is_const_int(s.extents.back(), 1) || !stores_along(s, s.axes.back())) {
    return Inner::scalar;
  }
  return stride_of_loads(s.value, s.axes.back()) == Stride::other ? Inner::scalar
                                                                  : Inner::vector_axis;
}

bool chooses_formula(const Stage& stage, size_t axis) {
  int64_t steps = 0;
  if (!as_const_int(stage.extents[axis], &steps) || steps > max_unrolled_steps) return false;
  bool found = false;
  visit(stage.value, [&](const Expr& e) {
    if (found || e->kind == ExprKind::load) return false;
    const bool selects = e->kind == ExprKind::select || e->kind == ExprKind::if_then_else;
    found = selects && e->args[0]->kind == ExprKind::eq &&
            e->args[0]->args[0] == stage.axes[axis] && is_constant(e->args[0]->args[1]);
    return !found;
  });
  return found;
}

Expr where_conditions_hold(const Scheduled& s, const Block& block,
                           const std::vector<std::pair<Loop, int64_t>>& steps,
                           const std::vector<Loop>& within) {
  const tir::BlockNode* node = find_block(s, block);
  VarMap over_loops;
  for (const tir::IterVar& iter : node->iters) over_loops.emplace(iter.var.get(), iter.value);
  std::vector<Expr> asked;
  visit(tir::as<tir::StoreNode>(node->body)->value, [&](const Expr& e) {
    if (e->kind == ExprKind::if_then_else) {
      for (const Expr& c : conjuncts_of(e->args[0])) asked.push_back(substitute(c, over_loops));
    }
    return true;
  });
  for (const auto& [loop, extent] : steps) {
    for (size_t j = 0, count = asked.size(); j < count; ++j) {
      if (!uses_var(asked[j], loop.var)) continue;
      asked.push_back(substitute(asked[j], {{loop.var.get(), make_int(extent - 1)}}));
      asked[j] = substitute(asked[j], {{loop.var.get(), make_int(0)}});
    }
  }
  for (const Expr& c : asked) {
    if (has_load(c)) return nullptr;
    for (const Loop& loop : within) {
      if (uses_var(c, loop.var)) return nullptr;
    }
  }
  return conjunction_of(asked);
}

Result<void> in_vectors(Scheduled& s, const Loop& loop, int lanes) {
  REPOSE_TRY(tiles, split(s, loop, make_int(lanes), Tail::vector));
  for (size_t i = 1; i < tiles.size(); i += 2) REPOSE_RUN(vectorize(s, tiles[i]));
  return {};
}

namespace {

class RowStage {
 public:
  RowStage(Scheduled& s, const Target& target, const Loop& row)
      : s_(s), target_(target), row_(row) {}

  Result<void> run(const Stage& stage, const Block& block) {
    const int lanes = lanes_for(stage, target_);
    const std::vector<Loop> all = loops_of(s_, block, row_);
    const size_t reduces = stage.reduce_axes.size();
    const size_t own = all.size() - reduces;
    const Inner inner = choose_inner(stage, target_);
    if (!stage.is_reduction() || reduces == 0) {
      for (size_t i = 0; i + 1 < own; ++i) {
        const size_t axis = stage.axes.size() - own + i;
        if (chooses_formula(stage, axis)) REPOSE_RUN(unroll(s_, all[i]));
      }
      return inner == Inner::vector_axis && own > 0 ? in_vectors(s_, all.back(), lanes)
                                                    : Result<void>();
    }
    const std::vector<Loop> k(all.begin() + static_cast<int64_t>(own), all.end());
    if (inner == Inner::vector_axis && own > 0)
      return reduce_in_lanes(stage, block, all[own - 1], lanes);
    if (inner == Inner::vector_reduce) return reduce_vectors(stage, block, k, lanes);
    const Loop at = own > 0 ? all[own - 1] : row_;
    const Buffer& target = target_of(s_, block);
    const bool is_scalar = target->scope == Scope::local && is_const_int(product(target->shape), 1);
    if (!is_scalar) REPOSE_RUN(cache_write(s_, block, at, Scope::local));
    REPOSE_RUN(decompose_reduction(s_, block, k[0]));
    return add_up(stage, block);
  }

 private:
  // Sums of neighbouring elements in the lanes of a vector.
  Result<void> reduce_in_lanes(const Stage& stage, const Block& block, const Loop& axis,
                               int lanes) {
    if (!find_block(s_, block)) return illegal("there is no block `{}`", block.name);
    const auto steps = known_steps(stage, block);
    std::vector<Loop> own_axes = loops_of(s_, block, row_);
    own_axes.resize(own_axes.size() - stage.reduce_axes.size());
    const Expr inside = steps ? where_conditions_hold(s_, block, *steps, own_axes) : nullptr;
    REPOSE_TRY(cut, split(s_, axis, make_int(lanes), Tail::vector));
    std::vector<Loop> tiles;
    for (size_t i = 0; i < cut.size(); i += 2) tiles.push_back(cut[i]);
    for (const Loop& tile : tiles) {
      const Block own{blocks_in(find_loop(s_, tile)->body)[0]->name};
      REPOSE_TRY(save, cache_write(s_, own, tile, Scope::local));
      std::vector<Loop> loops = loops_of(s_, own, tile);  // the lane, then the reduction
      std::rotate(loops.begin(), loops.begin() + 1, loops.end());
      REPOSE_RUN(reorder(s_, loops));
      REPOSE_TRY(init, decompose_reduction(s_, own, loops[0]));
      REPOSE_RUN(add_up(stage, own));
      for (const Block& b : {init, own, save}) {
        REPOSE_RUN(vectorize(s_, loops_of(s_, b, tile).back()));
      }
      REPOSE_RUN(unroll_window(stage, own, tile));
      if (inside) REPOSE_RUN(specialize(s_, tile, inside));
    }
    return {};
  }

  // The steps of a small window, one after another.
  Result<void> unroll_window(const Stage& stage, const Block& block, const Loop& tile) {
    const std::vector<Loop> loops = loops_of(s_, block, tile);
    int64_t steps = 1;
    for (size_t i = stage.reduce_axes.size(); i-- > 0;) {
      int64_t extent = 0;
      if (!as_const_int(stage.reduce_extents[i], &extent) || extent == 0) break;
      steps *= extent;
      if (steps > max_unrolled_steps) break;
      REPOSE_RUN(unroll(s_, loops[i]));
    }
    return {};
  }

  // The loops of a reduction and their extents, where those are known.
  std::optional<std::vector<std::pair<Loop, int64_t>>> known_steps(const Stage& stage,
                                                                   const Block& block) const {
    const std::vector<Loop> loops = loops_of(s_, block);
    std::vector<std::pair<Loop, int64_t>> steps;
    for (size_t i = 0; i < stage.reduce_axes.size(); ++i) {
      int64_t extent = 0;
      if (!as_const_int(stage.reduce_extents[i], &extent) || extent == 0) return std::nullopt;
      steps.emplace_back(loops[loops.size() - stage.reduce_axes.size() + i], extent);
    }
    return steps;
  }

  // Partial results in the lanes of one wide vector, combined in a fixed order at the end.
  Result<void> reduce_vectors(const Stage& stage, const Block& block, const std::vector<Loop>& k,
                              int lanes) {
    // Several registers hide the latency of the combining operation where the reduction is long.
    int64_t known = 0;
    const Expr& extent = stage.reduce_extents.back();
    if (!as_const_int(extent, &known) || known >= 4 * lanes) lanes *= 4;
    REPOSE_TRY(cut, split(s_, k.back(), make_int(lanes), Tail::masked));
    const Loop outer = cut[0], lane = cut[1];
    const std::vector<Loop> before = loops_of(s_, block);
    REPOSE_TRY(combine, split_reduction(s_, block, lane));
    const Buffer parts = target_of(s_, block);
    // Around both: the loop outside of the reduction.
    const size_t first_k = before.size() - k.size() - 1;
    const Loop at = first_k > 0 ? before[first_k - 1] : Loop{};
    REPOSE_RUN(set_scope(s_, parts, Scope::local, at));
    REPOSE_TRY(init, decompose_reduction(s_, block, k.size() > 1 ? k[0] : outer));
    REPOSE_RUN(add_up(stage, block));
    REPOSE_RUN(combine_lanes(s_, combine));
    REPOSE_RUN(vectorize(s_, loops_of(s_, init).back()));
    if (!is_const_int(canonical(floor_mod(extent, make_int(lanes))), 0)) {
      REPOSE_TRY(ends, partition(s_, outer, canonical(floor_div(extent, make_int(lanes)))));
      for (const Loop& part : ends) {
        const tir::ForNode* inside = find_loop(s_, part);
        REPOSE_RUN(vectorize(s_, Loop{tir::as<tir::ForNode>(inner_body(*inside))->var}));
      }
      return {};
    }
    return vectorize(s_, lane);
  }

  // A product that is summed becomes a fused multiply-add.
  Result<void> add_up(const Stage& stage, const Block& block) {
    const bool is_product = stage.reducer == te::Reducer::sum &&
                            stage.value->kind == ExprKind::mul && stage.value->dtype.is_float();
    return is_product ? contract_multiply_add(s_, block) : Result<void>();
  }

  Scheduled& s_;
  const Target& target_;
  const Loop row_;
};

}  // namespace

Result<void> run_in_row(Scheduled& s, const Target& target, const Stage& stage, const Block& block,
                        const Loop& row) {
  return RowStage(s, target, row).run(stage, block);
}

}  // namespace repose::schedule
