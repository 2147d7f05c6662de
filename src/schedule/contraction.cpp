// The schedule of contractions: a register-blocked matrix product with packed panels and an
// epilogue.
//
// C[batch][m][n] = sum over k of A[batch][m][k] * B[batch][k][n], where A and B are whatever
// expressions the factors are (a transposed load, a window of an image). Columns n are cut into
// panels of two vectors (one or three where few columns fit them better); B's panel is packed
// contiguously as [k][panel], zeros beyond the last column: in advance where B is constant, else by
// the task that uses it. Rows are cut into blocks (a task takes a block of a few panels), blocks
// into tiles of rows whose accumulators fill the vector registers; the last rows of a block are
// tiles of 8, 4, 2, 1. A tile takes all panels of the task one after another, so that its rows of A
// stay in the first cache, while panels are read in order from the second one; where its rows are
// too long for that, the reduction is cut into parts, which all tiles take one after another. Tiles
// leave their sums in a buffer of the block, over which the epilogue runs once. Whether
// neighbouring tasks, which one thread runs, share panels or rows depends on how many rows there
// are. After "Anatomy of high-performance matrix multiplication" (Goto and van de Geijn, 2008).
//
// Each element is acc = fma(a, b, acc) over k in order, from 0: the same operations in every tile.
// Sums of integers are exact (they wrap), so theirs is any order; panels keep the operand's dtype.
#include <algorithm>

#include "schedule/primitives.h"
#include "schedule/region.h"
#include "schedule/register_tile.h"
#include "schedule/rule_parts.h"
#include "schedule/rules.h"
#include "schedule/strides.h"

namespace repose::schedule {

namespace {

constexpr int most_tiles = 16;                // of a block of rows
constexpr int64_t steps_ahead = 32;           // of a panel, while memory answers
constexpr int64_t least_tasks = 8;            // where there are as many tiles of rows
constexpr int64_t least_row_tasks = 16;       // where a thread keeps to rows
constexpr int64_t tiles_ahead = 4;            // that ask for the panels of the next task
constexpr int64_t flops_per_piece = 1 << 17;  // multiply-adds that are worth a thread's wake-up

struct Tile : RegisterTile {
  int group = 1;  // panels of a task
  int64_t columns() const { return int64_t{group} * panel; }
};

// Panels of two vectors, but for few columns that one or three waste less of.
Tile choose_tile(DType dtype, const Target& target, const Expr& columns) {
  RegisterTile best = register_tile(dtype, target);
  int64_t n = 0;
  if (as_const_int(columns, &n) && n > 0) {
    // Columns with those that are padded; and loads, where there are more than products.
    auto cost = [&](const RegisterTile& t) {
      const int v = t.panel / t.lanes;
      const double loads = static_cast<double>(v + t.rows) / (v * t.rows);
      const int64_t padded = (n + t.panel - 1) / t.panel * v;
      return static_cast<double>(padded) * std::max(1., loads);
    };
    for (int vectors : {3, 1}) {
      const RegisterTile other = register_tile(dtype, target, vectors);
      if (cost(other) < cost(best)) best = other;
    }
  }
  return {best};
}

// Leaves the last run of neighbouring positions; the axes before it are looped over outside.
void keep_trailing_run(std::vector<size_t>& positions, std::vector<size_t>& outer) {
  size_t begin = positions.size();
  while (begin > 1 && positions[begin - 2] + 1 == positions[begin - 1]) --begin;
  if (begin > 0) --begin;
  outer.insert(outer.end(), positions.begin(), positions.begin() + static_cast<int64_t>(begin));
  positions.erase(positions.begin(), positions.begin() + static_cast<int64_t>(begin));
  std::sort(outer.begin(), outer.end());
}

template <class T>
std::vector<T> pick(const std::vector<T>& list, const std::vector<size_t>& positions) {
  std::vector<T> result;
  for (size_t i : positions) result.push_back(list[i]);
  return result;
}

// The loops of a block over batches, rows, columns and the reduction, in this order.
struct ContractionNest {
  std::vector<Loop> batch;
  std::optional<Loop> m;
  std::optional<Loop> panel;  // of a group
  Loop n;
  std::vector<Loop> k;
};

class ContractionRule {
 public:
  ContractionRule(const tir::PrimFunc& f, const StagedProgram& p, const Target& target,
                  const std::vector<bool>& is_constant)
      : p_(p),
        main_(p.stages[0]),
        is_constant_(is_constant),
        target_(target),
        s_(begin_schedule(f)) {}

  Result<Scheduled> run() {
    auto matched = match_contraction(main_);
    if (!matched || main_.target->dtype.is_bool() || !is_zero(main_.init) ||
        !stores_identity(main_)) {
      return illegal("this is no contraction of numbers");
    }
    c_ = std::move(*matched);
    keep_trailing_run(c_.m_axes, c_.batch_axes);
    keep_trailing_run(c_.n_axes, c_.batch_axes);
    n_total_ = product(pick(main_.extents, c_.n_axes));
    tile_ = choose_tile(main_.target->dtype, target_, n_total_);
    for (const tir::BlockNode* block : blocks_in(s_.func->body)) epilogue_.push_back({block->name});
    block_ = epilogue_[0];
    epilogue_.erase(epilogue_.begin());
    REPOSE_TRY(packs, choose_operand());
    const bool has_tasks_of_rows = packs && !c_.m_axes.empty();
    blocks_first_ = has_tasks_of_rows && panels_fit(target_.l2_bytes / 2);
    either_first_ = has_tasks_of_rows && !blocks_first_ && !reads_windows();
    if (c_.m_axes.empty() && !packs) return illegal("without rows, panels would be used once");
    REPOSE_RUN(canonical_loops());
    REPOSE_RUN(make_panels(packs));
    REPOSE_RUN(place_epilogue());
    REPOSE_RUN(run_in_parallel(packs));
    REPOSE_RUN(finish_epilogue());
    REPOSE_RUN(make_tiles());
    REPOSE_RUN(make_tasks(packs));
    return std::move(s_);
  }

 private:
  static bool is_zero(const Expr& e) {
    const auto* f = as<FloatImmNode>(e);
    return is_const_int(e, 0) || (f && f->value == 0);
  }

  // The buffer of B, and whether it is packed in advance.
  Result<bool> choose_operand() {
    for (const Buffer& b : loaded_buffers(c_.b)) {
      bool in_a = false;
      for (const Buffer& a : loaded_buffers(c_.a)) in_a = in_a || a == b;
      if (!in_a) operand_ = b;
    }
    if (!operand_) return illegal("the factors load the same buffers");
    bool packs = is_constant(product(pick(main_.extents, c_.n_axes))) &&
                 is_constant(product(main_.reduce_extents)) && loaded_buffers(c_.b).size() == 1;
    for (size_t i : c_.batch_axes) {
      packs = packs && (!uses_var(c_.b, main_.axes[i]) || is_constant(main_.extents[i]));
    }
    for (size_t i = 1; i < p_.stages.size(); ++i) {
      for (const Buffer& b : loaded_buffers(p_.stages[i].value)) packs = packs && b != operand_;
    }
    bool constant = false;
    for (size_t i = 0; i < p_.params.size() && i < is_constant_.size(); ++i) {
      constant = constant || (p_.params[i].buffer == operand_ && is_constant_[i]);
    }
    return packs && constant;
  }

  // Whether all panels stay in a part of the second cache.
  bool panels_fit(int64_t bytes) const {
    int64_t elements = 0;
    return as_const_int(canonical(n_total_ * product(main_.reduce_extents)), &elements) &&
           elements <= bytes / main_.target->dtype.size_bytes();
  }

  // The loops of a block with all axes of the contraction, each of m and n one loop.
  Result<ContractionNest> nest_of(const Block& block) {
    const std::vector<Loop> loops = loops_of(s_, block);
    const size_t axes = main_.axes.size();
    if (loops.size() < axes) return illegal("`{}` lacks loops", block.name);
    ContractionNest nest;
    nest.batch = pick(loops, c_.batch_axes);
    nest.k.assign(loops.begin() + static_cast<int64_t>(axes), loops.end());
    std::vector<Loop> order = nest.batch;
    const std::vector<Loop> m = pick(loops, c_.m_axes), n = pick(loops, c_.n_axes);
    order.insert(order.end(), m.begin(), m.end());
    order.insert(order.end(), n.begin(), n.end());
    if (order.size() > 1) REPOSE_RUN(reorder(s_, order));
    if (!m.empty()) {
      REPOSE_TRY(rows, fuse_all(s_, m));
      nest.m = rows;
    }
    REPOSE_TRY(columns, fuse_all(s_, n));
    nest.n = columns;
    return nest;
  }

  // One loop over rows, one over columns, in every block; the sums stand in a buffer of the
  // program, in which rows and columns are one dimension each.
  Result<void> canonical_loops() {
    if (!is_made_in(s_.func->body, main_.target) && !is_made_here(main_.target)) {
      REPOSE_TRY(out, cache_write(s_, block_, {}, Scope::workspace));
      epilogue_.push_back(out);
    }
    REPOSE_RUN(split_reduction_axes());
    REPOSE_TRY(main, nest_of(block_));
    nest_ = main;
    for (const Block& e : epilogue_) REPOSE_RUN(nest_of(e));
    IndexMap map;
    for (size_t d = 0; d < main_.axes.size(); ++d) {
      map.from.push_back(make_var(fmt::format("d{}", d), dtypes::index, VarRole::loop));
    }
    for (size_t d = 0; d < main_.axes.size(); ++d) {
      const bool joins = follows(c_.m_axes, d) || follows(c_.n_axes, d);
      if (joins) {
        map.to.back() = map.to.back() * main_.extents[d] + map.from[d];
      } else {
        map.to.push_back(map.from[d]);
      }
    }
    if (map.to.size() == map.from.size()) return {};
    return transform_layout(s_, target_of(s_, block_), map);
  }

  // A reduction over several dimensions of A that are one to B (heads and their elements): a loop
  // for each, so that addresses go on step by step.
  Result<void> split_reduction_axes() {
    const std::vector<Loop> loops = loops_of(s_, block_);
    for (size_t i = 0; i < main_.reduce_axes.size(); ++i) {
      int64_t extent = 0, inner = 0;
      if (!as_const_int(main_.reduce_extents[i], &extent)) continue;
      visit(c_.a, [&](const Expr& e) {
        int64_t size = 0;
        const bool divides = e->kind == ExprKind::floor_div || e->kind == ExprKind::floor_mod;
        if (divides && e->args[0] == main_.reduce_axes[i] && as_const_int(e->args[1], &size) &&
            size > 1 && extent % size == 0) {
          inner = std::max(inner, size);
        }
        return true;
      });
      if (inner == 0) continue;
      REPOSE_RUN(split(s_, loops[main_.axes.size() + i], make_int(inner), Tail::proven));
    }
    return {};
  }

  static bool follows(const std::vector<size_t>& axes, size_t d) {
    return std::find(axes.begin(), axes.end(), d) > axes.begin() &&
           std::find(axes.begin(), axes.end(), d) != axes.end();
  }
  bool is_made_here(const Buffer& b) const {
    return std::find(p_.allocated.begin(), p_.allocated.end(), b) != p_.allocated.end();
  }

  // B in the order of panels: in advance, or where a task begins.
  Result<void> make_panels(bool packs) {
    REPOSE_TRY(fill, reindex(s_, block_, operand_));
    const std::vector<Loop> loops = loops_of(s_, fill);
    // Its dimensions: batches that B has, columns, the reduction.
    std::vector<Loop> k;
    Loop columns;
    IndexMap map;
    Expr column, step = make_int(0);
    const tir::BlockNode* block = find_block(s_, block_);
    const std::vector<Expr> axes = subscripts_in(*block, target_of(s_, fill));
    for (size_t d = 0; d < axes.size(); ++d) {
      const auto iter = std::find_if(block->iters.begin(), block->iters.end(),
                                     [&](const tir::IterVar& i) { return i.var == axes[d]; });
      Var v = make_var(fmt::format("d{}", d), dtypes::index, VarRole::loop);
      map.from.push_back(v);
      if (iter->kind == tir::IterKind::reduce) {
        step = step * iter->extent + v;
        k.push_back(loops[d]);
      } else if (iter->value == nest_.n.var) {
        column = v;
        columns = loops[d];
      } else {
        map.to.push_back(v);
      }
    }
    REPOSE_TRY(cut, split(s_, nest_.n, make_int(tile_.panel), Tail::masked));
    panel_ = cut[0];
    nest_.n = cut.back();
    if (packs) {
      if (nest_.m) REPOSE_RUN(group_panels());
      map.to.push_back(floor_div(column, make_int(tile_.panel)));
      map.to.push_back(step);
      map.to.push_back(floor_mod(column, make_int(tile_.panel)));
      for (Expr& e : map.to) e = canonical(e);
      REPOSE_RUN(transform_layout(s_, target_of(s_, fill), map));
      REPOSE_TRY(own, split(s_, columns, make_int(tile_.panel), Tail::masked));
      std::vector<Loop> inner = k;
      inner.push_back(own[1]);
      std::vector<Loop> all{own[0]};
      all.insert(all.end(), inner.begin(), inner.end());
      REPOSE_RUN(reorder(s_, all));
      if (has_rest()) REPOSE_RUN(pad(s_, fill));
      REPOSE_RUN(parallel(s_, own[0], make_int(1)));
      const std::string name = target_of(s_, fill)->name;
      REPOSE_RUN(prepack(s_, fill));
      panels_ = buffer_named(s_, name);
      return {};
    }
    map.to.push_back(canonical(step));
    map.to.push_back(column);
    REPOSE_RUN(transform_layout(s_, target_of(s_, fill), map));
    fill_ = fill;
    return {};
  }

  // A task takes several panels that are packed, so that rows which a tile has brought into the
  // first cache serve them all; a panel is read in order, which is as fast from the second cache.
  Result<void> group_panels() {
    int64_t panels = 0;
    as_const_int(find_loop(s_, panel_)->extent, &panels);
    for (int size : {4, 3, 5, 2}) {
      if (panels % size == 0 && tile_.group == 1) tile_.group = size;
    }
    if (tile_.group == 1) return {};
    REPOSE_TRY(cut, split(s_, panel_, make_int(tile_.group), Tail::proven));
    panel_ = cut[0];
    nest_.panel = cut[1];
    return {};
  }

  // Of the load of a buffer in a block.
  static std::vector<Expr> subscripts_in(const tir::BlockNode& block, const Buffer& buffer) {
    std::vector<Expr> found;
    visit(tir::as<tir::StoreNode>(block.body)->value, [&](const Expr& e) {
      const auto* load = as<LoadNode>(e);
      if (load && load->buffer == buffer) found = e->args;
      return true;
    });
    return found;
  }

  bool has_rest() const {
    return !is_const_int(canonical(floor_mod(n_total_, make_int(tile_.panel))), 0);
  }

  // Tiles of a block of rows: as many as leave their sums, of all panels of a group, in the first
  // cache; fewer where blocks are tasks and there would be too few.
  int64_t most_tiles_of_block() const {
    const int64_t bytes =
        tile_.rows * tile_.columns() * main_.target->dtype.size_bytes();  // of a tile
    return std::clamp<int64_t>(target_.l1_bytes * 3 / 4 / bytes, 1, most_tiles);
  }
  Expr tiles_of_block() const {
    const int64_t columns = tile_.columns();
    const int64_t most = most_tiles_of_block();
    int64_t all_columns = 0;
    as_const_int(n_total_, &all_columns);
    const int64_t groups = std::max<int64_t>(1, (all_columns + columns - 1) / columns);
    const bool keeps_rows = either_first_ && panels_fit(target_.l2_bytes);
    const int64_t tasks = keeps_rows ? least_row_tasks : least_tasks;
    const int64_t blocks = (tasks + groups - 1) / groups;
    if (!panels_ || !c_.batch_axes.empty() || blocks == 1) return make_int(most);
    const int64_t rows = blocks * tile_.rows;
    const Expr tiles = floor_div(all_rows() + (rows - 1), make_int(rows));
    return canonical(max(make_int(1), min(tiles, make_int(most))));
  }
  Expr all_rows() const { return product(pick(main_.extents, c_.m_axes)); }

  // Whether neighbouring rows of A have elements in common, as those of a convolution have.
  bool reads_windows() const {
    bool found = false;
    visit(c_.a, [&](const Expr& e) {
      if (!as<LoadNode>(e)) return true;
      for (const Expr& at : e->args) {
        bool by_row = false, by_step = false;
        for (size_t i : c_.m_axes) by_row = by_row || uses_var(at, main_.axes[i]);
        for (const Var& k : main_.reduce_axes) by_step = by_step || uses_var(at, k);
        found = found || (by_row && by_step);
      }
      return true;
    });
    return found;
  }
  // So few rows that reading them again costs less than reading panels again: then a group of
  // panels takes all blocks of rows. Else a block of rows takes all panels, so that a thread reads
  // rows which it has made itself.
  Expr has_few_rows() const {
    const int64_t blocks = panels_fit(target_.l2_bytes) ? 1 : 2;
    return le(all_rows(), make_int(blocks * most_tiles_of_block() * tile_.rows));
  }
  Expr rows_of_block() const { return canonical(tiles_of_block() * tile_.rows); }

  // The stages behind the contraction, element by element over what a block of rows has made.
  Result<void> place_epilogue() {
    Loop at = panel_;
    if (nest_.m) {
      REPOSE_TRY(rows, split(s_, *nest_.m, rows_of_block(), Tail::bounded));
      rows_ = rows[0];
      nest_.m = rows.back();
      std::vector<Loop> order{panel_, *rows_, *nest_.m};
      if (blocks_first_) std::swap(order[0], order[1]);
      if (nest_.panel) order.push_back(*nest_.panel);
      REPOSE_RUN(reorder(s_, order));
      at = order[1];
    }
    if (fill_) REPOSE_RUN(fill_panel());
    for (size_t i = 0; i < epilogue_.size(); ++i) {
      const Block& e = epilogue_[i];
      if (i == 0) {
        REPOSE_RUN(reverse_compute_at(s_, e, at));
        const std::vector<Loop> loops = loops_of(s_, e, at);
        Loop panel = loops.back();
        if (tile_.group > 1) {
          REPOSE_TRY(panels, split(s_, panel, make_int(tile_.panel), Tail::proven));
          panel = panels[1];
        }
        REPOSE_TRY(columns, split(s_, panel, make_int(tile_.lanes), Tail::proven));
        epilogue_loop_ = loops[0];
        vectors_ = columns[0];
        lane_ = columns.back();
        continue;
      }
      const Buffer before = target_of(s_, epilogue_[i - 1]);
      REPOSE_RUN(reverse_compute_at(s_, e, lane_));
      if (is_made_in(s_.func->body, before)) REPOSE_RUN(set_scope(s_, before, Scope::local, lane_));
    }
    return set_scope(s_, target_of(s_, block_), Scope::local, at);
  }

  // In vectors; a panel that goes beyond the last column stores only its part.
  Result<void> finish_epilogue() {
    if (has_rest()) REPOSE_RUN(pad(s_, block_));
    if (moves_by_one(s_, epilogue_.back(), lane_)) {
      REPOSE_RUN(vectorize(s_, lane_));
      REPOSE_RUN(unroll(s_, vectors_));
    }
    if (!has_rest()) return {};
    const Expr columns = make_int(tile_.columns());
    REPOSE_RUN(specialize(s_, epilogue_loop_, le(panel_.var * columns + columns, n_total_)));
    return {};
  }

  // Packs a panel where its task begins.
  Result<void> fill_panel() {
    REPOSE_RUN(compute_at(s_, *fill_, panel_));
    const Buffer panel = target_of(s_, *fill_);
    REPOSE_RUN(set_scope(s_, panel, Scope::workspace, panel_));
    if (has_rest()) REPOSE_RUN(pad(s_, *fill_));
    std::vector<Loop> loops = loops_of(s_, *fill_, panel_);
    if (loops.size() < 2) return {};
    const bool contiguous = moves_by_one(s_, *fill_, loops[0]);
    std::rotate(loops.begin(), loops.begin() + 1, loops.end());
    REPOSE_RUN(reorder(s_, loops));
    Loop columns = loops.back();
    if (has_rest() && !contiguous) {
      // Lanes whose elements lie apart are loaded one by one: that needs no conditions where the
      // panel is full, and is not worth them where it is not.
      REPOSE_TRY(full, specialize(s_, loops[0], le((panel_.var + 1) * tile_.panel, n_total_)));
      if (full.empty()) return {};
      const tir::BlockNode* block = blocks_in(find_loop(s_, full[0])->body)[0];
      columns = loops_of(s_, {block->name}).back();
    }
    REPOSE_TRY(cut, split(s_, columns, make_int(tile_.lanes), Tail::proven));
    REPOSE_RUN(unroll(s_, cut[0]));
    return vectorize(s_, cut[1]);
  }

  // The longest part of an extent that is at most `most` and divides it; 0: only short ones do.
  static int64_t part_of(int64_t extent, int64_t most) {
    for (int64_t part = most; 4 * part > most; --part) {
      if (extent % part == 0) return part;
    }
    return 0;
  }

  // Rows of a tile that are longer than a part of the first cache are taken in parts: all tiles of
  // a block take one part after the other, and leave their sums in the block's buffer in between.
  Result<void> make_parts() {
    const int64_t element = main_.target->dtype.size_bytes();
    int64_t left = target_.l1_bytes / 2 / (tile_.rows * element);  // steps
    // The only panel of a task stays in the first cache as well, from one tile to the next.
    if (tile_.group == 1) left = std::min(left, target_.l1_bytes / (tile_.panel * element));
    left = std::max<int64_t>(left, 1);
    size_t inside = nest_.k.size();  // loops from here on are of a part
    int64_t extent = 1;
    while (inside > 0) {
      if (!as_const_int(find_loop(s_, nest_.k[inside - 1])->extent, &extent)) return {};
      if (extent > left) break;
      left /= std::max<int64_t>(1, extent);
      --inside;
    }
    if (inside == 0) return {};
    const int64_t part = part_of(extent, left);
    if (part == 0) return {};
    if (part > 1) {
      REPOSE_TRY(cut, split(s_, nest_.k[inside - 1], make_int(part), Tail::proven));
      nest_.k[inside - 1] = cut[0];
      nest_.k.insert(nest_.k.begin() + static_cast<int64_t>(inside), cut.back());
    }
    std::vector<Loop> order(nest_.k.begin(), nest_.k.begin() + static_cast<int64_t>(inside));
    parts_ = inside;
    const Loop first = order[0];
    order.push_back(*nest_.m);
    if (nest_.panel) order.push_back(*nest_.panel);
    order.push_back(nest_.n);
    REPOSE_RUN(reorder(s_, order));
    REPOSE_TRY(init, decompose_reduction(s_, block_, first));
    const std::vector<Loop> own = loops_of(s_, init);
    REPOSE_TRY(columns, split(s_, own.back(), make_int(tile_.lanes), Tail::proven));
    REPOSE_RUN(unroll(s_, columns[0]));
    return vectorize(s_, columns[1]);
  }

  // Rows in tiles: sums in registers during the whole reduction, or a part of it.
  Result<void> make_tiles() {
    if (nest_.m) REPOSE_RUN(make_parts());
    std::vector<Loop> tiles{panel_};
    if (nest_.m) {
      REPOSE_TRY(cut, split(s_, *nest_.m, make_int(tile_.rows), Tail::powers));
      tiles.clear();
      for (size_t i = 0; i < cut.size(); i += 2) tiles.push_back(cut[i]);
    }
    for (const Loop& tile : tiles) {
      const tir::ForNode* node = find_loop(s_, tile);
      Block block = block_;
      for (const tir::BlockNode* b : blocks_in(node->body)) {
        if (nest_.m) block = {b->name};
      }
      REPOSE_RUN(make_tile(tile, block, nest_.m && tile.var == tiles[0].var));
    }
    return {};
  }

  Result<void> make_tile(const Loop& tile, const Block& block, bool is_full) {
    Loop inner = tile;  // the panel of a tile
    if (nest_.panel) {
      const std::vector<Loop> loops = loops_of(s_, block, tile);
      REPOSE_RUN(reorder(s_, {loops[1], loops[0]}));
      inner = loops[1];
    }
    const size_t steps = nest_.k.size() - parts_;
    REPOSE_RUN(sum_in_registers(s_, inner, block, tile_.lanes, steps, parts_ == 0));
    const std::vector<Loop> loops = loops_of(s_, block, inner);
    REPOSE_RUN(prefetch_panel(loops));
    return is_full ? prefetch_next_panels(tile, loops[steps - 1]) : Result<void>();
  }

  // While a task's panels serve one tile after another, those of the next task are on their way
  // from memory.
  Result<void> prefetch_next_panels(const Loop& tile, const Loop& step) {
    int64_t extent = 0;
    const bool has_parts =
        as_const_int(find_loop(s_, step)->extent, &extent) && extent % tiles_ahead == 0;
    const bool is_last = is_const_int(find_loop(s_, panel_)->extent, 1);
    if (!panels_ || !has_parts || is_last) return {};
    Expr number = rows_->var * tiles_of_block() + tile.var;
    if (either_first_) number = make_select(has_few_rows(), number, tile.var);
    return prefetch_next(s_, *panels_, panel_, step, number, make_int(tiles_ahead));
  }

  // A tile reads its panels once; prefetched are those that do not stay in the first cache until
  // the next tile.
  Result<void> prefetch_panel(const std::vector<Loop>& loops) {
    if (!panels_) return {};
    const size_t steps = nest_.k.size() - parts_;
    int64_t bytes = tile_.columns() * main_.target->dtype.size_bytes();
    for (size_t i = 0; i < steps; ++i) {
      int64_t extent = 1;
      as_const_int(find_loop(s_, loops[i])->extent, &extent);
      bytes *= extent;
    }
    if (bytes <= target_.l1_bytes) return {};
    return prefetch(s_, *panels_, loops[steps - 1], make_int(steps_ahead));
  }

  // Batches, panels and, where panels are packed already, blocks of rows; as they stand.
  std::vector<Loop> task_loops(bool packs) const {
    std::vector<Loop> loops = nest_.batch;
    loops.push_back(panel_);
    if (packs && rows_) loops.insert(loops.end() - (blocks_first_ ? 1 : 0), *rows_);
    return loops;
  }
  // Asked of the program while it is small.
  Result<void> run_in_parallel(bool packs) {
    for (const Loop& loop : task_loops(packs)) REPOSE_RUN(parallel(s_, loop, make_int(1)));
    return {};
  }

  // Each of them is a task; threads take neighbouring ones.
  Result<void> make_tasks(bool packs) {
    std::vector<Loop> loops = task_loops(packs);
    if (either_first_ && !is_const_int(find_loop(s_, panel_)->extent, 1)) {
      REPOSE_TRY(either, fuse_either(s_, panel_, *rows_, has_few_rows()));
      loops.pop_back();
      loops.back() = either;
    }
    REPOSE_TRY(task, fuse_all(s_, loops));
    const Expr rows = packs ? min(all_rows(), rows_of_block()) : all_rows();
    const Expr work = canonical(product(main_.reduce_extents) * rows * tile_.columns());
    const Expr grain =
        max(make_int(1), floor_div(make_int(flops_per_piece), max(work, make_int(1))));
    return parallel(s_, task, canonical(grain));
  }

  const StagedProgram& p_;
  const Stage& main_;
  const std::vector<bool>& is_constant_;
  const Target& target_;
  Tile tile_;
  Scheduled s_;
  Contraction c_;
  Buffer operand_;
  std::optional<Buffer> panels_;  // packed in advance
  Expr n_total_;
  Block block_;
  std::vector<Block> epilogue_;
  ContractionNest nest_;
  size_t parts_ = 0;  // loops of the reduction around tiles
  Loop panel_;
  std::optional<Loop> rows_;
  bool blocks_first_ = false;  // a block of rows takes all panels
  bool either_first_ = false;  // where there are enough rows
  Loop epilogue_loop_, vectors_, lane_;
  std::optional<Block> fill_;
};

}  // namespace

Result<Scheduled> contraction(const tir::PrimFunc& f, const StagedProgram& p, const Target& target,
                              const std::vector<bool>& is_constant) {
  return ContractionRule(f, p, target, is_constant).run();
}

}  // namespace repose::schedule
