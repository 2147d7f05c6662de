// Boxes that iterations share or not, by the prover.
#include "schedule/dependence.h"

#include <algorithm>
#include <set>

#include "expr/hypothesis.h"
#include "schedule/local_buffer.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Range;
using tir::Stmt;

// ---- Accesses -----------------------------------------------------------------------------------

namespace {

// What `T.address_of(buffer[…])` is of; null: something else.
Buffer buffer_at(const tir::PrimFunc& f, const Expr& data) {
  Buffer found;
  visit(data, [&](const Expr& e) {
    if (const auto* load = as<LoadNode>(e)) found = load->buffer;
    for (const tir::Param& p : f->params) {
      if (p.buffer && e == p.var) found = p.buffer;
    }
    return !found;
  });
  return found;
}

}  // namespace

Memory::Memory(const tir::PrimFunc& f) {
  tir::visit_stmts(f->body, [&](const Stmt& s) {
    if (const auto* declare = tir::as<tir::DeclareNode>(s)) {
      if (const Buffer source = buffer_at(f, declare->data)) {
        source_[declare->buffer.get()] = source;
      }
    } else if (const auto* block = tir::as<tir::BlockNode>(s)) {
      for (const tir::MatchBuffer& m : block->match_buffers) {
        source_[m.buffer.get()] = m.source.buffer;
      }
    }
    return true;
  });
}

Buffer Memory::of(Buffer b) const {
  for (auto it = source_.find(b.get()); it != source_.end(); it = source_.find(b.get())) {
    b = it->second;
  }
  return b;
}

bool has_other_names(const tir::PrimFunc& f, const Buffer& buffer) {
  bool found = false;
  tir::visit_all_exprs(f->body, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      const bool is_handle = node->dtype == dtypes::handle;
      found = found || (is_handle && buffer_at(f, node) == buffer);
      return !found && !is_handle;
    });
  });
  for (const tir::BlockNode* block : blocks_in(f->body)) {
    for (const tir::MatchBuffer& m : block->match_buffers) {
      found = found || m.source.buffer == buffer;
    }
  }
  return found;
}

std::string to_string(const Access& a) {
  const std::string who = a.block ? fmt::format("`{}`", a.block->name) : "a statement";
  return fmt::format("{} {} `{}`", who, a.is_store ? "writes" : "reads", a.buffer->name);
}

namespace {}  // namespace

const tir::StoreNode* only_store(const tir::BlockNode& block) {
  const auto* store = tir::as<tir::StoreNode>(block.body);
  if (!store || !block.alloc_buffers.empty() || !block.match_buffers.empty()) return nullptr;
  if (!block.init) return store;
  const auto* init = tir::as<tir::StoreNode>(block.init);
  const bool fits =
      init && init->buffer == store->buffer && same_indices(init->indices, store->indices);
  return fits ? store : nullptr;
}

Result<void> check_transparent(const Stmt& s) {
  std::string found;
  tir::visit_stmts(s, [&](const Stmt& inner) {
    if (inner->kind == tir::StmtKind::evaluate) found = "T.evaluate";
    return found.empty();
  });
  tir::visit_all_exprs(s, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      const auto* call = as<CallNode>(node);
      if (call && !intrinsic_is_pure(call->intrinsic)) found = intrinsic_name(call->intrinsic);
      return found.empty();
    });
  });
  if (found.empty()) return {};
  return illegal("`{}` may read and write anything", found);
}

// ---- Boxes of iterations ------------------------------------------------------------------------

namespace {

// From the least element to the one behind the largest, over all points of `loops`.
std::optional<std::pair<Expr, Expr>> hull(const Range& range, std::span<const ForNode* const> loops,
                                          const Facts& facts) {
  auto first = range_over(range.min, loops, facts);
  auto last = range_over(canonical(range.min + range.extent), loops, facts);
  if (!first || !last) return std::nullopt;
  return std::pair(first->min, canonical(last->min + last->extent - 1));
}

}  // namespace

namespace {

// The box over loops, which may become more.
std::vector<Range> over_loops(const std::vector<Range>& box, Space& space, const Facts& facts) {
  std::vector<Expr> parts;
  for (const Range& r : box) {
    parts.push_back(r.min);
    parts.push_back(r.extent);
  }
  space = refined(space, parts, facts);
  std::vector<Range> result;
  for (size_t i = 0; i < parts.size(); i += 2) result.push_back({parts[i], parts[i + 1]});
  return result;
}

}  // namespace

Expr joined(std::span<const Expr> indices, std::span<const Expr> shape) {
  Expr at = make_int(0);
  for (size_t d = 0; d < indices.size(); ++d) at = at * shape[d] + indices[d];
  return canonical(at);
}

std::optional<Range> joined(std::span<const Range> box, std::span<const Expr> shape,
                            const Facts& facts) {
  std::vector<Expr> first;
  Expr extent = make_int(1);
  for (size_t d = 0; d < box.size(); ++d) {
    first.push_back(box[d].min);
    const bool is_full =
        is_const_int(box[d].min, 0) && prove_equal(box[d].extent, shape[d], facts) == Truth::yes;
    if (!is_const_int(extent, 1) && !is_full) return std::nullopt;
    extent = canonical(extent * box[d].extent);
  }
  return Range{joined(first, shape), extent};
}

namespace {

// The ranges of single dimensions, and of neighbouring ones: what is cut out of one loop differs
// only together.
std::vector<Range> with_joined(const std::vector<Range>& box, const std::vector<Expr>& shape,
                               const Facts& facts) {
  std::vector<Range> all = box;
  for (size_t d = 0; d < box.size(); ++d) {
    for (size_t count = 2; d + count <= box.size(); ++count) {
      const auto range =
          joined(std::span(box).subspan(d, count), std::span(shape).subspan(d, count), facts);
      if (range) all.push_back(*range);
    }
  }
  return all;
}

// Tiles of tiles: in some dimension each loop moves the box beyond all that loops of smaller steps,
// and the box itself, cover. Then any two points have boxes apart.
bool are_tiles(const std::vector<Range>& box, const std::vector<const ForNode*>& loops,
               const Facts& facts) {
  std::set<const ForNode*> told;
  for (const Range& r : box) {
    std::vector<std::pair<int64_t, const ForNode*>> steps;
    Expr rest = r.min;
    for (const ForNode* loop : loops) {
      int64_t step = 0;
      rest = rest ? rest_of_sum(rest, loop->var, &step) : nullptr;
      if (step != 0) steps.emplace_back(step, loop);
    }
    const Interval size = bounds(r.extent, facts);
    if (!rest || steps.empty() || size.upper == Interval::plus_infinity) continue;
    std::sort(steps.begin(), steps.end());
    int64_t covered = size.upper;
    bool fits = true;
    for (size_t i = 0; fits && i < steps.size(); ++i) {
      fits = covered <= steps[i].first;
      if (!fits || i + 1 == steps.size()) continue;
      const Interval count = bounds(steps[i].second->extent, facts);
      fits = count.upper < (int64_t{1} << 20);
      if (fits) covered = steps[i].first * std::max<int64_t>(1, count.upper);
    }
    if (!fits) continue;
    for (const auto& [step, loop] : steps) told.insert(loop);
  }
  return told.size() == loops.size();
}

}  // namespace

bool are_disjoint(const Buffer& buffer, const std::vector<Range>& box, Space space,
                  const Facts& facts) {
  const std::vector<Range> ranges =
      over_loops(with_joined(box, buffer->shape, facts), space, facts);
  const std::vector<const ForNode*> loops = space.list();
  if (are_tiles(ranges, loops, facts)) return true;
  // Of two points, one is later in the outermost loop in which they differ; the loops inside of it
  // may be anywhere.
  for (size_t p = 0; p < loops.size(); ++p) {
    Facts known = facts;
    for (size_t i = 0; i <= p; ++i) assume_in_range(known, loops[i]->var, loops[i]->extent);
    const Var distance = make_var("distance", dtypes::index, VarRole::dimension);
    const Expr other = loops[p]->var + distance + 1;
    known.assume(lt(other, loops[p]->extent));
    const VarMap later{{loops[p]->var.get(), other}};
    const std::span<const ForNode* const> inner(loops.begin() + static_cast<int64_t>(p) + 1,
                                                loops.end());
    const auto apart_by = [&](const Range& r, Truth (*ask)(const Expr&, const Facts&)) {
      if (!uses_var(r.min, loops[p]->var)) return false;  // the same at both points
      const auto here = hull(r, inner, known);
      const Range next{substitute(r.min, later), substitute(r.extent, later)};
      const auto there = hull(next, inner, known);
      return here && there &&
             (ask(le(here->second, there->first), known) == Truth::yes ||
              ask(le(there->second, here->first), known) == Truth::yes);
    };
    // What takes no cases to decide comes first.
    const bool apart = std::any_of(ranges.begin(), ranges.end(),
                                   [&](const Range& r) { return apart_by(r, prove_directly); }) ||
                       std::any_of(ranges.begin(), ranges.end(),
                                   [&](const Range& r) { return apart_by(r, prove); });
    if (!apart && !known.is_contradiction()) return false;
  }
  return true;
}

// ---- What was written ---------------------------------------------------------------------------

namespace {

// Whether subscripts over loops reach every element of a box.
class Cover {
 public:
  Cover(std::vector<const ForNode*> loops, const Facts& facts)
      : loops_(std::move(loops)), used_(loops_.size()), facts_(facts) {}

  // Elements of `wanted` in [0, extent); null: all of it.
  bool reaches(const Expr& index, const Range& wanted, const Expr& extent) {
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (!uses_var(index, loops_[i]->var)) continue;
      if (used_[i]) return false;
      used_[i] = true;
    }
    const auto range = values_of(index, loops_, facts_, Times::at_least_once);
    if (!range) return false;
    const Expr end = range->min + range->extent;
    return (at_most(range->min, wanted.min) || (extent && at_most(range->min, make_int(0)))) &&
           (at_most(wanted.min + wanted.extent, end) || (extent && at_most(extent, end)));
  }
  // Those that no subscript used.
  std::vector<const ForNode*> other_loops() const {
    std::vector<const ForNode*> others;
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (!used_[i]) others.push_back(loops_[i]);
    }
    return others;
  }

 private:
  bool at_most(const Expr& a, const Expr& b) const { return prove_le(a, b, facts_) == Truth::yes; }

  const std::vector<const ForNode*> loops_;
  std::vector<bool> used_;
  const Facts& facts_;
};

bool runs(const ForNode& loop, const Facts& facts) {
  return prove_le(make_int(1), loop.extent, facts) == Truth::yes;
}

class CoverCheck {
 public:
  CoverCheck(const std::vector<Stmt>& path, const tir::BlockNode& block, const Facts& facts)
      : block_(block), facts_(facts) {
    std::vector<Expr> values;
    for (const tir::IterVar& iter : block.iters) values.push_back(iter.value);
    for (const Expr& i : only_store(block)->indices) values.push_back(axes_to(i));
    space_ = refined(space_of(path, facts), values, facts);
    for (size_t i = 0; i < block.iters.size(); ++i) {
      axes_.emplace(block.iters[i].var.get(), values[i]);
    }
    indices_.assign(values.begin() + static_cast<int64_t>(block.iters.size()), values.end());
  }

  bool covers(const tir::StoreNode& store, const std::vector<Range>& region) const {
    if (!space_.exact) return false;
    Cover cover(space_.list(), facts_);
    for (size_t d = 0; d < indices_.size(); ++d) {
      if (!cover.reaches(indices_[d], region[d], store.buffer->shape[d])) return false;
    }
    for (const ForNode* loop : cover.other_loops()) {
      if (!runs(*loop, facts_) && !begins_in(*loop)) return false;
    }
    return runs_inside(store.buffer->shape);
  }

 private:
  Expr axes_to(const Expr& e) const {
    VarMap values;
    for (const tir::IterVar& iter : block_.iters) values.emplace(iter.var.get(), iter.value);
    return substitute(e, values);
  }

  // A reduction over nothing sets its initial value.
  bool begins_in(const ForNode& loop) const {
    bool reduces = false;
    for (const tir::IterVar& iter : block_.iters) {
      if (!uses_var(axes_.at(iter.var.get()), loop.var)) continue;
      if (iter.kind != tir::IterKind::reduce) return false;
      reduces = true;
    }
    return reduces && block_.init;
  }

  // Does it run wherever it would not leave the buffer?
  bool runs_inside(const std::vector<Expr>& shape) const {
    if (!block_.predicate) return true;
    Facts facts = facts_in(space_, facts_);
    for (size_t d = 0; d < indices_.size(); ++d) {
      facts.assume(le(make_int(0), indices_[d]));
      facts.assume(lt(indices_[d], shape[d]));
    }
    const Expr condition = space_.over_loops(substitute(block_.predicate, axes_));
    if (facts.is_contradiction()) return false;  // the beginning of a reduction runs all the same
    return prove(condition, facts) == Truth::yes;
  }

  const tir::BlockNode& block_;
  const Facts& facts_;
  Space space_;
  VarMap axes_;
  std::vector<Expr> indices_;  // of the store
};

// Does what is at the end of the path run whenever its beginning does, but for empty loops?
bool is_unconditional(const std::vector<Stmt>& path) {
  size_t blocks = 0;
  for (const Stmt& s : path) {
    if (s->kind == tir::StmtKind::if_ || s->kind == tir::StmtKind::while_) return false;
    if (s->kind == tir::StmtKind::block) ++blocks;
  }
  return blocks == 1;
}

}  // namespace

bool cover_together(const std::vector<Range>& box, const std::vector<Range>& wanted, Space space,
                    const Facts& facts) {
  const std::vector<Range> ranges = over_loops(box, space, facts);
  if (!space.exact) return false;
  std::vector<const ForNode*> loops = space.list();
  std::vector<Stmt> along;  // loops along the box
  std::vector<Expr> indices;
  for (const Range& r : ranges) {
    const Var v = make_var("along", dtypes::index, VarRole::loop);
    along.push_back(
        tir::make<ForNode>(v, make_int(0), r.extent, tir::ForKind::serial, tir::make_seq({})));
    loops.push_back(tir::as<ForNode>(along.back()));
    indices.push_back(r.min + v);
  }
  Cover cover(loops, facts);
  for (size_t d = 0; d < box.size(); ++d) {
    if (!cover.reaches(indices[d], wanted[d], nullptr)) return false;
  }
  const std::vector<const ForNode*> others = cover.other_loops();
  return std::all_of(others.begin(), others.end(),
                     [&](const ForNode* loop) { return runs(*loop, facts); });
}

bool writes_all(const Stmt& writer, const Buffer& buffer, const std::vector<Range>& region,
                const Facts& facts) {
  for (const tir::BlockNode* block : blocks_in(writer)) {
    const tir::StoreNode* store = only_store(*block);
    if (!store || store->buffer != buffer || store->predicate) continue;
    const std::vector<Stmt> path = path_to(writer, block);
    if (is_unconditional(path) && CoverCheck(path, *block, facts).covers(*store, region)) {
      return true;
    }
  }
  return false;
}

namespace {

class FirstWrites {
 public:
  FirstWrites(const Scheduled& s, const Buffer& buffer, const Space& space, const ForNode& at)
      : s_(s), buffer_(buffer), space_(space), body_(inner_body(at)) {}

  // Quick to tell: the element was written by what stands before in the same loops, or by a step
  // before of the same reduction.
  bool covers_element(const Access& load, std::span<const Access> before) const {
    const auto is_same = [&](const Access& store) {
      return store.is_store && store.loops == load.loops &&
             same_indices(store.indices, load.indices) && is_whole(store) &&
             (!store.condition ||
              (load.condition && structural_equal(store.condition, load.condition)));
    };
    return std::any_of(before.begin(), before.end(), is_same) ||
           (load.block && continues_own(load));
  }
  bool covers(const Access& load) const { return load.block && written_before(*load.block); }

 private:
  // No beginning of a reduction, which happens in its first step alone.
  static bool is_whole(const Access& store) { return store.block && !store.block->init; }

  // A step of a reduction that the iteration begins and ends.
  bool continues_own(const Access& load) const {
    const tir::StoreNode* store = only_store(*load.block);
    if (!load.block->init || !store || store->buffer != buffer_) return false;
    for (const tir::IterVar& iter : load.block->iters) {
      if (iter.kind != tir::IterKind::spatial &&
          space_.mentioned_in(space_.over_loops(iter.value))) {
        return false;
      }
    }
    bool same = true;
    visit(store->value, [&](const Expr& e) {
      const auto* own = as<LoadNode>(e);
      if (own && own->buffer == buffer_) same = same && same_indices(e->args, store->indices);
      return true;
    });
    return same;
  }

  bool written_before(const tir::BlockNode& reader) const {
    const std::vector<Stmt> path = path_to(body_, &reader);
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      const auto* seq = tir::as<tir::SeqNode>(path[i]);
      if (!seq) continue;
      const Facts facts = facts_at(s_, seq);
      std::vector<Access> loads;
      for (const Access& a : accesses_of(accesses_in(path[i + 1]), buffer_)) {
        if (a.block == &reader && !a.is_store) loads.push_back(a);
      }
      const auto region = box_of(loads, facts);
      if (!region) return false;
      for (const Stmt& before : seq->stmts) {
        if (before == path[i + 1]) break;
        if (writes_all(before, buffer_, *region, facts)) return true;
      }
    }
    return false;
  }

  const Scheduled& s_;
  const Buffer& buffer_;
  const Space& space_;
  const Stmt body_;
};

}  // namespace

Result<void> check_written_first(const Scheduled& s, const Buffer& buffer, const Stmt& allocated,
                                 const ForNode& at) {
  std::vector<Stmt> path = path_to(allocated, &at);
  for (Stmt let = at.body; tir::as<tir::LetNode>(let); let = tir::as<tir::LetNode>(let)->body) {
    path.push_back(let);
  }
  const Facts facts = facts_at(s, allocated.get());
  const Space space = space_of(path, facts);
  const std::vector<Access> own = accesses_of(accesses_in(inner_body(at)), buffer);
  const FirstWrites writes(s, buffer, space, at);
  std::optional<bool> is_own;
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].is_store || writes.covers_element(own[i], std::span(own).first(i)) ||
        writes.covers(own[i])) {
      continue;
    }
    // What no other iteration touches can only be read behind a write in this one.
    if (!is_own) {
      const auto box = box_of(own, facts_inside(s, at));
      is_own = box && are_disjoint(buffer, *box, space, facts);
    }
    if (*is_own) return {};
    return illegal("{}, of which an iteration of `{}` may not have written those elements",
                   to_string(own[i]), at.var->name);
  }
  return {};
}

}  // namespace repose::schedule
