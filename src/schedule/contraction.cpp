// The schedule of contractions: a register-blocked matrix product with packed panels and an
// epilogue.
//
// C[batch][m][n] = sum over k of A[batch][m][k] * B[batch][k][n], where A and B are whatever
// expressions the factors are (a transposed load, a window of an image). Columns n are cut into
// panels of `panel` = 2 vectors; B's panel is packed contiguously as [k][panel], zeros beyond the
// last column: at compile time where B is constant, else by the task that uses it. Rows are cut
// into blocks (a task takes a block of one panel), blocks into tiles of `rows` rows whose
// accumulators fill the vector registers during the whole reduction; the last rows of a block are
// tiles of 8, 4, 2, 1. Tiles leave their results in a block buffer, over which the epilogue runs
// once.
//
// Each element is acc = fma(a, b, acc) over k in order, from 0: the same operations in every tile.
#include <algorithm>

#include "schedule/rules.h"

namespace repose {

using tir::Stmt;

namespace {

constexpr int vectors_per_panel = 2;
constexpr int tiles_per_block = 8;
constexpr int64_t flops_per_piece = 1 << 17;  // multiply-adds that are worth a thread's wake-up

struct Tile {
  int lanes = 1;  // of a vector
  int panel = 1;  // columns
  int rows = 1;   // of a full tile
  int block = 1;  // rows of a block
  std::vector<int> tails;
};

Tile choose_tile(DType dtype, const Target& target) {
  Tile t;
  t.lanes = std::max(1, target.lanes(dtype));
  t.panel = vectors_per_panel * t.lanes;
  // Accumulators, the panel's vectors of one step, and the broadcast element of A.
  t.rows = std::max(1, (target.vector_registers - vectors_per_panel - 1) / vectors_per_panel);
  t.rows -= t.rows % 2;
  t.rows = std::max(1, t.rows);
  t.block = t.rows * tiles_per_block;
  for (int tail = 8; tail >= 1; tail /= 2) {
    if (tail < t.rows) t.tails.push_back(tail);
  }
  return t;
}

std::vector<Var> pick(const std::vector<Var>& list, const std::vector<size_t>& positions) {
  std::vector<Var> result;
  for (size_t i : positions) result.push_back(list[i]);
  return result;
}
std::vector<Expr> pick(const std::vector<Expr>& list, const std::vector<size_t>& positions) {
  std::vector<Expr> result;
  for (size_t i : positions) result.push_back(list[i]);
  return result;
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

class ContractionRule {
 public:
  ContractionRule(const StagedProgram& p, const Target& target,
                  const std::vector<bool>& is_constant)
      : p_(p),
        main_(p.stages[0]),
        is_constant_(is_constant),
        tile_(choose_tile(main_.target->dtype, target)) {}

  std::optional<ScheduledProgram> run() {
    auto matched = match_contraction(main_);
    if (!matched || !main_.target->dtype.is_float() || !is_const_zero(main_.init))
      return std::nullopt;
    c_ = std::move(*matched);
    keep_trailing_run(c_.m_axes, c_.batch_axes);
    keep_trailing_run(c_.n_axes, c_.batch_axes);
    m_extents_ = pick(main_.extents, c_.m_axes);
    n_extents_ = pick(main_.extents, c_.n_axes);
    batch_extents_ = pick(main_.extents, c_.batch_axes);
    m_total_ = product(m_extents_);
    n_total_ = product(n_extents_);
    k_total_ = product(main_.reduce_extents);
    num_panels_ = canonical(ceil_div(n_total_, make_int(tile_.panel)));
    // Extents may be symbols although the constant's are known: they come from the other operand.
    const bool has_known_panels = is_constant(num_panels_) && is_constant(k_total_);
    packed_param_ = has_known_panels ? constant_operand() : -1;
    // Without rows, B would be packed to be used once.
    if (c_.m_axes.empty() && packed_param_ < 0) return std::nullopt;
    merge_rows_and_columns();

    ScheduledProgram result;
    std::vector<tir::Param> params = p_.params;
    if (packed_param_ >= 0) {
      packed_ = make_buffer(params[packed_param_].buffer->name + "_packed",
                            {num_panels_, k_total_, make_int(tile_.panel)}, main_.target->dtype,
                            Scope::global, {}, nullptr, 64);
      result.packings.push_back({static_cast<size_t>(packed_param_), packer()});
      params[packed_param_] = tir::buffer_param(packed_);
    }
    result.func = tir::make_prim_func(std::move(params), declare_views(tasks()), p_.is_private,
                                      p_.attrs, p_.span);
    return result;
  }

 private:
  static bool is_const_zero(const Expr& e) {
    const auto* f = as<FloatImmNode>(e);
    return f && f->value == 0;
  }

  // The parameter that B is a plain load of, if it is constant and without batch; else -1.
  int constant_operand() {
    const auto* load = as<LoadNode>(c_.b);
    if (!load || load->buffer->dtype != main_.target->dtype) return -1;
    for (size_t i : c_.batch_axes) {
      if (uses_var(c_.b, main_.axes[i])) return -1;
    }
    for (const Access& a : loads_of(c_.a)) {
      if (a.buffer == load->buffer) return -1;  // one parameter in two layouts
    }
    for (size_t i = 1; i < p_.stages.size(); ++i) {
      for (const Buffer& b : loaded_buffers(p_.stages[i].value)) {
        if (b == load->buffer) return -1;
      }
    }
    for (size_t i = 0; i < p_.params.size(); ++i) {
      if (p_.params[i].buffer == load->buffer && i < is_constant_.size() && is_constant_[i]) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }

  // Rows and columns that several axes make up become one axis where every access agrees; then
  // addresses advance by constants, and stores are contiguous.
  void merge_rows_and_columns() {
    auto accesses_with = [&](bool with_factor, const Expr& factor) {
      std::vector<Access> list;
      if (with_factor) list = loads_of(factor);
      for (size_t i = 1; i < p_.stages.size(); ++i) {
        // Every stage has its own names for the same axes.
        const Stage& s = p_.stages[i];
        VarMap to_main;
        for (size_t d = 0; d < s.axes.size(); ++d) to_main.emplace(s.axes[d].get(), main_.axes[d]);
        for (Access& a : loads_of(substitute(s.value, to_main))) {
          if (a.buffer != main_.target && !is_intermediate(a.buffer)) list.push_back(std::move(a));
        }
        if (!is_intermediate(s.target)) {
          list.push_back({s.target, std::vector<Expr>(main_.axes.begin(), main_.axes.end())});
        }
      }
      if (p_.stages.size() == 1) list.push_back({main_.target, main_.indices});
      return list;
    };
    auto values_free = [&](const std::vector<Var>& axes, const MergedAxes& merged,
                           const Expr& factor) {
      // An axis that is used as a value (not as a subscript) cannot disappear.
      for (const Var& v : axes) {
        if (uses_var(merged.apply(factor), v)) return false;
      }
      for (size_t i = 1; i < p_.stages.size(); ++i) {
        VarMap to_main;
        const Stage& s = p_.stages[i];
        for (size_t d = 0; d < s.axes.size(); ++d) to_main.emplace(s.axes[d].get(), main_.axes[d]);
        Expr e = rewrite(substitute(s.value, to_main), [&](const Expr& node) -> Expr {
          const auto* load = as<LoadNode>(node);
          return load && (load->buffer == main_.target || is_intermediate(load->buffer))
                     ? make_const(node->dtype, 0)
                     : node;
        });
        e = merged.apply(e);
        for (const Var& v : axes) {
          if (uses_var(e, v)) return false;
        }
      }
      return true;
    };
    const std::vector<Var> m = pick(main_.axes, c_.m_axes), n = pick(main_.axes, c_.n_axes);
    if (n.size() > 1) {
      // The packed operand is addressed by its own subscripts, not through a view.
      auto merged = merge_axes(n, n_extents_, accesses_with(packed_param_ < 0, c_.b), "n");
      if (merged && packed_param_ < 0 && values_free(n, *merged, c_.b)) {
        merged_n_ = std::move(merged);
        merged_n_in_b_ = true;
      } else {
        auto outputs = merge_axes(n, n_extents_, accesses_with(false, c_.b), "n");
        if (outputs && values_free(n, *outputs, make_int(0)) && !shares_buffers(*outputs, c_.b)) {
          merged_n_ = std::move(outputs);
        }
      }
    }
    if (m.size() > 1) {
      auto merged = merge_axes(m, m_extents_, accesses_with(true, c_.a), "m");
      bool fits = merged && values_free(m, *merged, c_.a);
      if (fits && merged_n_) {  // a buffer has one view
        for (const auto& [buffer, view] : merged->views)
          fits = fits && !merged_n_->views.count(buffer);
      }
      if (fits) merged_m_ = std::move(merged);
    }
  }

  static bool shares_buffers(const MergedAxes& merged, const Expr& e) {
    for (const Buffer& b : loaded_buffers(e)) {
      if (merged.views.count(b.get())) return true;
    }
    return false;
  }

  bool is_intermediate(const Buffer& b) const {
    return std::find(p_.allocated.begin(), p_.allocated.end(), b) != p_.allocated.end();
  }

  Stmt declare_views(Stmt body) const {
    if (merged_n_) body = merged_n_->declare(std::move(body));
    if (merged_m_) body = merged_m_->declare(std::move(body));
    return body;
  }

  // ---- Packing ---------------------------------------------------------------------------------

  // target[kflat, column] = b at column n0 + column, 0 beyond the last column.
  Stmt pack_panel(
      const Expr& first_column, const VarMap& batch,
      const std::function<Stmt(const Expr& k, const Expr& column, const Expr& value)>& store,
      const Expr& b) {
    std::vector<Var> k_vars;
    VarMap at = batch;
    Expr k_flat = make_int(0);
    for (size_t i = 0; i < main_.reduce_axes.size(); ++i) {
      k_vars.push_back(loop_var(main_.reduce_axes[i]->name));
      at.emplace(main_.reduce_axes[i].get(), k_vars.back());
      k_flat = k_flat * main_.reduce_extents[i] + k_vars.back();
    }
    k_flat = canonical(k_flat);
    auto guarded = [&](const Expr& column, const Expr& value) {
      if (is_const_int(canonical(floor_mod(n_total_, make_int(tile_.panel))), 0)) return value;
      return make_if_then_else(lt(first_column + column, n_total_), value,
                               make_const(value->dtype, 0));
    };
    const std::vector<Var> n = pick(main_.axes, c_.n_axes);
    const bool single = n.size() == 1 || merged_n_in_b_;
    const Var n_axis = merged_n_in_b_ ? merged_n_->axis : n[0];
    if (single) {
      const Expr source = merged_n_in_b_ ? merged_n_->apply(b) : b;
      Var column = loop_var("column");
      VarMap here = at;
      here.emplace(n_axis.get(), first_column + column);
      Stmt body = store(k_flat, column, guarded(column, substitute(source, here)));
      if (stride_of_loads(source, n_axis) != Stride::other) {
        // Contiguous along the columns: whole vectors.
        Var v = loop_var("v"), lane = loop_var("lane");
        body = tir::substitute(body, {{column.get(), v * tile_.lanes + lane}});
        body = unrolled_loop(v, vectors_per_panel, vectorized_loop(lane, tile_.lanes, body));
        return nest_loops(k_vars, main_.reduce_extents, std::move(body));
      }
      // Contiguous along the reduction, most likely: column by column.
      return serial_loop(column, make_int(tile_.panel),
                         nest_loops(k_vars, main_.reduce_extents, std::move(body)));
    }
    // Several axes make up a column: their values for the panel's columns are computed once.
    std::vector<Buffer> subscripts;
    Var column = loop_var("column"), lane = loop_var("lane"), v = loop_var("v");
    std::vector<Expr> decoded = unflatten(first_column + column, n_extents_);
    std::vector<Stmt> fill;
    const Expr at_column = v * tile_.lanes + lane;
    for (size_t i = 0; i < n.size(); ++i) {
      Buffer s = make_buffer(n[i]->name + "_at", {make_int(tile_.panel)}, dtypes::index,
                             Scope::local, {}, nullptr, 64);
      fill.push_back(tir::make<tir::StoreNode>(s, std::vector<Expr>{column}, decoded[i]));
      at.emplace(n[i].get(), make_load(s, {at_column}));
      subscripts.push_back(std::move(s));
    }
    Stmt body = store(k_flat, at_column, guarded(at_column, substitute(b, at)));
    body = serial_loop(v, make_int(vectors_per_panel), vectorized_loop(lane, tile_.lanes, body));
    body =
        tir::make_seq({serial_loop(column, make_int(tile_.panel), tir::make_seq(std::move(fill))),
                       nest_loops(k_vars, main_.reduce_extents, std::move(body))});
    for (Buffer& s : subscripts) body = tir::make<tir::AllocateNode>(s, std::move(body));
    return body;
  }

  // The program that packs the constant operand.
  tir::PrimFunc packer() {
    const Buffer source = p_.params[packed_param_].buffer;
    Var panel = loop_var("panel");
    const Buffer packed = packed_;
    Stmt body = pack_panel(
        canonical(panel * tile_.panel), {},
        [&](const Expr& k, const Expr& column, const Expr& value) {
          return tir::make<tir::StoreNode>(packed, std::vector<Expr>{panel, k, column}, value);
        },
        c_.b);
    return tir::make_prim_func({tir::buffer_param(source), tir::buffer_param(packed)},
                               parallel_loop(panel, num_panels_, make_int(1), std::move(body)));
  }

  // ---- The product -----------------------------------------------------------------------------

  // The tasks: for every batch and panel (and, where the panel is packed already, block of rows).
  Stmt tasks() {
    std::vector<Expr> extents = batch_extents_;
    extents.push_back(num_panels_);
    const Expr num_blocks = canonical(ceil_div(m_total_, make_int(tile_.block)));
    if (packed_param_ >= 0) extents.push_back(num_blocks);
    Var task = loop_var("task");
    std::vector<Expr> values = unflatten(task, extents);
    VarMap batch;
    std::vector<std::pair<Var, Expr>> lets;
    for (size_t i = 0; i < c_.batch_axes.size(); ++i) {
      Var v = loop_var("b" + std::to_string(i));
      lets.emplace_back(v, values[i]);
      batch.emplace(main_.axes[c_.batch_axes[i]].get(), v);
    }
    Var panel = loop_var("panel"), n0 = loop_var("n0");
    lets.emplace_back(panel, values[c_.batch_axes.size()]);
    lets.emplace_back(n0, panel * tile_.panel);

    Stmt body;
    if (packed_param_ >= 0) {
      Var block = loop_var("block");
      lets.emplace_back(block, values.back());
      body = row_block(block, panel, n0, batch);
    } else {
      packed_ = make_buffer("panel", {k_total_, make_int(tile_.panel)}, main_.target->dtype,
                            Scope::workspace, {}, nullptr, 64);
      const Buffer packed = packed_;
      Stmt pack = pack_panel(
          n0, batch,
          [&](const Expr& k, const Expr& column, const Expr& value) {
            return tir::make<tir::StoreNode>(packed, std::vector<Expr>{k, column}, value);
          },
          c_.b);
      Var block = loop_var("block");
      Stmt blocks = serial_loop(block, num_blocks, row_block(block, panel, n0, batch));
      body =
          tir::make<tir::AllocateNode>(packed, tir::make_seq({std::move(pack), std::move(blocks)}));
    }
    for (size_t i = lets.size(); i-- > 0;) body = let_stmt(lets[i].first, lets[i].second, body);

    Expr rows = packed_param_ >= 0 ? min(m_total_, make_int(tile_.block)) : m_total_;
    Expr work = canonical(k_total_ * rows * tile_.panel);
    Expr grain = max(make_int(1), floor_div(make_int(flops_per_piece), max(work, make_int(1))));
    return parallel_loop(task, product(extents), canonical(grain), std::move(body));
  }

  // Tiles over the rows of a block, then the epilogue over the block.
  Stmt row_block(const Var& block, const Var& panel, const Var& n0, const VarMap& batch) {
    Var m0 = loop_var("m0"), rows = loop_var("rows");
    Buffer results = make_buffer("block", {make_int(tile_.block), make_int(tile_.panel)},
                                 main_.target->dtype, Scope::local, {}, nullptr, 64);
    std::vector<Stmt> parts;
    Var full = loop_var("tile");
    const Expr num_full = floor_div(rows, make_int(tile_.rows));
    parts.push_back(serial_loop(
        full, num_full, micro_kernel(tile_.rows, full * tile_.rows, m0, panel, batch, results)));
    const Expr rest = floor_mod(rows, make_int(tile_.rows));
    for (int tail : tile_.tails) {
      // Rows that larger tails have taken are a multiple of 2 * tail.
      Expr begin = num_full * tile_.rows + floor_div(rest, make_int(2 * tail)) * (2 * tail);
      Expr present = eq(floor_mod(floor_div(rest, make_int(tail)), make_int(2)), make_int(1));
      Var first = loop_var("first");
      parts.push_back(if_stmt(
          present, let_stmt(first, begin, micro_kernel(tail, first, m0, panel, batch, results))));
    }
    parts.push_back(epilogue(rows, m0, n0, batch, results));
    Stmt body = tir::make<tir::AllocateNode>(results, tir::make_seq(std::move(parts)));
    body = let_stmt(rows, min(m_total_ - m0, make_int(tile_.block)), body);
    return let_stmt(m0, block * tile_.block, body);
  }

  VarMap row_values(const Expr& m) const {
    VarMap at;
    if (merged_m_) {
      at.emplace(merged_m_->axis.get(), m);
      return at;
    }
    const std::vector<Var> axes = pick(main_.axes, c_.m_axes);
    const std::vector<Expr> values = unflatten(m, m_extents_);
    for (size_t i = 0; i < axes.size(); ++i) at.emplace(axes[i].get(), values[i]);
    return at;
  }

  // `count` rows from m0 + first of the block: accumulators in registers over the whole reduction.
  Stmt micro_kernel(int count, const Expr& first, const Var& m0, const Var& panel,
                    const VarMap& batch, const Buffer& results) {
    const DType dtype = main_.target->dtype;
    Buffer acc = make_buffer("acc", {make_int(count), make_int(tile_.panel)}, dtype, Scope::local,
                             {}, nullptr, 64);
    auto each = [&](const std::function<Stmt(const Expr& r, const Expr& column)>& f) {
      Var r = loop_var("r"), v = loop_var("v"), lane = loop_var("lane");
      return unrolled_loop(
          r, count,
          unrolled_loop(v, vectors_per_panel,
                        vectorized_loop(lane, tile_.lanes, f(r, v * tile_.lanes + lane))));
    };
    Stmt clear = each([&](const Expr& r, const Expr& column) {
      return tir::make<tir::StoreNode>(acc, std::vector<Expr>{r, column}, make_const(dtype, 0));
    });
    std::vector<Var> k_vars;
    VarMap at = batch;
    Expr k_flat = make_int(0);
    for (size_t i = 0; i < main_.reduce_axes.size(); ++i) {
      k_vars.push_back(loop_var(main_.reduce_axes[i]->name));
      at.emplace(main_.reduce_axes[i].get(), k_vars.back());
      k_flat = k_flat * main_.reduce_extents[i] + k_vars.back();
    }
    k_flat = canonical(k_flat);
    const Expr a = merged_m_ ? merged_m_->apply(c_.a) : c_.a;
    Stmt step = each([&](const Expr& r, const Expr& column) {
      VarMap here = at;
      for (auto& [axis, value] : row_values(m0 + first + r)) here.emplace(axis, value);
      std::vector<Expr> where{k_flat, column};
      if (packed_param_ >= 0) where.insert(where.begin(), panel);
      Expr b = make_load(packed_, std::move(where));
      Expr sum = make_load(acc, {r, column});
      return tir::make<tir::StoreNode>(
          acc, std::vector<Expr>{r, column},
          make_call(Intrinsic::fma, dtype, std::vector<Expr>{substitute(a, here), b, sum}));
    });
    Stmt save = each([&](const Expr& r, const Expr& column) {
      return tir::make<tir::StoreNode>(results, std::vector<Expr>{first + r, column},
                                       make_load(acc, {r, column}));
    });
    return tir::make<tir::AllocateNode>(
        acc,
        tir::make_seq({std::move(clear), nest_loops(k_vars, main_.reduce_extents, std::move(step)),
                       std::move(save)}));
  }

  // The stages after the contraction, element by element over the block, and the stores. A panel
  // that goes beyond the last column stores only its part.
  Stmt epilogue(const Var& rows, const Var& m0, const Var& n0, const VarMap& batch,
                const Buffer& results) {
    Stmt whole = epilogue_of_panel(rows, m0, n0, batch, results, false);
    if (is_const_int(canonical(floor_mod(n_total_, make_int(tile_.panel))), 0)) return whole;
    return if_stmt(canonical(le(n0 + tile_.panel, n_total_)), whole,
                   epilogue_of_panel(rows, m0, n0, batch, results, true));
  }

  Stmt epilogue_of_panel(const Var& rows, const Var& m0, const Var& n0, const VarMap& batch,
                         const Buffer& results, bool masked) {
    Var r = loop_var("r"), v = loop_var("v"), lane = loop_var("lane");
    const Expr column = v * tile_.lanes + lane;
    VarMap at = batch;
    for (auto& [axis, value] : row_values(m0 + r)) at.emplace(axis, value);
    const std::vector<Var> n = pick(main_.axes, c_.n_axes);
    // Contiguous columns are stored as vectors; others one by one.
    bool vector = true;
    if (n.size() == 1) {
      at.emplace(n[0].get(), n0 + column);
    } else if (merged_n_) {
      at.emplace(merged_n_->axis.get(), n0 + column);
    } else {
      vector = false;
      const std::vector<Expr> values = unflatten(n0 + column, n_extents_);
      for (size_t i = 0; i < n.size(); ++i) at.emplace(n[i].get(), values[i]);
    }

    // Values of the stages at this element, in order; later stages read earlier ones.
    std::vector<std::pair<Var, Expr>> lets;
    std::vector<std::pair<const Stage*, Expr>> stores;
    std::unordered_map<const BufferNode*, Expr> known;
    for (size_t i = 0; i < p_.stages.size(); ++i) {
      const Stage& s = p_.stages[i];
      Expr value;
      if (i == 0) {
        value = make_load(results, {r, column});
      } else {
        VarMap to_main;
        for (size_t d = 0; d < s.axes.size(); ++d) to_main.emplace(s.axes[d].get(), main_.axes[d]);
        value = rewrite(substitute(s.value, to_main), [&](const Expr& e) -> Expr {
          const auto* load = as<LoadNode>(e);
          if (!load) return e;
          auto it = known.find(load->buffer.get());
          return it == known.end() ? e : it->second;
        });
        if (merged_m_) value = merged_m_->apply(value);
        if (merged_n_) value = merged_n_->apply(value);
        value = substitute(value, at);
      }
      Var name = make_var(s.name.empty() ? "t" : s.name, value->dtype, VarRole::let);
      lets.emplace_back(name, value);
      known.emplace(s.target.get(), name);
      if (!is_intermediate(s.target)) stores.emplace_back(&s, name);
    }
    std::vector<Stmt> parts;
    for (auto& [stage, value] : stores) {
      std::vector<Expr> indices(main_.axes.begin(), main_.axes.end());
      Buffer target = stage->target;
      if (stage == &main_) indices = main_.indices;
      if (merged_m_) {
        indices = merged_m_->apply_indices(target, std::move(indices));
        target = merged_m_->view_of(target);
      }
      if (merged_n_) {
        indices = merged_n_->apply_indices(target, std::move(indices));
        target = merged_n_->view_of(target);
      }
      for (Expr& i : indices) i = substitute(i, at);
      parts.push_back(tir::make<tir::StoreNode>(target, std::move(indices), value, stage->span));
    }
    Stmt body = tir::make_seq(std::move(parts));
    for (size_t i = lets.size(); i-- > 0;) body = let_stmt(lets[i].first, lets[i].second, body);

    if (masked) body = tir::make<tir::IfNode>(lt(n0 + column, n_total_), body);
    Stmt loop = vector ? vectorized_loop(lane, tile_.lanes, body)
                       : serial_loop(lane, make_int(tile_.lanes), body);
    return serial_loop(r, rows, serial_loop(v, make_int(vectors_per_panel), std::move(loop)));
  }

  const StagedProgram& p_;
  const Stage& main_;
  const std::vector<bool>& is_constant_;
  Tile tile_;
  Contraction c_;
  int packed_param_ = -1;
  Buffer packed_;
  std::vector<Expr> m_extents_, n_extents_, batch_extents_;
  Expr m_total_, n_total_, k_total_, num_panels_;
  std::optional<MergedAxes> merged_m_, merged_n_;
  bool merged_n_in_b_ = false;
};

}  // namespace

std::optional<ScheduledProgram> schedule_contraction(const StagedProgram& p, const Target& target,
                                                     const std::vector<bool>& is_constant) {
  return ContractionRule(p, target, is_constant).run();
}

}  // namespace repose
