// The schedule of elementwise programs, reductions, and chains of them over rows.
#include <algorithm>

#include "schedule/rules.h"

namespace repose {

using tir::Stmt;

namespace {

constexpr int64_t flat_block = 4096;       // elements that a thread takes at a time, at least
constexpr int64_t work_per_piece = 16384;  // element operations that are worth a thread's wake-up
constexpr int64_t max_local_bytes = 16 << 10;  // of a row buffer on the stack

// How the innermost loop of a stage runs.
enum class Inner : uint8_t {
  scalar,         // one element after another
  vector_axis,    // vectors along the last spatial axis
  vector_reduce,  // vectors of partial results along the last reduction axis
};

struct StagePlan {
  const Stage* stage = nullptr;
  Inner inner = Inner::scalar;
};

bool vector_dtype(const Stage& s) {
  return s.target->dtype.bits >= 8;
}

bool stores_along(const Stage& s, const Var& axis) {
  for (size_t i = 0; i < s.indices.size(); ++i) {
    if (uses_var(s.indices[i], axis) && (i + 1 < s.indices.size() || s.indices[i] != axis)) {
      return false;
    }
  }
  return !s.indices.empty() && s.indices.back() == axis;
}

Inner choose_inner(const Stage& s) {
  if (!vector_dtype(s)) return Inner::scalar;
  if (s.is_reduction() && !s.reduce_axes.empty()) {
    if (stride_of_loads(s.value, s.reduce_axes.back()) != Stride::other &&
        !is_const_int(s.reduce_extents.back(), 1)) {
      const bool by_axis_too = !s.axes.empty() && stores_along(s, s.axes.back()) &&
                               stride_of_loads(s.value, s.axes.back()) == Stride::unit;
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

int lanes_for(const Stage& s, const Target& target) {
  // All lanes of a stage run together: the widest element type decides.
  int bytes = s.target->dtype.size_bytes();
  visit(s.value, [&](const Expr& e) {
    if (!e->dtype.is_index() && !e->dtype.is_bool()) bytes = std::max(bytes, e->dtype.size_bytes());
    return e->kind != ExprKind::load;
  });
  return std::max(1, target.vector_bits / 8 / bytes);
}

class Rows {
 public:
  Rows(const StagedProgram& p, const Target& target) : p_(p), target_(target) {}

  tir::PrimFunc run() {
    if (auto flat = flat_elementwise()) return finish(*flat);
    int prefix = shared_prefix(p_);
    for (const Stage& s : p_.stages) {
      StagePlan plan{&s, choose_inner(s)};
      const int axes = static_cast<int>(s.axes.size());
      if (p_.stages.size() == 1 && (plan.inner == Inner::vector_axis || !s.is_reduction())) {
        prefix = std::min(prefix, std::max(0, axes - 1));
      }
      plans_.push_back(plan);
    }
    prefix_ = static_cast<size_t>(prefix);
    std::vector<Expr> outer(p_.stages[0].extents.begin(), p_.stages[0].extents.begin() + prefix);
    std::vector<Var> row_vars;
    for (int i = 0; i < prefix; ++i) row_vars.push_back(loop_var("r" + std::to_string(i)));
    make_row_buffers();
    std::vector<Stmt> parts;
    for (const StagePlan& plan : plans_) parts.push_back(emit(plan, row_vars));
    Stmt body = tir::make_seq(std::move(parts));
    for (size_t i = row_buffers_.size(); i-- > 0;) {
      body = tir::make<tir::AllocateNode>(row_buffers_[i], std::move(body));
    }
    if (prefix > 0) {
      Var row = loop_var("row");
      std::vector<Expr> values = unflatten(row, outer);
      for (size_t i = row_vars.size(); i-- > 0;) body = let_stmt(row_vars[i], values[i], body);
      body = parallel_loop(row, product(outer), grain(), std::move(body));
    }
    return finish(std::move(body));
  }

 private:
  tir::PrimFunc finish(Stmt body) {
    return tir::make_prim_func(p_.params, std::move(body), p_.is_private, p_.attrs, p_.span);
  }

  // One stage that reads and writes only whole tensors of one shape runs over their flat elements.
  std::optional<Stmt> flat_elementwise() {
    if (p_.stages.size() != 1 || p_.stages[0].is_reduction()) return std::nullopt;
    const Stage& s = p_.stages[0];
    if (s.axes.empty() || !stores_identity(s)) return std::nullopt;
    std::vector<Access> accesses = loads_of(s.value);
    accesses.push_back({s.target, s.indices});
    auto merged = merge_axes(s.axes, s.extents, accesses, "i");
    if (!merged) return std::nullopt;
    for (const Var& v : s.axes) {  // an axis that is a value too (an index that is stored)
      if (uses_var(merged->apply(s.value), v)) return std::nullopt;
    }
    const Expr total = product(s.extents);
    const Expr value = merged->apply(s.value);
    const Buffer target = merged->view_of(s.target);
    auto element = [&](const Expr& i) {
      VarMap at{{merged->axis.get(), i}};
      return tir::make<tir::StoreNode>(target, std::vector<Expr>{i}, substitute(value, at), s.span);
    };
    const int lanes = lanes_for(s, target_);
    int64_t known = 0;
    Stmt body;
    if (as_const_int(total, &known) && known <= flat_block) {
      body = vector_loop(total, lanes, "i", element);
    } else {
      Var block = loop_var("block"), begin = loop_var("begin"), count = loop_var("count");
      body = vector_loop(count, lanes, "i", [&](const Expr& i) { return element(begin + i); });
      body = let_stmt(count, min(total - begin, make_int(flat_block)), body);
      body = let_stmt(begin, block * flat_block, body);
      const int64_t cost = 1 + cost_of(s.value);
      const Expr grain = make_int(std::max<int64_t>(1, work_per_piece / (cost * flat_block)));
      body = parallel_loop(block, canonical(ceil_div(total, make_int(flat_block))), grain, body);
    }
    return merged->declare(std::move(body));
  }

  // Iterations of the row loop that make a piece of work.
  Expr grain() {
    Expr work = make_int(0);
    for (const StagePlan& plan : plans_) {
      const Stage& s = *plan.stage;
      Expr elements = product(std::vector<Expr>(s.extents.begin() + prefix_, s.extents.end()));
      work = work + elements * product(s.reduce_extents) * (1 + cost_of(s.value));
    }
    work = canonical(work);
    int64_t known = 0;
    if (as_const_int(work, &known)) {
      return make_int(std::max<int64_t>(1, work_per_piece / std::max<int64_t>(1, known)));
    }
    return max(make_int(1), floor_div(make_int(work_per_piece), max(work, make_int(1))));
  }

  void make_row_buffers() {
    for (const Buffer& b : p_.allocated) {
      std::vector<Expr> shape(
          b->shape.begin() + static_cast<int64_t>(std::min(prefix_, b->shape.size())),
          b->shape.end());
      if (shape.empty()) shape.push_back(make_int(1));
      int64_t elements = 0;
      const bool small = as_const_int(product(shape), &elements) &&
                         elements * b->dtype.size_bytes() <= max_local_bytes;
      Buffer row = make_buffer(b->name, std::move(shape), b->dtype,
                               small ? Scope::local : Scope::workspace, {}, nullptr, 64);
      row_of_.emplace(b.get(), row);
      row_buffers_.push_back(row);
    }
  }

  std::vector<Expr> row_indices(const Buffer& b, const std::vector<Expr>& indices) const {
    if (!row_of_.count(b.get())) return indices;
    std::vector<Expr> own(indices.begin() + static_cast<int64_t>(std::min(prefix_, indices.size())),
                          indices.end());
    if (own.empty()) own.push_back(make_int(0));
    return own;
  }
  Buffer row_buffer(const Buffer& b) const {
    auto it = row_of_.find(b.get());
    return it == row_of_.end() ? b : it->second;
  }
  Expr row_loads(const Expr& e) const {
    return rewrite(e, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      if (!load || !row_of_.count(load->buffer.get())) return node;
      return make_load(row_buffer(load->buffer), row_indices(load->buffer, node->args));
    });
  }

  // The stage's loops inside a row.
  Stmt emit(const StagePlan& plan, const std::vector<Var>& row_vars) {
    const Stage& s = *plan.stage;
    VarMap to_row;
    for (size_t i = 0; i < prefix_; ++i) to_row.emplace(s.axes[i].get(), row_vars[i]);
    auto in_row = [&](const Expr& e) { return substitute(row_loads(e), to_row); };
    const Buffer target = row_buffer(s.target);
    std::vector<Expr> indices;
    for (const Expr& i : row_indices(s.target, s.indices)) indices.push_back(substitute(i, to_row));
    std::vector<Var> own;
    std::vector<Expr> extents;
    for (size_t i = prefix_; i < s.axes.size(); ++i) {
      own.push_back(loop_var(s.axes[i]->name));
      extents.push_back(in_row(s.extents[i]));
      to_row.emplace(s.axes[i].get(), own.back());
    }
    for (Expr& i : indices) i = substitute(i, to_row);
    const Expr value = in_row(s.value);
    std::vector<Expr> reduce_extents;
    for (const Expr& e : s.reduce_extents) reduce_extents.push_back(in_row(e));
    auto store = [&](const VarMap& at, const Expr& v) {
      std::vector<Expr> where;
      for (const Expr& i : indices) where.push_back(substitute(i, at));
      return tir::make<tir::StoreNode>(target, std::move(where), v, s.span);
    };

    const bool by_axis = plan.inner == Inner::vector_axis && !own.empty();
    if (!s.is_reduction() || s.reduce_axes.empty()) {
      Expr stored = s.is_reduction() ? te::combine(s.reducer, in_row(s.init), value) : value;
      if (!by_axis) return nest_loops(own, extents, store({}, stored));
      Stmt inner =
          vector_loop(extents.back(), lanes_for(s, target_), own.back()->name, [&](const Expr& i) {
            VarMap at{{own.back().get(), i}};
            return store(at, substitute(stored, at));
          });
      own.pop_back();
      return nest_loops(own, extents, std::move(inner));
    }
    if (by_axis) {
      const int lanes = lanes_for(s, target_);
      Buffer acc =
          make_buffer("acc", {make_int(lanes)}, s.target->dtype, Scope::local, {}, nullptr, 64);
      Stmt inner = vector_loop(extents.back(), lanes, own.back()->name, [&](const Expr& i) {
        VarMap at{{own.back().get(), i}};
        return reduce_at(s, acc, {lane_of(i)}, substitute(value, at), in_row(s.init),
                         reduce_extents, store(at, make_load(acc, {lane_of(i)})));
      });
      own.pop_back();
      return nest_loops(own, extents, tir::make<tir::AllocateNode>(acc, std::move(inner)));
    }
    if (plan.inner == Inner::vector_reduce) {
      return nest_loops(own, extents,
                        reduce_vectors(s, value, in_row(s.init), reduce_extents, store));
    }
    Buffer acc = make_buffer("acc", {make_int(1)}, s.target->dtype, Scope::local);
    Stmt inner = reduce_at(s, acc, {make_int(0)}, value, in_row(s.init), reduce_extents,
                           store({}, make_load(acc, {make_int(0)})));
    return nest_loops(own, extents, tir::make<tir::AllocateNode>(acc, std::move(inner)));
  }

  // vector_loop's indices are base + lane variable, the variable last: the lane within the vector.
  static Expr lane_of(const Expr& i) { return i->kind == ExprKind::add ? i->args[1] : i; }

  // acc = init; for k…: acc = combine(acc, value); after
  Stmt reduce_at(const Stage& s, const Buffer& acc, const std::vector<Expr>& at, const Expr& value,
                 const Expr& init, const std::vector<Expr>& extents, Stmt after) {
    Stmt step =
        tir::make<tir::StoreNode>(acc, at, accumulate(s.reducer, make_load(acc, at), value));
    // The reduction's axes are loop variables of this nest.
    std::vector<Var> loops;
    VarMap rename;
    for (const Var& v : s.reduce_axes) {
      loops.push_back(loop_var(v->name));
      rename.emplace(v.get(), loops.back());
    }
    step = tir::substitute(step, rename);
    return tir::make_seq({tir::make<tir::StoreNode>(acc, at, init),
                          nest_loops(loops, extents, std::move(step)), std::move(after)});
  }

  // Partial results in the lanes of one wide vector, combined in a fixed order at the end.
  Stmt reduce_vectors(const Stage& s, const Expr& value, const Expr& init,
                      const std::vector<Expr>& extents,
                      const std::function<Stmt(const VarMap&, const Expr&)>& store) {
    // Several registers hide the latency of the combining operation where the reduction is long.
    int lanes = lanes_for(s, target_);
    int64_t known = 0;
    if (!as_const_int(extents.back(), &known) || known >= 4 * lanes) lanes *= 4;
    const DType dtype = s.target->dtype;
    Buffer acc = make_buffer("acc", {make_int(lanes)}, dtype, Scope::local, {}, nullptr, 64);
    const Expr identity = te::identity_of(s.reducer, dtype);
    Var lane = loop_var("lane");
    Stmt clear = vectorized_loop(lane, lanes,
                                 tir::make<tir::StoreNode>(acc, std::vector<Expr>{lane}, identity));
    std::vector<Var> loops;
    VarMap rename;
    for (size_t i = 0; i + 1 < s.reduce_axes.size(); ++i) {
      loops.push_back(loop_var(s.reduce_axes[i]->name));
      rename.emplace(s.reduce_axes[i].get(), loops.back());
    }
    const Expr outer_value = substitute(value, rename);
    Stmt steps = vector_loop(extents.back(), lanes, s.reduce_axes.back()->name, [&](const Expr& i) {
      VarMap at{{s.reduce_axes.back().get(), i}};
      std::vector<Expr> own{lane_of(i)};
      return tir::make<tir::StoreNode>(
          acc, own, accumulate(s.reducer, make_load(acc, own), substitute(outer_value, at)));
    });
    Intrinsic combine_lanes = Intrinsic::vector_reduce_add;
    if (s.reducer == te::Reducer::prod) combine_lanes = Intrinsic::vector_reduce_mul;
    if (s.reducer == te::Reducer::min) combine_lanes = Intrinsic::vector_reduce_min;
    if (s.reducer == te::Reducer::max) combine_lanes = Intrinsic::vector_reduce_max;
    Expr all = make_load(acc, {make_ramp(make_int(0), make_int(1), lanes)});
    Expr total = te::combine(s.reducer, init, make_call(combine_lanes, all));
    return tir::make<tir::AllocateNode>(
        acc, tir::make_seq({std::move(clear), nest_loops(loops, extents, std::move(steps)),
                            store({}, total)}));
  }

  const StagedProgram& p_;
  const Target& target_;
  size_t prefix_ = 0;
  std::vector<StagePlan> plans_;
  std::unordered_map<const BufferNode*, Buffer> row_of_;
  std::vector<Buffer> row_buffers_;
};

}  // namespace

tir::PrimFunc schedule_rows(const StagedProgram& p, const Target& target) {
  return Rows(p, target).run();
}

}  // namespace repose
