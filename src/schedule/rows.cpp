// The schedule of elementwise programs, reductions, and chains of them over rows.
#include <algorithm>
#include <limits>

#include "schedule/primitives.h"
#include "schedule/reduction.h"
#include "schedule/region.h"
#include "schedule/row_stages.h"
#include "schedule/rule_parts.h"
#include "schedule/rules.h"
#include "schedule/strides.h"

namespace repose::schedule {

namespace {

constexpr int64_t flat_block = 4096;       // elements that a thread takes at a time, at least
constexpr int64_t work_per_piece = 16384;  // element operations that are worth a thread's wake-up
constexpr int64_t transposed_block = 16;   // elements: a cache line of most of them
constexpr int64_t max_local_bytes = 16 << 10;  // of a row buffer on the stack

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
    for (size_t i = 0; i < blocks_.size(); ++i) {
      REPOSE_RUN(run_in_row(s_, target_, p_.stages[i], blocks_[i], row_.value_or(Loop{})));
    }
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
      return in_vectors(s_, all, lanes);
    }
    REPOSE_TRY(pieces, split(s_, all, make_int(flat_block), Tail::bounded));
    REPOSE_RUN(in_vectors(s_, pieces.back(), lanes));
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
    const Expr inside = where_conditions_hold(s_, blocks_[0], steps, {});
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
