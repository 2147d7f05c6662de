// The loops of a block taken off, and made anew elsewhere.
#include "schedule/motion.h"

#include <algorithm>
#include <numeric>

#include "schedule/block_fields.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::IterKind;
using tir::Range;
using tir::Stmt;

// ---- The nest -----------------------------------------------------------------------------------

namespace {

std::vector<Var> bound_on(const std::vector<Stmt>& path) {
  std::vector<Var> bound;
  for (const Stmt& s : path) {
    if (const auto* loop = tir::as<ForNode>(s)) bound.push_back(loop->var);
    if (const auto* let = tir::as<tir::LetNode>(s)) bound.push_back(let->var);
  }
  return bound;
}

bool uses_any(const Expr& e, const std::vector<Var>& vars) {
  return std::any_of(vars.begin(), vars.end(), [&](const Var& v) { return uses_var(e, v); });
}

Expr both(const Expr& a, const Expr& b) {
  if (!a || !b) return a ? a : b;
  return logical_and(a, b);
}

// A block that shares a loop of the nest; null: there is none.
const tir::BlockNode* companion(const Stmt& s, const tir::BlockNode* block) {
  for (const tir::BlockNode* other : blocks_in(s)) {
    if (other != block) return other;
  }
  return nullptr;
}

// That only loops, lets and conditions stand around the block on its path.
Result<void> check_alone(Nest& nest, const std::string& name) {
  for (const Stmt& s : nest.path) {
    if (s.get() == nest.block || s->kind == tir::StmtKind::let) continue;
    if (const auto* loop = tir::as<ForNode>(s); loop && loop->thread.empty()) {
      if (!has_load(loop->extent)) continue;
      return illegal("the extent of `{}` is read from memory", loop->var->name);
    }
    const auto* branch = tir::as<tir::IfNode>(s);
    if (branch && !branch->else_body && !has_load(branch->condition) &&
        !uses_any(branch->condition, bound_on(nest.path))) {
      nest.condition = both(nest.condition, branch->condition);
      continue;
    }
    if (s->kind == tir::StmtKind::seq) {
      if (const tir::BlockNode* other = companion(s, nest.block)) {
        return illegal("the loops of `{}` hold `{}` too", name, other->name);
      }
    }
    return illegal("the loops of `{}` hold more than it: `{}`", name, tir::kind_name(s->kind));
  }
  return {};
}

Result<void> check_block(const Nest& nest) {
  const std::string& name = nest.block->name;
  if (!nest.store || nest.store->predicate) return illegal("`{}` is no single store", name);
  for (const tir::IterVar& iter : nest.block->iters) {
    if (iter.kind != IterKind::spatial && iter.kind != IterKind::reduce) {
      return illegal("the axis `{}` of `{}` is {}: its iterations stay where they are",
                     iter.var->name, name, tir::iter_kind_name(iter.kind));
    }
  }
  if (nest.block->predicate && has_load(nest.block->predicate)) {
    return illegal("`{}` runs where {}, which reads memory", name,
                   repose::to_string(nest.block->predicate));
  }
  bool same = true;
  visit(nest.store->value, [&](const Expr& e) {
    const auto* own = as<LoadNode>(e);
    if (!own || own->buffer != nest.store->buffer) return true;
    for (size_t d = 0; d < e->args.size(); ++d) {
      same = same && structural_equal(e->args[d], nest.store->indices[d]);
    }
    return true;
  });
  if (!same) {
    return illegal("`{}` reads other elements of `{}` than the one that it writes", name,
                   nest.store->buffer->name);
  }
  return {};
}

}  // namespace

Result<Nest> nest_of(const Scheduled& s, const Block& block, const Loop& at, Side side) {
  REPOSE_FIND_BLOCK(node, s, block);
  REPOSE_FIND_LOOP(loop, s, at);
  const std::vector<Stmt> to_block = path_to(s.func->body, node);
  const std::vector<Stmt> to_loop = path_to(s.func->body, loop);
  size_t k = 0;
  while (k < to_block.size() && k < to_loop.size() && to_block[k] == to_loop[k]) ++k;
  if (k == to_loop.size()) return illegal("`{}` stands in `{}` already", block.name, at.var->name);
  const auto* seq = k > 0 ? tir::as<tir::SeqNode>(to_block[k - 1]) : nullptr;
  if (!seq) {
    return illegal("`{}` and `{}` stand in different branches", block.name, at.var->name);
  }
  const auto position = [&](const Stmt& part) {
    return std::find(seq->stmts.begin(), seq->stmts.end(), part);
  };
  const auto own = position(to_block[k]), other = position(to_loop[k]);
  if ((own < other) != (side == Side::before)) {
    return illegal("`{}` stands {} `{}`", block.name, side == Side::before ? "behind" : "before",
                   at.var->name);
  }
  Nest nest;
  nest.block = node;
  nest.store = only_store(*node);
  nest.path.assign(to_block.begin() + static_cast<int64_t>(k), to_block.end());
  nest.to_at.assign(to_loop.begin() + static_cast<int64_t>(k), to_loop.end());
  for (Stmt let = loop->body; tir::as<tir::LetNode>(let); let = tir::as<tir::LetNode>(let)->body) {
    nest.to_at.push_back(let);
  }
  if (side == Side::before) {
    nest.between.assign(own + 1, other + 1);
  } else {
    nest.between.assign(other, own);
  }
  nest.facts = facts_at(s, seq);
  for (const Result<void>& check :
       {check_alone(nest, block.name), check_block(nest), check_transparent(nest.path[0])}) {
    if (!check.ok()) return check.errors();
  }
  for (const Stmt& part : nest.between) {
    if (auto check = check_transparent(part); !check.ok()) return check.errors();
  }
  return nest;
}

// ---- Axes ---------------------------------------------------------------------------------------

namespace {

class AxesOf {
 public:
  explicit AxesOf(const Nest& nest) : nest_(nest), name_(nest.block->name) {
    for (const tir::IterVar& iter : nest.block->iters) values_.push_back(iter.value);
    space_ = refined(space_of(nest.path, nest.facts), values_, nest.facts);
    loops_ = space_.list();
    owner_.resize(loops_.size(), none);
  }

  Result<NestAxes> run() {
    for (const tir::IterVar& iter : nest_.block->iters) {
      if (auto added = add(iter); !added.ok()) return added.errors();
    }
    if (!space_.exact) return illegal("it cannot be told what the loops of `{}` run over", name_);
    if (auto order = check_order(); !order.ok()) return order.errors();
    if (auto kept = keep_predicate(); !kept.ok()) return kept.errors();
    return std::move(result_);
  }

 private:
  static constexpr size_t none = static_cast<size_t>(-1);

  bool known_le(const Expr& a, const Expr& b) const {
    return prove_le(a, b, nest_.facts) == Truth::yes;
  }

  Result<void> add(const tir::IterVar& iter) {
    NestAxis axis;
    axis.iter = iter;
    const Expr& value = values_[result_.axes.size()];
    if (!space_.mentioned_in(value)) {
      axis.kind = NestAxis::Kind::fixed;
      axis.value = value;
    } else if (!follow(axis)) {
      if (auto own = take_loops(axis); !own.ok()) return own.errors();
    }
    result_.axes.push_back(std::move(axis));
    return {};
  }

  bool follow(NestAxis& axis) const {
    for (size_t i = 0; i < result_.axes.size(); ++i) {
      const NestAxis& leader = result_.axes[i];
      if (leader.kind != NestAxis::Kind::free || leader.iter.kind != axis.iter.kind) continue;
      const Expr added = canonical(values_[result_.axes.size()] - values_[i]);
      if (space_.mentioned_in(added)) continue;
      axis.kind = NestAxis::Kind::follows;
      axis.value = added;
      axis.leader = i;
      return true;
    }
    return false;
  }

  Result<void> take_loops(NestAxis& axis) {
    const Expr& value = values_[result_.axes.size()];
    axis.position = none;
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (!uses_var(value, loops_[i]->var)) continue;
      if (owner_[i] != none) {
        return illegal("the axes `{}` and `{}` of `{}` share the loop `{}`",
                       result_.axes[owner_[i]].iter.var->name, axis.iter.var->name, name_,
                       loops_[i]->var->name);
      }
      owner_[i] = result_.axes.size();
      axis.position = std::min(axis.position, i);
    }
    const auto range = values_of(value, loops_, nest_.facts, Times::once);
    if (!range) {
      return illegal("it cannot be told which values of its axis `{}` the loops of `{}` run over",
                     axis.iter.var->name, name_);
    }
    axis.domain = {axis.iter.min, axis.iter.extent};
    const Expr end = axis.iter.min + axis.iter.extent, last = range->min + range->extent;
    if (known_le(range->min, axis.iter.min) && known_le(end, last)) return {};
    if (!known_le(axis.iter.min, range->min) || !known_le(last, end)) {
      return illegal("the loops of `{}` run over a part of its axis `{}` that cannot be told",
                     name_, axis.iter.var->name);
    }
    axis.domain = *range;
    return {};
  }

  // That the steps of a reduction come in the order of its axes, each from its least value up.
  Result<void> check_order() const {
    std::vector<size_t> begun;
    size_t current = none;
    std::vector<Expr> reach(result_.axes.size(), make_int(1));
    for (size_t i = loops_.size(); i-- > 0;) {
      const size_t axis = owner_[i];
      if (axis == none || result_.axes[axis].iter.kind != IterKind::reduce) continue;
      const bool again = std::find(begun.begin(), begun.end(), axis) != begun.end();
      const Expr step = canonical(
          substitute(values_[axis], {{loops_[i]->var.get(), loops_[i]->var + 1}}) - values_[axis]);
      if ((axis != current && again) || prove_equal(step, reach[axis], nest_.facts) != Truth::yes) {
        return illegal(
            "the reduction of `{}` would add up in another order: its axis `{}` is cut "
            "into loops",
            name_, result_.axes[axis].iter.var->name);
      }
      reach[axis] = canonical(reach[axis] * loops_[i]->extent);
      current = axis;
      begun.push_back(axis);
    }
    return {};
  }

  // What holds where the block runs. Without `steps`: also where it only begins a reduction, which
  // may be one over nothing.
  Facts facts_inside(bool steps) const {
    Space spatial;
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (steps || !is_of_reduction(i)) spatial.loops.push_back(space_.loops[i]);
    }
    Facts facts = facts_in(spatial, nest_.facts);
    for (size_t i = 0; i < values_.size(); ++i) {
      const tir::IterVar& iter = nest_.block->iters[i];
      if (!steps && iter.kind == IterKind::reduce) continue;
      facts.assume(le(iter.min, values_[i]));
      facts.assume(lt(values_[i], iter.min + iter.extent));
    }
    return facts;
  }
  bool is_of_reduction(size_t loop) const {
    return owner_[loop] != none && result_.axes[owner_[loop]].iter.kind == IterKind::reduce;
  }

  // Whether a condition of the block follows from the domains of its axes.
  bool is_implied(const Expr& condition) const {
    VarMap values;
    for (size_t i = 0; i < values_.size(); ++i) {
      values.emplace(nest_.block->iters[i].var.get(), values_[i]);
    }
    const Expr e = space_.over_loops(substitute(condition, values));
    bool steps = false;
    for (size_t i = 0; i < loops_.size(); ++i) {
      steps = steps || (is_of_reduction(i) && uses_var(e, loops_[i]->var));
    }
    return prove(e, facts_inside(steps)) == Truth::yes;
  }

  Result<void> keep_predicate() {
    const std::vector<Var> bound = bound_on(nest_.path);
    std::vector<Expr> rest;
    for (const Expr& e : {nest_.block->predicate, nest_.condition}) {
      if (e) rest.push_back(e);
    }
    while (!rest.empty()) {
      const Expr e = rest.back();
      rest.pop_back();
      if (e->kind == ExprKind::logical_and) {
        rest.push_back(e->args[1]);
        rest.push_back(e->args[0]);
      } else if (!uses_any(e, bound)) {
        result_.predicate = both(result_.predicate, e);
      } else if (!is_implied(e)) {
        return illegal("`{}` runs where {}, which does not follow from the domains of its axes",
                       name_, repose::to_string(e));
      }
    }
    return {};
  }

  const Nest& nest_;
  const std::string& name_;
  Space space_;
  std::vector<const ForNode*> loops_;
  std::vector<size_t> owner_;  // of each loop: an axis
  std::vector<Expr> values_;   // of the axes, over loops
  NestAxes result_;
};

// A subscript without the axes that are not free.
Expr over_free_axes(const Expr& subscript, const NestAxes& axes) {
  VarMap values;
  for (const NestAxis& axis : axes.axes) {
    if (axis.kind == NestAxis::Kind::free) continue;
    const bool follows = axis.kind == NestAxis::Kind::follows;
    values.emplace(axis.iter.var.get(),
                   follows ? axes.axes[axis.leader].iter.var + axis.value : axis.value);
  }
  return canonical(substitute(subscript, values));
}

}  // namespace

Result<NestAxes> axes_of(const Nest& nest) {
  return AxesOf(nest).run();
}

namespace {

// Is it the same wherever the block runs?
bool is_fixed(const Expr& subscript, const NestAxes& axes) {
  const Expr e = over_free_axes(subscript, axes);
  return std::none_of(axes.axes.begin(), axes.axes.end(), [&](const NestAxis& axis) {
    return axis.kind == NestAxis::Kind::free && uses_var(e, axis.iter.var);
  });
}

// What a subscript that is an axis plus something fixed tells of the axis.
bool tell(Told& told, const Expr& subscript, const Range& range, const NestAxes& axes) {
  const Expr e = over_free_axes(subscript, axes);
  for (size_t i = 0; i < axes.axes.size(); ++i) {
    const NestAxis& axis = axes.axes[i];
    if (axis.kind != NestAxis::Kind::free || !uses_var(e, axis.iter.var)) continue;
    const Expr added = canonical(e - axis.iter.var);
    if (axis.iter.kind != IterKind::spatial || !is_fixed(added, axes)) return false;
    if (!told.ranges[i]) told.ranges[i] = Range{canonical(range.min - added), range.extent};
    return true;
  }
  return false;
}

}  // namespace

Told told_by(const std::vector<Expr>& subscripts, const Buffer& buffer,
             const std::vector<Range>& box, const NestAxes& axes, const Facts& facts) {
  Told told{std::vector<std::optional<Range>>(axes.axes.size()), {}};
  const std::span<const Expr> all(subscripts), shape(buffer->shape);
  const std::span<const Range> ranges(box);
  for (size_t d = 0; d < subscripts.size(); ++d) {
    if (is_fixed(subscripts[d], axes) || tell(told, subscripts[d], box[d], axes)) continue;
    // Dimensions that are cut out of one axis tell it together.
    size_t count = 2;
    for (; d + count <= subscripts.size(); ++count) {
      const auto range = joined(ranges.subspan(d, count), shape.subspan(d, count), facts);
      const Expr index = joined(all.subspan(d, count), shape.subspan(d, count));
      if (range && tell(told, index, *range, axes)) break;
    }
    if (d + count <= subscripts.size()) {
      d += count - 1;
    } else {
      told.unclear.push_back(d);
    }
  }
  return told;
}

// ---- New loops ----------------------------------------------------------------------------------

namespace {

// "v_i" runs in a loop "i", "vi" too.
std::string loop_name(const Var& axis) {
  const std::string& name = axis->name;
  if (name.starts_with("v_") && name.size() > 2) return name.substr(2);
  if (name.starts_with("v") && name.size() > 1) return name.substr(1);
  return name;
}

class Rebuilding {
 public:
  Rebuilding(Scheduled& s, const Nest& nest, const NestAxes& axes, const Facts& facts)
      : s_(s), nest_(nest), axes_(axes), around_(facts) {
    result_.facts = spatial_ = facts;
  }

  Rebuilt run(const std::vector<std::optional<Range>>& told) {
    std::vector<size_t> order(axes_.axes.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return axes_.axes[a].position < axes_.axes[b].position;
    });
    tir::BlockNode::Fields fields = nest_.block->fields();
    fields.predicate = axes_.predicate;
    for (size_t i : order) {
      const NestAxis& axis = axes_.axes[i];
      if (axis.kind != NestAxis::Kind::free) continue;
      fields.iters[i].value = told[i] ? run_over(axis, *told[i]) : run_over(axis, axis.domain);
      if (told[i]) keep_inside(fields, axis.domain, fields.iters[i].value);
    }
    for (size_t i = 0; i < axes_.axes.size(); ++i) {
      const NestAxis& axis = axes_.axes[i];
      if (axis.kind == NestAxis::Kind::fixed) fields.iters[i].value = axis.value;
      if (axis.kind == NestAxis::Kind::follows) {
        fields.iters[i].value = canonical(fields.iters[axis.leader].value + axis.value);
      }
      result_.values[axis.iter.var.get()] = fields.iters[i].value;
    }
    if (axes_.predicate) result_.facts.assume(substitute(axes_.predicate, result_.values));
    result_.nest = make_block(std::move(fields));
    for (size_t i = loops_.size(); i-- > 0;) {
      result_.nest = make_loop(s_, loops_[i].first, loops_[i].second, std::move(result_.nest));
    }
    return std::move(result_);
  }

 private:
  Expr run_over(const NestAxis& axis, const Range& range) {
    const Expr extent = simplest(range.extent, around_);
    if (is_const_int(extent, 1)) return range.min;
    const Var loop = fresh_loop_var(s_, loop_name(axis.iter.var));
    loops_.emplace_back(loop, extent);
    assume_in_range(result_.facts, loop, extent);
    if (axis.iter.kind == IterKind::spatial) assume_in_range(spatial_, loop, extent);
    return canonical(range.min + loop);
  }

  void keep_inside(tir::BlockNode::Fields& fields, const Range& domain, const Expr& value) {
    for (const Expr& inside : {le(domain.min, value), lt(value, domain.min + domain.extent)}) {
      if (prove(inside, spatial_) == Truth::yes) continue;
      fields.predicate = both(fields.predicate, canonical(inside));
      result_.facts.assume(inside);
      spatial_.assume(inside);
    }
  }

  Scheduled& s_;
  const Nest& nest_;
  const NestAxes& axes_;
  const Facts& around_;
  std::vector<std::pair<Var, Expr>> loops_;
  Facts spatial_;  // what holds where a reduction begins, even one over nothing
  Rebuilt result_;
};

}  // namespace

Rebuilt rebuild(Scheduled& s, const Nest& nest, const NestAxes& axes,
                const std::vector<std::optional<Range>>& told, const Facts& facts) {
  return Rebuilding(s, nest, axes, facts).run(told);
}

Result<void> check_place(const Scheduled& s, const Nest& nest, const Stmt& moved,
                         const Facts& facts) {
  const ForNode* at = nullptr;
  const ForNode* parallel = nullptr;
  for (const Stmt& part : nest.to_at) {
    const auto* loop = tir::as<ForNode>(part);
    if (loop) at = loop;
    if (loop && loop->loop_kind == tir::ForKind::parallel) parallel = loop;
  }
  std::vector<const ForNode*> around = loops_around(s, at);
  around.push_back(at);
  for (const ForNode* loop : around) {
    if (loop->loop_kind == tir::ForKind::vectorized) {
      return illegal("`{}` runs in the lanes of vectors, which have no room for loops",
                     loop->var->name);
    }
  }
  if (!parallel) return {};
  std::vector<Access> stores;
  for (const Access& a : accesses_in(moved)) {
    if (a.is_store) stores.push_back(a);
  }
  const auto box = box_of(stores, facts);
  if (box && are_disjoint(nest.store->buffer, *box, space_of(nest.to_at, nest.facts), nest.facts)) {
    return {};
  }
  return illegal(
      "`{}` is parallel, and several of its iterations might write the same elements of "
      "`{}`",
      parallel->var->name, nest.store->buffer->name);
}

// ---- What is left -------------------------------------------------------------------------------

namespace {

bool is_empty(const Stmt& s) {
  const auto* seq = tir::as<tir::SeqNode>(s);
  return !s || (seq && seq->stmts.empty());
}

class Removal : public tir::StmtRewriter {
 public:
  explicit Removal(const tir::StmtNode* target) : target_(target) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    if (s.get() == target_) return tir::make_seq({});
    Stmt result = tir::StmtRewriter::rewrite_stmt(s);
    if (result == s) return s;
    bool empty = false;
    if (const auto* loop = tir::as<ForNode>(result)) empty = is_empty(loop->body);
    if (const auto* let = tir::as<tir::LetNode>(result)) empty = is_empty(let->body);
    if (const auto* allocate = tir::as<tir::AllocateNode>(result)) empty = is_empty(allocate->body);
    if (const auto* declare = tir::as<tir::DeclareNode>(result)) empty = is_empty(declare->body);
    if (const auto* branch = tir::as<tir::IfNode>(result)) {
      empty = is_empty(branch->then_body) && is_empty(branch->else_body);
    }
    return empty ? tir::make_seq({}) : result;
  }

 private:
  const tir::StmtNode* target_;
};

}  // namespace

Stmt without(const Stmt& root, const tir::StmtNode* target) {
  return Removal(target).rewrite(root);
}

}  // namespace repose::schedule
