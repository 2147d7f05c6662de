// The schedule of elementwise programs, reductions, and chains of them over rows.
#include <algorithm>
#include <limits>

#include "schedule/primitives.h"
#include "schedule/reduction.h"
#include "schedule/region.h"
#include "schedule/rule_parts.h"
#include "schedule/rules.h"
#include "schedule/strides.h"

namespace repose::schedule {

namespace {

constexpr int64_t flat_block = 4096;        // elements that a thread takes at a time, at least
constexpr int64_t work_per_piece = 16384;   // element operations that are worth a thread's wake-up
constexpr int64_t transposed_block = 16;    // elements: a cache line of most of them
constexpr int64_t max_unrolled_steps = 16;  // of a window
constexpr int64_t max_local_bytes = 16 << 10;  // of a row buffer on the stack

// How the innermost loop of a stage runs.
enum class Inner : uint8_t {
  scalar,         // one element after another
  vector_axis,    // vectors along the last spatial axis
  vector_reduce,  // vectors of partial results along the last reduction axis
};

bool stores_along(const Stage& s, const Var& axis) {
  for (size_t i = 0; i < s.indices.size(); ++i) {
    if (uses_var(s.indices[i], axis) && (i + 1 < s.indices.size() || s.indices[i] != axis)) {
      return false;
    }
  }
  return !s.indices.empty() && s.indices.back() == axis;
}

int lanes_for(const Stage& s, const Target& target) {
  // All lanes of a stage run together: the widest element type decides.
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

class RowsRule {
 public:
  RowsRule(const tir::PrimFunc& f, const StagedProgram& p, const Target& target)
      : p_(p), target_(target), s_(begin_schedule(f)) {}

  Result<Scheduled> run() {
    for (const tir::BlockNode* block : blocks_in(s_.func->body)) blocks_.push_back({block->name});
    if (blocks_.size() != p_.stages.size()) return illegal("blocks are missing");
    if (p_.stages.size() == 1 && is_flat(p_.stages[0])) {
      REPOSE_RUN(flat());
      return std::move(s_);
    }
    if (const auto axis = contiguous_elsewhere()) {
      REPOSE_RUN(transpose(*axis));
      return std::move(s_);
    }
    prefix_ = static_cast<size_t>(choose_prefix());
    REPOSE_RUN(make_rows());
    for (size_t i = 0; i < blocks_.size(); ++i) REPOSE_RUN(run_stage(p_.stages[i], blocks_[i]));
    if (row_) {
      REPOSE_RUN(parallel(s_, *row_, grain()));
    }
    return std::move(s_);
  }

 private:
  // The axes that all stages share, but for the last where that gives a stage its vectors.
  int choose_prefix() const {
    int prefix = shared_prefix(p_);
    // Formulas that an axis chooses among stand side by side.
    for (const Stage& s : p_.stages) {
      for (int i = 0; i < prefix; ++i) {
        if (chooses_formula(s, static_cast<size_t>(i))) prefix = i;
      }
    }
    bool all_axes = true, along_axis = false, elementwise = true;
    for (const Stage& s : p_.stages) {
      all_axes = all_axes && static_cast<int>(s.axes.size()) == prefix;
      along_axis = along_axis || choose_inner(s, target_) == Inner::vector_axis;
      elementwise = elementwise && !s.is_reduction();
    }
    return all_axes && (along_axis || elementwise) ? std::max(0, prefix - 1) : prefix;
  }

  // One elementwise stage over whole tensors.
  Result<void> flat() {
    const Stage& stage = p_.stages[0];
    const int lanes = lanes_for(stage, target_);
    REPOSE_TRY(all, fuse_all(s_, loops_of(s_, blocks_[0])));
    int64_t known = 0;
    if (as_const_int(product(stage.extents), &known) && known <= flat_block) {
      return vectorized(all, lanes);
    }
    REPOSE_TRY(pieces, split(s_, all, make_int(flat_block), Tail::bounded));
    REPOSE_RUN(vectorized(pieces.back(), lanes));
    const int64_t cost = 1 + cost_of(stage.value);
    return parallel(s_, pieces[0],
                    make_int(std::max<int64_t>(1, work_per_piece / (cost * flat_block))));
  }

  // The axis, not the last one, along which a stage reads neighbouring elements, where it doesn't
  // along the last.
  std::optional<size_t> contiguous_elsewhere() const {
    const Stage& s = p_.stages[0];
    if (p_.stages.size() != 1 || s.is_reduction() || s.axes.empty() || !stores_identity(s) ||
        is_const_int(s.extents.back(), 1) ||
        stride_of_loads(s.value, s.axes.back()) != Stride::other) {
      return std::nullopt;
    }
    for (size_t i = s.axes.size() - 1; i-- > 0;) {
      if (!is_const_int(s.extents[i], 1) && stride_of_loads(s.value, s.axes[i]) == Stride::unit)
        return i;
    }
    return std::nullopt;
  }

  // Of a stage that reads neighbours along `axis`: whether a step along its last axis is longer in
  // what it reads than a step along `axis` is in what it writes. What is no constant counts as
  // long.
  bool reads_farther_than_it_writes(size_t axis) const {
    const Stage& s = p_.stages[0];
    auto behind = [](const std::vector<Expr>& extents, size_t d) {
      int64_t step = 0;
      const bool known = as_const_int(
          product(std::vector<Expr>(extents.begin() + static_cast<int64_t>(d) + 1, extents.end())),
          &step);
      return known ? step : std::numeric_limits<int64_t>::max();
    };
    int64_t read = 0;
    visit(s.value, [&](const Expr& e) {
      const auto* load = as<LoadNode>(e);
      for (size_t d = 0; load && d < load->args.size(); ++d) {
        if (uses_var(load->args[d], s.axes.back())) {
          read = std::max(read, behind(load->buffer->shape, d));
        }
      }
      return true;
    });
    return read >= behind(s.extents, axis);
  }

  // Blocks of both axes: what one step leaves of the cache lines that it reads, the next ones find.
  Result<void> transpose(size_t axis) {
    const std::vector<Loop> loops = loops_of(s_, blocks_[0]);
    std::vector<Loop> order, inner;
    for (size_t i = 0; i < loops.size(); ++i) {
      if (i == axis || i + 1 == loops.size()) continue;
      order.push_back(loops[i]);
    }
    for (const size_t i : {axis, loops.size() - 1}) {
      REPOSE_TRY(cut, split(s_, loops[i], make_int(transposed_block), Tail::bounded));
      order.push_back(cut[0]);
      inner.push_back(cut.back());
    }
    // The far steps outside: rows that lie far apart often share their place in the cache.
    if (reads_farther_than_it_writes(axis)) std::swap(inner[0], inner[1]);
    std::vector<Loop> all = order;
    all.insert(all.end(), inner.begin(), inner.end());
    REPOSE_RUN(reorder(s_, all));
    for (const Loop& loop : order) REPOSE_RUN(parallel(s_, loop, make_int(1)));
    REPOSE_TRY(blocks, fuse_all(s_, order));
    const int64_t cost = (1 + cost_of(p_.stages[0].value)) * transposed_block * transposed_block;
    REPOSE_RUN(parallel(s_, blocks, make_int(std::max<int64_t>(1, work_per_piece / cost))));
    const std::vector<std::pair<Loop, int64_t>> steps{{inner[0], transposed_block},
                                                      {inner[1], transposed_block}};
    const Expr inside = where_conditions_hold(blocks_[0], steps, {});
    std::vector<Expr> whole;
    if (inside) whole.push_back(inside);
    for (const tir::IterVar& iter : find_block(s_, blocks_[0])->iters) {
      for (const auto& [loop, count] : steps) {
        if (!uses_var(iter.value, loop.var)) continue;
        const Expr last = substitute(iter.value, {{loop.var.get(), make_int(count - 1)}});
        whole.push_back(lt(last, iter.extent));
      }
    }
    // A whole block in vectors along what is written, whose elements are loaded one by one: half as
    // many instructions as one by one throughout.
    REPOSE_TRY(variant, specialize(s_, inner[0], conjunction_of(whole)));
    if (variant.empty()) return {};
    const tir::BlockNode* block = blocks_in(find_loop(s_, variant[0])->body)[0];
    std::vector<Loop> own = loops_of(s_, {block->name});
    own.erase(own.begin(), own.end() - 2);
    if (!uses_var(block->iters.back().value, own[1].var)) std::swap(own[0], own[1]);
    REPOSE_RUN(reorder(s_, own));
    const int lanes = std::min<int>(lanes_for(p_.stages[0], target_), transposed_block);
    REPOSE_TRY(vectors, split(s_, own[1], make_int(lanes), Tail::proven));
    REPOSE_RUN(unroll(s_, vectors[0]));
    return vectorize(s_, vectors[1]);
  }

  // A loop in vectors, the rest in one that is masked.
  Result<void> vectorized(const Loop& loop, int lanes) {
    REPOSE_TRY(tiles, split(s_, loop, make_int(lanes), Tail::vector));
    for (size_t i = 1; i < tiles.size(); i += 2) REPOSE_RUN(vectorize(s_, tiles[i]));
    return {};
  }

  // One loop over the rows that all stages share; what they hand over lives in it.
  Result<void> make_rows() {
    if (prefix_ == 0) return {};
    for (const Block& block : blocks_) {
      std::vector<Loop> loops = loops_of(s_, block);
      loops.resize(prefix_);
      // Asked of each loop where that says it all: subscripts of one loop are harder to tell apart.
      for (size_t i = 0; i < prefix_ && blocks_.size() == 1; ++i) {
        REPOSE_RUN(parallel(s_, loops[i], make_int(1)));
      }
      REPOSE_TRY(row, fuse_all(s_, loops));
      if (!row_) {
        row_ = row;
      } else {
        REPOSE_RUN(join(s_, *row_, row));
      }
    }
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Buffer own = target_of(s_, blocks_[i]);
      if (!is_made_in(s_.func->body, own)) continue;
      const Buffer& b = p_.stages[i].target;
      std::vector<Expr> shape(
          b->shape.begin() + static_cast<int64_t>(std::min(prefix_, b->shape.size())),
          b->shape.end());
      int64_t elements = 0;
      const bool small = as_const_int(product(shape), &elements) &&
                         elements * b->dtype.size_bytes() <= max_local_bytes;
      REPOSE_RUN(set_scope(s_, own, small ? Scope::local : Scope::workspace, *row_));
    }
    return {};
  }

  Result<void> run_stage(const Stage& stage, const Block& block) {
    const int lanes = lanes_for(stage, target_);
    const std::vector<Loop> all = loops_of(s_, block, row_.value_or(Loop{}));
    const size_t reduces = stage.reduce_axes.size();
    const size_t own = all.size() - reduces;
    const Inner inner = choose_inner(stage, target_);
    if (!stage.is_reduction() || reduces == 0) {
      for (size_t i = 0; i + 1 < own; ++i) {
        const size_t axis = stage.axes.size() - own + i;
        if (chooses_formula(stage, axis)) REPOSE_RUN(unroll(s_, all[i]));
      }
      return inner == Inner::vector_axis && own > 0 ? vectorized(all.back(), lanes)
                                                    : Result<void>();
    }
    const std::vector<Loop> k(all.begin() + static_cast<int64_t>(own), all.end());
    if (inner == Inner::vector_axis && own > 0)
      return reduce_in_lanes(stage, block, all[own - 1], lanes);
    if (inner == Inner::vector_reduce) return reduce_vectors(stage, block, k, lanes);
    const Loop at = own > 0 ? all[own - 1] : row_.value_or(Loop{});
    const Buffer& target = target_of(s_, block);
    const bool is_scalar = target->scope == Scope::local && is_const_int(product(target->shape), 1);
    if (!is_scalar) REPOSE_RUN(cache_write(s_, block, at, Scope::local));
    REPOSE_RUN(decompose_reduction(s_, block, k[0]));
    return add_up(stage, block);
  }

  // Does an axis of a few steps select one of several formulas? Each step has its own then.
  static bool chooses_formula(const Stage& stage, size_t axis) {
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

  // Sums of neighbouring elements in the lanes of a vector.
  Result<void> reduce_in_lanes(const Stage& stage, const Block& block, const Loop& axis,
                               int lanes) {
    if (!find_block(s_, block)) return illegal("there is no block `{}`", block.name);
    const auto steps = known_steps(stage, block);
    std::vector<Loop> own_axes = loops_of(s_, block, row_.value_or(Loop{}));
    own_axes.resize(own_axes.size() - stage.reduce_axes.size());
    const Expr inside = steps ? where_conditions_hold(block, *steps, own_axes) : nullptr;
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

  // A window that may leave its image, and an image with a border, have conditions. Where they hold
  // at both ends of some loops inside (`steps`, each with its extent), they hold in all of them:
  // that is what is asked for, once for all. Null where there are no conditions, or where they
  // differ in what is inside of `within`.
  Expr where_conditions_hold(const Block& block, const std::vector<std::pair<Loop, int64_t>>& steps,
                             const std::vector<Loop>& within) const {
    const tir::BlockNode* node = find_block(s_, block);
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

  // Iterations of the row loop that make a piece of work.
  Expr grain() const {
    Expr work = make_int(0);
    for (const Stage& s : p_.stages) {
      const Expr elements = product(
          std::vector<Expr>(s.extents.begin() + static_cast<int64_t>(prefix_), s.extents.end()));
      work = work + elements * product(s.reduce_extents) * (1 + cost_of(s.value));
    }
    work = canonical(work);
    int64_t known = 0;
    if (as_const_int(work, &known)) {
      return make_int(std::max<int64_t>(1, work_per_piece / std::max<int64_t>(1, known)));
    }
    return max(make_int(1), floor_div(make_int(work_per_piece), max(work, make_int(1))));
  }

  const StagedProgram& p_;
  const Target& target_;
  Scheduled s_;
  std::vector<Block> blocks_;
  size_t prefix_ = 0;
  std::optional<Loop> row_;
};

}  // namespace

Result<Scheduled> rows(const tir::PrimFunc& f, const StagedProgram& p, const Target& target) {
  return RowsRule(f, p, target).run();
}

}  // namespace repose::schedule
