// Scales the rows of attention where they have the fewest elements.
#include "passes/tensor/move_scales.h"

#include <algorithm>

#include "passes/tensor/attention.h"
#include "passes/tensor/classify.h"

namespace repose {

namespace {

// Whether only stage `reader` loads the buffer.
bool is_read_only_by(const StagedProgram& p, const Buffer& buffer, const Stage& reader) {
  return std::all_of(p.stages.begin(), p.stages.end(), [&](const Stage& s) {
    const std::vector<Buffer> loaded = loaded_buffers(s.value);
    return &s == &reader || std::count(loaded.begin(), loaded.end(), buffer) == 0;
  });
}

VarMap mapped(const std::vector<Var>& from, const std::vector<Var>& to, size_t count) {
  VarMap map;
  for (size_t d = 0; d < count; ++d) map.emplace(from[d].get(), to[d]);
  return map;
}

// Scores that the next stage scales are products of scaled queries.
void scale_queries(StagedProgram& p, size_t shared) {
  Stage &scores = p.stages[0], &next = p.stages[1];
  if (next.is_reduction() || next.axes.size() != shared + 1 ||
      !is_read_only_by(p, scores.target, next)) {
    return;
  }
  auto is_score = [&](const Expr& e) {
    const auto* load = as<LoadNode>(e);
    return load && load->buffer == scores.target;
  };
  int loads = 0;
  const ExprNode* scaled = nullptr;  // the product or quotient
  size_t at = 0;                     // which operand of it is the score
  visit(next.value, [&](const Expr& e) {
    loads += is_score(e) ? 1 : 0;
    const bool divides = e->kind == ExprKind::div;
    if (!divides && e->kind != ExprKind::mul) return true;
    for (size_t i = 0; i < (divides ? 1U : 2U); ++i) {
      if (!is_score(e->args[i]) || uses_var(e->args[1 - i], next.axes[shared])) continue;
      scaled = e.get();
      at = i;
    }
    return true;
  });
  if (!scaled || loads != 1) return;
  const VarMap axes = mapped(next.axes, scores.axes, shared);
  const Expr scale = substitute(scaled->args[1 - at], axes);
  const Contraction product = *match_contraction(scores);
  scores.value = make_binary(ExprKind::mul, make_binary(scaled->kind, product.a, scale), product.b);
  next.value =
      rewrite(next.value, [&](const Expr& e) { return e.get() == scaled ? e->args[at] : e; });
  if (!is_score(next.value)) return;
  // Nothing is left of the stage.
  scores.target = next.target;
  std::erase(p.allocated, as<LoadNode>(next.value)->buffer);
  p.stages.erase(p.stages.begin() + 1);
}

// Weights that a stage has scaled by row are those of a sum that is scaled.
void scale_sum(StagedProgram& p, const Attention& attention) {
  const size_t shared = attention.rows + 1;
  Stage& sum = p.stages[attention.sum];
  const Contraction product = *match_contraction(sum);
  const auto* weights = as<LoadNode>(product.a);
  const auto scaled = std::find_if(p.stages.begin(), p.stages.end(),
                                   [&](const Stage& s) { return s.target == weights->buffer; });
  if (scaled->is_reduction() || scaled->value->kind != ExprKind::mul ||
      !is_read_only_by(p, scaled->target, sum)) {
    return;
  }
  // The factor that has no keys, and the other, which a stage made.
  Expr scale = scaled->value->args[1], rest = scaled->value->args[0];
  if (uses_var(scale, scaled->axes[shared])) std::swap(scale, rest);
  if (uses_var(scale, scaled->axes[shared]) ||
      !loads_row(rest, *scaled, shared, scaled->axes[shared])) {
    return;
  }
  Stage after;
  after.name = sum.name + "_scaled";
  after.target = sum.target;
  after.extents = sum.extents;
  after.span = sum.span;
  for (const Var& v : sum.axes) {
    after.axes.push_back(make_var(v->name, dtypes::index, VarRole::loop));
    after.indices.push_back(after.axes.back());
  }
  const Buffer unscaled =
      make_buffer(sum.target->name + "_sum", sum.target->shape, sum.target->dtype);
  // A sum over nothing is 0, whatever its scale is.
  after.value = make_select(eq(sum.reduce_extents[0], make_int(0)), sum.init,
                            make_load(unscaled, after.indices) *
                                substitute(scale, mapped(scaled->axes, after.axes, shared)));
  sum.target = unscaled;
  sum.value =
      make_binary(ExprKind::mul, make_load(as<LoadNode>(rest)->buffer, weights->args), product.b);
  p.allocated.push_back(unscaled);
  std::erase(p.allocated, scaled->target);
  const auto at = scaled - p.stages.begin();
  p.stages.insert(p.stages.begin() + static_cast<int64_t>(attention.sum) + 1, std::move(after));
  p.stages.erase(p.stages.begin() + at);
  // What only the scaled sum needs of the rows need not come before the sum.
  const auto total = p.stages.begin() + static_cast<int64_t>(attention.sum) - 1;
  for (auto it = total; it != p.stages.begin(); --it) {
    const Stage& s = *(it - 1);
    if (s.axes.size() > shared || s.is_reduction() || !is_read_only_by(p, s.target, total[1])) {
      continue;
    }
    std::rotate(it - 1, it, total + 1);
    break;
  }
}

}  // namespace

Module move_scales(const Module& module) {
  Module result = module;
  for (const std::string& name : module.names()) {
    const tir::PrimFunc f = module.prim_func(name);
    auto staged = f ? to_stages(f) : std::nullopt;
    const auto attention = staged ? match_attention(*staged) : std::nullopt;
    if (!attention) continue;
    scale_sum(*staged, *attention);
    scale_queries(*staged, attention->rows + 1);
    result.set(name, from_stages(*staged));
  }
  return result;
}

}  // namespace repose
