// What kind of loop nest a program in stage form is.
#include "passes/tensor/classify.h"

#include <algorithm>
#include <unordered_set>

#include "passes/tensor/attention.h"

namespace repose {

namespace {

bool match_product(const Expr& value, Expr* a, Expr* b) {
  if (value->kind == ExprKind::mul) {
    *a = value->args[0];
    *b = value->args[1];
    return true;
  }
  return false;
}

// The axis (position) that the last index of the store is, or -1.
int contiguous_axis(const Stage& s) {
  if (s.indices.empty()) return -1;
  for (size_t i = 0; i < s.axes.size(); ++i) {
    if (s.indices.back() == s.axes[i]) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

std::optional<Contraction> match_contraction(const Stage& stage) {
  Contraction c;
  if (stage.reducer != te::Reducer::sum || !match_product(stage.value, &c.a, &c.b)) {
    return std::nullopt;
  }
  // Both factors vary along the reduction: otherwise one of them could be pulled out.
  auto uses_reduction = [&](const Expr& e) {
    for (const Var& v : stage.reduce_axes) {
      if (uses_var(e, v)) return true;
    }
    return false;
  };
  if (!uses_reduction(c.a) || !uses_reduction(c.b)) return std::nullopt;
  for (int attempt = 0; attempt < 2; ++attempt) {
    c.batch_axes.clear();
    c.m_axes.clear();
    c.n_axes.clear();
    for (size_t i = 0; i < stage.axes.size(); ++i) {
      const bool in_a = uses_var(c.a, stage.axes[i]), in_b = uses_var(c.b, stage.axes[i]);
      (in_a == in_b ? c.batch_axes : in_a ? c.m_axes : c.n_axes).push_back(i);
    }
    const int last = contiguous_axis(stage);
    if (last < 0 ||
        std::find(c.m_axes.begin(), c.m_axes.end(), static_cast<size_t>(last)) == c.m_axes.end()) {
      break;
    }
    std::swap(c.a, c.b);
  }
  // A product of one tensor with itself, a dot product: a plain reduction does as well.
  if (c.n_axes.empty()) return std::nullopt;
  return c;
}

ProgramKind classify(const StagedProgram& p) {
  int contractions = 0;
  bool reduces = false;
  for (const Stage& s : p.stages) {
    if (match_contraction(s)) ++contractions;
    reduces = reduces || s.is_reduction();
  }
  if (contractions > 1) {
    return match_attention(p) ? ProgramKind::attention : ProgramKind::opaque;
  }
  if (contractions == 1) return ProgramKind::contraction;
  return reduces ? ProgramKind::reduction : ProgramKind::injective;
}

int shared_prefix(const StagedProgram& p, const Facts& facts) {
  REPOSE_CHECK(!p.stages.empty(), "a program has stages");
  std::unordered_set<const BufferNode*> produced;
  for (const Stage& s : p.stages) produced.insert(s.target.get());
  size_t prefix = p.stages[0].axes.size();
  for (const Stage& s : p.stages) {
    prefix = std::min({prefix, s.axes.size(), s.indices.size()});
    for (size_t d = 0; d < prefix; ++d) {
      if (s.indices[d] != s.axes[d] ||
          prove_equal(s.extents[d], p.stages[0].extents[d], facts) != Truth::yes) {
        prefix = d;
      }
    }
    visit(s.value, [&](const Expr& e) {
      const auto* load = as<LoadNode>(e);
      if (!load || !produced.count(load->buffer.get())) return true;
      prefix = std::min(prefix, e->args.size());
      for (size_t d = 0; d < prefix; ++d) {
        if (e->args[d] != s.axes[d]) prefix = d;
      }
      return true;
    });
  }
  return static_cast<int>(prefix);
}

bool is_single_nest(const StagedProgram& p, const Facts& facts) {
  if (p.stages.size() == 1) return true;
  const ProgramKind kind = classify(p);
  if (kind == ProgramKind::opaque) return false;
  if (kind == ProgramKind::attention) return true;
  if (kind == ProgramKind::contraction) {
    // The contraction first, then elementwise stages at the same points.
    const Stage& main = p.stages[0];
    if (!match_contraction(main) || !stores_identity(main)) return false;
    for (const Stage& s : p.stages) {
      if (&s != &main && s.is_reduction()) return false;
      if (s.axes.size() != main.axes.size() || !stores_identity(s)) return false;
    }
    return shared_prefix(p, facts) == static_cast<int>(main.axes.size());
  }
  // Rows: a reduction's spatial axes are all shared (so that its result is complete within a row),
  // others have at most one axis of their own; an injective program of several stages has been
  // inlined before.
  const int prefix = shared_prefix(p, facts);
  if (kind == ProgramKind::injective) return false;
  for (const Stage& s : p.stages) {
    const int own = static_cast<int>(s.axes.size()) - prefix;
    if (s.is_reduction()) {
      // Axes of extent 1 (kept dimensions) don't count.
      for (size_t d = prefix; d < s.axes.size(); ++d) {
        if (!is_const_int(s.extents[d], 1)) return false;
      }
    } else if (own > 3) {
      return false;
    }
  }
  return true;
}

bool is_data_movement(const Stage& s) {
  if (s.is_reduction()) return false;
  bool moves = true;
  // Arithmetic inside subscripts and conditions over indices is free of data.
  std::function<void(const Expr&)> walk = [&](const Expr& e) {
    switch (e->kind) {
      case ExprKind::load:
      case ExprKind::int_imm:
      case ExprKind::float_imm:
        return;
      case ExprKind::select:
      case ExprKind::if_then_else:
        walk(e->args[1]);
        walk(e->args[2]);
        if (!loaded_buffers(e->args[0]).empty()) moves = false;
        return;
      default:
        moves = false;
    }
  };
  walk(s.value);
  return moves;
}

int cost_of(const Expr& value) {
  int cost = 0;
  std::unordered_set<const ExprNode*> seen;
  visit(value, [&](const Expr& e) {
    if (!seen.insert(e.get()).second) return false;
    if (e->dtype.is_index()) return e->kind == ExprKind::cast || e->kind == ExprKind::load;
    switch (e->kind) {
      case ExprKind::int_imm:
      case ExprKind::float_imm:
      case ExprKind::var:
      case ExprKind::load:
        break;
      case ExprKind::div:
      case ExprKind::mod:
      case ExprKind::floor_div:
      case ExprKind::floor_mod:
        cost += 4;
        break;
      case ExprKind::call:
        cost += 10;
        break;
      default:
        cost += 1;
    }
    return true;
  });
  return cost;
}

}  // namespace repose
