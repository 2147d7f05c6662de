// The stage form of a tensor program.
#include "passes/tensor/stages.h"

#include <unordered_set>

namespace repose {

namespace {

using te::Reducer;

// combine(target[…], value) -> reducer and value.
bool match_combine(const Expr& stored, const Buffer& target, const std::vector<Expr>& indices,
                   Reducer* reducer, Expr* value) {
  switch (stored->kind) {
    case ExprKind::add:
      *reducer = Reducer::sum;
      break;
    case ExprKind::mul:
      *reducer = Reducer::prod;
      break;
    case ExprKind::min:
      *reducer = Reducer::min;
      break;
    case ExprKind::max:
      *reducer = Reducer::max;
      break;
    default:
      return false;
  }
  if (!structural_equal(stored->args[0], make_load(target, indices))) return false;
  *value = stored->args[1];
  return true;
}

bool loads_buffer(const Expr& e, const Buffer& buffer) {
  for (const Buffer& b : loaded_buffers(e)) {
    if (b == buffer) return true;
  }
  return false;
}

std::optional<Stage> to_stage(const tir::Stmt& nest) {
  std::vector<const tir::ForNode*> loops;
  tir::Stmt s = nest;
  while (const auto* loop = tir::as<tir::ForNode>(s)) {
    if (loop->loop_kind != tir::ForKind::serial || !is_const_int(loop->min, 0)) return std::nullopt;
    if (!loop->annotations.empty()) return std::nullopt;
    loops.push_back(loop);
    s = loop->body;
  }
  const auto* block = tir::as<tir::BlockNode>(s);
  if (!block || block->iters.size() != loops.size() || !block->alloc_buffers.empty() ||
      !block->match_buffers.empty() || !block->annotations.empty() ||
      (block->predicate && !is_const_int(block->predicate, 1))) {
    return std::nullopt;
  }
  const auto* store = tir::as<tir::StoreNode>(block->body);
  if (!store || store->predicate) return std::nullopt;
  Stage stage;
  stage.name = block->name;
  stage.target = store->buffer;
  stage.indices = store->indices;
  stage.span = block->span;
  for (size_t i = 0; i < loops.size(); ++i) {
    const tir::IterVar& iter = block->iters[i];
    if (iter.value != loops[i]->var || !is_const_int(iter.min, 0) ||
        !structural_equal(canonical(iter.extent), canonical(loops[i]->extent))) {
      return std::nullopt;
    }
    if (iter.kind == tir::IterKind::spatial) {
      if (!stage.reduce_axes.empty()) return std::nullopt;
      stage.axes.push_back(iter.var);
      stage.extents.push_back(iter.extent);
    } else if (iter.kind == tir::IterKind::reduce) {
      stage.reduce_axes.push_back(iter.var);
      stage.reduce_extents.push_back(iter.extent);
    } else {
      return std::nullopt;
    }
  }
  stage.value = store->value;
  if (block->init) {
    const auto* init = tir::as<tir::StoreNode>(block->init);
    if (!init || init->buffer != store->buffer || init->predicate ||
        !match_combine(store->value, store->buffer, store->indices, &stage.reducer, &stage.value)) {
      return std::nullopt;
    }
    for (size_t i = 0; i < init->indices.size(); ++i) {
      if (!structural_equal(init->indices[i], store->indices[i])) return std::nullopt;
    }
    stage.init = init->value;
  } else if (!stage.reduce_axes.empty()) {
    return std::nullopt;
  }
  if (loads_buffer(stage.value, stage.target)) return std::nullopt;
  return stage;
}

}  // namespace

std::optional<StagedProgram> to_stages(const tir::PrimFunc& f) {
  StagedProgram p;
  p.params = f->params;
  p.is_private = f->is_private;
  p.attrs = f->attrs;
  p.span = f->span;
  tir::Stmt body = f->body;
  if (const auto* root = tir::as<tir::BlockNode>(body);
      root && root->iters.empty() && !root->init && !tir::as<tir::StoreNode>(root->body)) {
    if (!root->match_buffers.empty() || !root->annotations.empty() || root->predicate) {
      return std::nullopt;
    }
    p.allocated = root->alloc_buffers;
    body = root->body;
  }
  std::vector<tir::Stmt> nests{body};
  if (const auto* seq = tir::as<tir::SeqNode>(body)) nests = seq->stmts;
  std::unordered_set<const BufferNode*> written;
  for (const tir::Stmt& nest : nests) {
    std::optional<Stage> stage = to_stage(nest);
    // Each buffer is written by one stage.
    if (!stage || !written.insert(stage->target.get()).second) return std::nullopt;
    p.stages.push_back(std::move(*stage));
  }
  return p;
}

tir::PrimFunc from_stages(const StagedProgram& p) {
  std::vector<tir::Stmt> nests;
  for (const Stage& stage : p.stages) {
    tir::BlockNode::Fields block;
    block.name = stage.name;
    block.span = stage.span;
    std::vector<std::pair<Var, Expr>> loops;
    auto add = [&](const Var& axis, const Expr& extent, tir::IterKind kind) {
      Var loop =
          make_var(axis->name.starts_with("v_") ? axis->name.substr(2) : axis->name + "_loop",
                   dtypes::index, VarRole::loop);
      block.iters.push_back({axis, make_int(0), extent, kind, loop});
      loops.emplace_back(loop, extent);
    };
    for (size_t i = 0; i < stage.axes.size(); ++i) {
      add(stage.axes[i], stage.extents[i], tir::IterKind::spatial);
    }
    for (size_t i = 0; i < stage.reduce_axes.size(); ++i) {
      add(stage.reduce_axes[i], stage.reduce_extents[i], tir::IterKind::reduce);
    }
    auto point = [](const std::vector<Expr>& indices) {
      std::vector<tir::Range> ranges;
      for (const Expr& i : indices) ranges.push_back({i, make_int(1)});
      return ranges;
    };
    visit(stage.value, [&](const Expr& e) {
      if (const auto* load = as<LoadNode>(e)) block.reads.push_back({load->buffer, point(e->args)});
      return true;
    });
    block.writes.push_back({stage.target, point(stage.indices)});
    Expr value = stage.value;
    if (stage.is_reduction()) {
      block.init = tir::make<tir::StoreNode>(stage.target, stage.indices, stage.init);
      value = te::combine(stage.reducer, make_load(stage.target, stage.indices), value);
    }
    block.body = tir::make<tir::StoreNode>(stage.target, stage.indices, value, stage.span);
    tir::Stmt s = tir::make<tir::BlockNode>(std::move(block));
    for (size_t i = loops.size(); i-- > 0;) {
      s = tir::make<tir::ForNode>(loops[i].first, make_int(0), loops[i].second,
                                  tir::ForKind::serial, s);
    }
    nests.push_back(std::move(s));
  }
  tir::Stmt body = tir::make_seq(std::move(nests));
  if (!p.allocated.empty()) {
    tir::BlockNode::Fields root;
    root.name = "root";
    root.alloc_buffers = p.allocated;
    root.body = std::move(body);
    body = tir::make<tir::BlockNode>(std::move(root));
  }
  return tir::make_prim_func(p.params, std::move(body), p.is_private, p.attrs, p.span);
}

std::vector<Buffer> loaded_buffers(const Expr& value) {
  std::vector<Buffer> result;
  std::unordered_set<const BufferNode*> seen;
  std::unordered_set<const ExprNode*> visited;
  visit(value, [&](const Expr& e) {
    if (!visited.insert(e.get()).second) return false;
    if (const auto* load = as<LoadNode>(e); load && seen.insert(load->buffer.get()).second) {
      result.push_back(load->buffer);
    }
    return true;
  });
  return result;
}

Expr inline_loads(const Expr& e, const Buffer& buffer, const std::vector<Var>& axes,
                  const Expr& value) {
  return rewrite(e, [&](const Expr& node) -> Expr {
    const auto* load = as<LoadNode>(node);
    if (!load || load->buffer != buffer) return node;
    VarMap map;
    for (size_t i = 0; i < axes.size(); ++i) map.emplace(axes[i].get(), node->args[i]);
    return substitute(value, map);
  });
}

Facts axis_facts(const Stage& s) {
  Facts facts;
  auto bound = [&](const Var& axis, const Expr& extent) {
    Interval range;
    range.lower = 0;
    facts.restrict(axis, range);
    facts.assume(lt(axis, extent));
  };
  for (size_t i = 0; i < s.axes.size(); ++i) bound(s.axes[i], s.extents[i]);
  for (size_t i = 0; i < s.reduce_axes.size(); ++i) bound(s.reduce_axes[i], s.reduce_extents[i]);
  return facts;
}

std::vector<Expr> reshape_indices(const std::vector<Expr>& from, const std::vector<Expr>& to,
                                  const std::vector<Expr>& indices) {
  // Cut both shapes into groups of dimensions with equal products, so that a flattened index is
  // formed only where dimensions are really split or merged.
  std::vector<Expr> result(from.size());
  size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    size_t i_end = i, j_end = j;
    Expr have = make_int(1), want = make_int(1);
    auto equal = [&] { return prove_equal(have, want) == Truth::yes; };
    auto extend_from = [&] { have = canonical(have * from[i_end++]); };
    auto extend_to = [&] { want = canonical(want * to[j_end++]); };
    if (i_end < from.size()) extend_from();
    if (j_end < to.size()) extend_to();
    // The shortest groups of equal product; if none is found, everything that is left.
    bool found = equal();
    for (size_t a = i_end; !found && a <= from.size(); ++a) {
      Expr p = make_int(1);
      for (size_t k = i; k < a; ++k) p = p * from[k];
      p = canonical(p);
      Expr q = make_int(1);
      for (size_t c = j; c < to.size() && !found; ++c) {
        q = canonical(q * to[c]);
        if (prove_equal(p, q) == Truth::yes) {
          i_end = a;
          j_end = c + 1;
          found = true;
        }
      }
    }
    if (!found) {
      i_end = from.size();
      j_end = to.size();
    }
    if (i_end - i == 1 && j_end - j == 1) {
      result[i] = indices[j];
    } else {
      Expr flat = make_int(0);
      for (size_t k = j; k < j_end; ++k) flat = flat * to[k] + indices[k];
      for (size_t k = i_end; k-- > i;) {
        // The outermost of the group needs no modulo: flat is below the product.
        result[k] = k == i ? flat : floor_mod(flat, from[k]);
        if (k > i) flat = floor_div(flat, from[k]);
      }
    }
    i = i_end;
    j = j_end;
  }
  return result;
}

bool stores_identity(const Stage& s) {
  if (s.indices.size() != s.axes.size()) return false;
  for (size_t i = 0; i < s.axes.size(); ++i) {
    if (s.indices[i] != s.axes[i]) return false;
  }
  return true;
}

}  // namespace repose
