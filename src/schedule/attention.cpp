// The schedule of attention: two contractions of the same rows with what stands between them.
//
// A task takes as many rows (queries) as a panel of a contraction has columns, and keeps all that
// it makes of them in its workspace: rows are the lanes of vectors throughout. Scores are a product
// whose rows are the keys, read as they lie in memory, and whose panel is the task's queries; so
// maxima and sums over keys go from vector to vector, and the weights are already the panel of the
// second product, whose rows are the elements of the values. Neither keys nor values are packed,
// scores never leave the second cache while `keys * panel` elements fit, and tasks of one head are
// independent of each other. Keys come in blocks, so that what stages hand over is in the first
// cache.
//
// Each element of a product is acc = fma(a, b, acc) over k in order, from 0. Sums over keys have
// four parts, of every fourth key each; blocks have a multiple of that: neither the panel nor the
// block shows in bits.
#include <algorithm>

#include "passes/tensor/attention.h"
#include "schedule/primitives.h"
#include "schedule/register_tile.h"
#include "schedule/row_stages.h"
#include "schedule/rule_parts.h"
#include "schedule/rules.h"
#include "schedule/strides.h"

namespace repose::schedule {

namespace {

constexpr int64_t max_local_bytes = 16 << 10;  // of a buffer on the stack
constexpr int64_t work_per_piece = 1 << 17;    // multiply-adds that are worth a thread's wake-up
constexpr int tiles_of_block = 4;              // of keys, whose scores stay in the first cache
constexpr int lanes_of_row = 4;                // that a row is worth at least
constexpr int parts_of_reduction = 4;          // that go on side by side; divides tiles_of_block

class AttentionRule {
 public:
  AttentionRule(const tir::PrimFunc& f, const StagedProgram& p, const Target& target)
      : p_(p), s_(begin_schedule(f)), target_(target) {}

  Result<Scheduled> run() {
    const auto matched = match_attention(p_);
    if (!matched) return illegal("this is no attention");
    rows_ = matched->rows;
    sum_ = matched->sum;
    for (const tir::BlockNode* block : blocks_in(s_.func->body)) blocks_.push_back({block->name});
    if (blocks_.size() != p_.stages.size()) return illegal("blocks are missing");
    REPOSE_RUN(turn_buffers());
    REPOSE_TRY(outermost, join_batches());
    const DType dtype = scores().target->dtype;
    // Few rows would leave most lanes empty: each on its own then.
    const Expr few = make_int(std::max(1, target_.lanes(dtype) / lanes_of_row));
    REPOSE_TRY(single, specialize(s_, outermost, le(scores().extents[rows_], few)));
    if (!single.empty()) REPOSE_RUN(schedule_rows(single[0]));
    if (!single.empty() && single[0].var == outermost.var) return std::move(s_);
    // Panels of one vector where those of two would have more lanes without a row.
    const RegisterTile narrow = register_tile(dtype, target_, 1),
                       wide = register_tile(dtype, target_);
    REPOSE_TRY(variant, specialize(s_, outermost, costs_less(narrow, wide)));
    const bool always = !variant.empty() && variant[0].var == outermost.var;
    if (!variant.empty()) REPOSE_RUN(schedule_variant(variant[0], narrow));
    if (!always) REPOSE_RUN(schedule_variant(outermost, wide));
    return std::move(s_);
  }

 private:
  const Stage& scores() const { return p_.stages.front(); }
  const Loop& task() const { return prefix_.back(); }

  // (…, rows, x) -> (…, x, rows): the dimension `rows` last, in what the program makes for itself.
  Result<void> rows_last(const Buffer& buffer, size_t rows) {
    IndexMap map;
    for (size_t d = 0; d < buffer->shape.size(); ++d) {
      map.from.push_back(make_var(fmt::format("d{}", d), dtypes::index, VarRole::loop));
    }
    map.to.assign(map.from.begin(), map.from.end());
    const auto at = map.to.begin() + static_cast<int64_t>(rows);
    std::rotate(at, at + 1, map.to.end());
    return transform_layout(s_, buffer, map);
  }

  // What of the factor differs from row to row.
  Buffer queries(const Expr& factor) const {
    Buffer found;
    visit(factor, [&](const Expr& e) {
      const auto* load = as<LoadNode>(e);
      if (load && uses_var(e, scores().axes[rows_])) found = load->buffer;
      return true;
    });
    return found;
  }

  Result<void> turn_buffers() {
    const auto product = match_contraction(scores());
    REPOSE_TRY(fill, reindex(s_, blocks_[0], queries(product->a)));
    fill_ = fill;
    // Its dimensions are the axes that the factor has: rows come behind the batches among them.
    size_t batches = 0;
    for (size_t i = 0; i < rows_; ++i) batches += uses_var(product->a, scores().axes[i]) ? 1 : 0;
    REPOSE_RUN(rows_last(target_of(s_, fill_), batches));
    REPOSE_TRY(out, cache_write(s_, blocks_.back(), {}, Scope::workspace));
    out_ = out;
    for (const Block& block : blocks_) {
      const Buffer made = target_of(s_, block);
      if (made->shape.size() > rows_ + 1) REPOSE_RUN(rows_last(made, rows_));
    }
    return {};
  }

  // One loop over the outermost batch axis, which holds everything.
  Result<Loop> join_batches() {
    const Loop outermost = loops_of(s_, blocks_[0])[0];
    REPOSE_RUN(compute_at(s_, fill_, outermost));
    REPOSE_RUN(set_scope(s_, target_of(s_, fill_), Scope::workspace, outermost));
    REPOSE_TRY(joined, join_loops(outermost, 0));
    for (const Block& block : blocks_) {
      REPOSE_RUN(set_scope(s_, target_of(s_, block), Scope::workspace, joined));
    }
    return joined;
  }

  // The loops at `depth` of all blocks as one; `first` is that of the scores.
  Result<Loop> join_loops(Loop first, size_t depth) {
    std::vector<Block> others(blocks_.begin() + 1, blocks_.end());
    others.push_back(out_);
    for (const Block& block : others) {
      REPOSE_TRY(joined, join(s_, first, loops_of(s_, block)[depth]));
      first = joined;
    }
    return first;
  }

  // Whether vectors of the first tile's panels, which take an eighth more time each, are so much
  // fewer.
  Expr costs_less(const RegisterTile& narrow, const RegisterTile& wide) const {
    auto time = [&](const RegisterTile& tile, int eighths) {
      const Expr panels =
          floor_div(scores().extents[rows_] + (tile.panel - 1), make_int(tile.panel));
      return panels * (tile.panel / tile.lanes * eighths);
    };
    return lt(time(narrow, 9), time(wide, 8));
  }

  // Those in a loop over batches, which has all.
  void take_blocks(const Loop& outermost) {
    const std::vector<const tir::BlockNode*> inside = blocks_in(find_loop(s_, outermost)->body);
    REPOSE_CHECK(inside.size() == p_.stages.size() + 2, "a variant has all blocks");
    fill_ = {inside.front()->name};
    out_ = {inside.back()->name};
    for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i] = {inside[i + 1]->name};
  }

  // A row after another, elements as lanes.
  Result<void> schedule_rows(const Loop& outermost) {
    tile_ = {};
    take_blocks(outermost);
    REPOSE_RUN(join_rows());
    for (size_t i = 0; i < blocks_.size(); ++i) {
      REPOSE_RUN(run_in_row(s_, target_, p_.stages[i], blocks_[i], task()));
    }
    return run_in_parallel();
  }

  // Of the blocks in a loop over batches.
  Result<void> schedule_variant(const Loop& outermost, const RegisterTile& tile) {
    tile_ = tile;
    take_blocks(outermost);
    REPOSE_RUN(make_tasks());
    REPOSE_RUN(fill_panel());
    for (size_t i = 0; i < blocks_.size();) {
      const size_t end = end_of_pass(i);
      if (end > i) {
        REPOSE_RUN(pass_over_keys(i, end));
      } else {
        REPOSE_RUN(vectorized(loops_of(s_, blocks_[i], task()).back()));
      }
      i = std::max(end, i + 1);
    }
    return run_in_parallel();
  }

  // One nest over the axes that all share and over panels of rows.
  Result<void> make_tasks() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const std::vector<Loop> loops = loops_of(s_, blocks_[i]);
      REPOSE_TRY(cut, split(s_, loops[rows_], make_int(tile_.panel), Tail::masked));
      const bool has_own_axis = p_.stages[i].axes.size() > rows_ + 1;
      if (has_own_axis) REPOSE_RUN(reorder(s_, {cut[0], loops[rows_ + 1], cut[1]}));
    }
    REPOSE_RUN(split(s_, loops_of(s_, out_)[rows_], make_int(tile_.panel), Tail::masked));
    REPOSE_RUN(join_rows());
    if (!has_rest()) return {};
    REPOSE_RUN(pad(s_, fill_));
    for (const Block& block : blocks_) REPOSE_RUN(pad(s_, block));
    return {};
  }

  bool has_rest() const {
    return !is_const_int(canonical(floor_mod(scores().extents[rows_], make_int(tile_.panel))), 0);
  }

  // Queries, whose elements are loaded one by one: without conditions where the panel is full.
  Result<void> fill_panel() {
    std::vector<Loop> loops = loops_of(s_, fill_, task());
    std::rotate(loops.begin(), loops.begin() + 1, loops.end());  // rows last
    REPOSE_RUN(reorder(s_, loops));
    if (!has_rest()) return vectorized(loops.back());
    const Expr end = (task().var + 1) * tile_.panel;
    REPOSE_TRY(full, specialize(s_, loops[0], le(end, scores().extents[rows_])));
    if (full.empty()) return {};
    const tir::BlockNode* block = blocks_in(find_loop(s_, full[0])->body)[0];
    return vectorized(loops_of(s_, {block->name}).back());
  }

  // One loop over each axis that all share, which stand in each other and hold everything.
  Result<void> join_rows() {
    prefix_ = loops_of(s_, blocks_[0]);
    prefix_.resize(rows_ + 1);
    REPOSE_RUN(compute_at(s_, fill_, task()));
    REPOSE_RUN(set_scope(s_, target_of(s_, fill_), Scope::workspace, task()));
    for (size_t d = 1; d <= rows_; ++d) {
      REPOSE_TRY(joined, join_loops(prefix_[d], d));
      prefix_[d] = joined;
    }
    for (size_t i = 0; i < blocks_.size(); ++i) {
      REPOSE_RUN(keep_in_task(p_.stages[i], blocks_[i]));
    }
    for (const Loop& loop : prefix_) REPOSE_RUN(parallel(s_, loop, make_int(1)));
    return {};
  }

  Result<void> keep_in_task(const Stage& stage, const Block& block) {
    int64_t elements = 0;
    const std::vector<Expr> own(stage.extents.begin() + static_cast<int64_t>(rows_) + 1,
                                stage.extents.end());
    const Expr all = canonical(product(own) * tile_.panel);
    const bool small = as_const_int(all, &elements) &&
                       elements * stage.target->dtype.size_bytes() <= max_local_bytes;
    return set_scope(s_, target_of(s_, block), small ? Scope::local : Scope::workspace, task());
  }

  // Whether a stage goes over keys.
  bool has_keys(size_t i) const {
    return i <= sum_ && (p_.stages[i].is_reduction() || p_.stages[i].axes.size() == rows_ + 2);
  }

  // Whether a stage makes one number, or one row of values, of all keys; the first stage sums over
  // the elements of a key.
  bool reduces_keys(size_t i) const { return i > 0 && p_.stages[i].is_reduction(); }

  // The stages from `begin` on that can take one block of keys after another together: up to one
  // that needs what a reduction makes of all keys.
  size_t end_of_pass(size_t begin) const {
    std::vector<Buffer> complete_later;
    for (size_t i = begin; i < blocks_.size(); ++i) {
      if (!has_keys(i)) return i;
      for (const Buffer& b : loaded_buffers(p_.stages[i].value)) {
        if (std::count(complete_later.begin(), complete_later.end(), b) > 0) return i;
      }
      if (reduces_keys(i)) complete_later.push_back(p_.stages[i].target);
    }
    return blocks_.size();
  }

  // Blocks of keys, each of which all stages take before the next: what they hand over stays in the
  // first cache.
  Result<void> pass_over_keys(size_t begin, size_t end) {
    std::vector<Loop> inside;  // a block
    Loop blocks;
    for (size_t i = begin; i < end; ++i) {
      std::vector<Loop> loops = loops_of(s_, blocks_[i], task());
      if (reduces_keys(i)) {
        std::rotate(loops.begin(), loops.end() - 1, loops.end());
        REPOSE_RUN(reorder(s_, loops));
      }
      // Parts of a reduction have constant extents.
      const bool in_parts = i != sum_ && reduces_keys(i);
      REPOSE_TRY(cut, split(s_, loops[0], make_int(keys_of_block()),
                            in_parts ? Tail::masked : Tail::bounded));
      inside.push_back(cut.back());
      if (i == begin) {
        blocks = cut[0];
      } else {
        REPOSE_TRY(joined, join(s_, blocks, cut[0]));
        blocks = joined;
      }
    }
    for (size_t i = begin; i < end; ++i) {
      if (is_used_only(p_.stages[i].target, begin, end)) {
        REPOSE_RUN(set_scope(s_, target_of(s_, blocks_[i]), Scope::local, blocks));
      }
    }
    for (size_t i = begin; i < end; ++i) {
      for (const Buffer& mask : columns_in(p_.stages[i])) {
        REPOSE_RUN(turn_block(blocks_[i], mask, blocks));
      }
    }
    for (size_t i = begin; i < end; ++i) {
      const Loop& keys = inside[i - begin];
      if (i == 0) {
        REPOSE_RUN(tile_rows(p_.stages[i], keys, true));
      } else if (i == sum_) {
        REPOSE_RUN(sum_values(blocks));
      } else if (p_.stages[i].is_reduction()) {
        REPOSE_RUN(reduce(blocks_[i], blocks, keys));
      } else {
        REPOSE_RUN(vectorized(loops_of(s_, blocks_[i], task()).back()));
      }
    }
    return {};
  }

  // What an elementwise stage loads that no stage has made and that differs from row to row: rows
  // are columns of it.
  std::vector<Buffer> columns_in(const Stage& stage) const {
    std::vector<Buffer> found;
    visit(stage.value, [&](const Expr& e) {
      const auto* load = as<LoadNode>(e);
      if (!load || stage.is_reduction() || !uses_var(e, stage.axes[rows_])) return true;
      const bool made = std::any_of(p_.stages.begin(), p_.stages.end(),
                                    [&](const Stage& s) { return s.target == load->buffer; });
      const bool known = std::count(found.begin(), found.end(), load->buffer) > 0;
      if (!made && !known) found.push_back(load->buffer);
      return true;
    });
    return found;
  }

  // A block of a mask, rows last.
  Result<void> turn_block(const Block& block, const Buffer& mask, const Loop& blocks) {
    REPOSE_TRY(read, cache_read(s_, block, mask, blocks, Scope::local));
    if (target_of(s_, read)->shape.size() != 2) return {};
    return rows_last(target_of(s_, read), 0);
  }

  // Elements for each key that no stage outside of [begin, end) uses.
  bool is_used_only(const Buffer& buffer, size_t begin, size_t end) const {
    for (size_t i = 0; i < p_.stages.size(); ++i) {
      const Stage& s = p_.stages[i];
      if (s.target == buffer && reduces_keys(i)) return false;
      const std::vector<Buffer> loaded = loaded_buffers(s.value);
      const bool uses = std::count(loaded.begin(), loaded.end(), buffer) > 0;
      if (uses && (i < begin || i >= end)) return false;
    }
    return true;
  }

  // A product in tiles: `rows` of keys, or of the elements of values.
  Result<void> tile_rows(const Stage& stage, const Loop& rows, bool begins) {
    REPOSE_TRY(cut, split(s_, rows, make_int(tile_.rows), Tail::powers));
    for (size_t i = 0; i < cut.size(); i += 2) {
      const Block own{blocks_in(find_loop(s_, cut[i])->body)[0]->name};
      REPOSE_RUN(sum_in_registers(s_, cut[i], own, tile_.lanes, stage.reduce_axes.size(), begins));
    }
    return {};
  }

  // The second product, a part of its reduction for each block of keys.
  Result<void> sum_values(const Loop& blocks) {
    std::vector<Loop> loops = loops_of(s_, blocks_[sum_], blocks);  // keys, elements, rows
    std::rotate(loops.begin(), loops.begin() + 1, loops.end());
    REPOSE_RUN(reorder(s_, loops));
    REPOSE_TRY(begin, decompose_reduction(s_, blocks_[sum_], blocks));
    REPOSE_RUN(vectorized(loops_of(s_, begin, task()).back()));
    return tile_rows(p_.stages[sum_], loops[0], false);
  }

  // A few parts of the reduction in turn, so that none waits for the step before it.
  Result<void> reduce(const Block& block, const Loop& blocks, const Loop& keys) {
    const Loop rows = loops_of(s_, block, keys).back();
    REPOSE_TRY(cut, split(s_, keys, make_int(parts_of_reduction), Tail::proven));
    REPOSE_TRY(combine, split_reduction(s_, block, cut[1]));
    REPOSE_RUN(rows_last(target_of(s_, block), 0));
    REPOSE_RUN(set_scope(s_, target_of(s_, block), Scope::local, task()));
    REPOSE_TRY(begin, decompose_reduction(s_, block, blocks));
    REPOSE_RUN(vectorized(loops_of(s_, begin, task()).back()));
    REPOSE_RUN(unroll(s_, cut[1]));
    REPOSE_RUN(vectorized(rows));
    std::vector<Loop> own = loops_of(s_, combine, task());
    std::rotate(own.begin(), own.end() - 1, own.end());
    REPOSE_RUN(reorder(s_, own));
    REPOSE_TRY(first, decompose_reduction(s_, combine, own[0]));
    REPOSE_RUN(unroll(s_, own[0]));
    REPOSE_RUN(vectorized(loops_of(s_, first, task()).back()));
    REPOSE_RUN(vectorized(own.back()));
    const Expr end = (blocks.var + 1) * keys_of_block();
    auto full = specialize(s_, cut[0], le(end, scores().extents.back()));
    return full.ok() ? Result<void>() : full.errors();
  }

  int keys_of_block() const { return tile_.rows * tiles_of_block; }

  Result<void> vectorized(const Loop& rows) {
    REPOSE_TRY(cut, split(s_, rows, make_int(tile_.lanes), Tail::proven));
    REPOSE_RUN(unroll(s_, cut[0]));
    return vectorize(s_, cut.back());
  }

  Result<void> run_in_parallel() {
    REPOSE_TRY(tasks, fuse_all(s_, prefix_));
    const Expr keys = scores().extents.back();
    const Expr work = canonical(
        (keys * product(scores().reduce_extents) + keys * p_.stages[sum_].extents.back()) *
        tile_.panel);
    const Expr grain =
        max(make_int(1), floor_div(make_int(work_per_piece), max(work, make_int(1))));
    return parallel(s_, tasks, canonical(grain));
  }

  const StagedProgram& p_;
  Scheduled s_;
  const Target& target_;
  size_t rows_ = 0;            // the axis of rows
  size_t sum_ = 0;             // the stage of the second product
  std::vector<Block> blocks_;  // of the stages
  Block fill_, out_;           // turn queries, and the result
  RegisterTile tile_;
  std::vector<Loop> prefix_;  // over batches and panels of rows
};

}  // namespace

Result<Scheduled> attention(const tir::PrimFunc& f, const StagedProgram& p, const Target& target) {
  return AttentionRule(f, p, target).run();
}

}  // namespace repose::schedule
