// How accesses move as an axis goes on.
#include "schedule/strides.h"

#include <algorithm>
#include <unordered_set>

namespace repose::schedule {

Expr product(const std::vector<Expr>& list) {
  Expr p = make_int(1);
  for (const Expr& e : list) p = p * e;
  return canonical(p);
}

namespace {

Stride stride_of(const Expr& load, const Var& axis) {
  const std::vector<Expr>& indices = load->args;
  const Dims& shape = as<LoadNode>(load)->buffer->shape;
  // Dimensions of one element behind it don't count.
  size_t last = indices.size();
  while (last > 1 && is_const_int(shape[last - 1], 1)) --last;
  bool used = false;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!uses_var(indices[i], axis)) continue;
    used = true;
    if (i + 1 < last) return Stride::other;
    Expr step = canonical(substitute(indices[i], {{axis.get(), axis + 1}}) - indices[i]);
    if (!is_const_int(step, 1)) return Stride::other;
  }
  return used ? Stride::unit : Stride::none;
}

// A walk over the nodes of an expression, each once.
template <class F>
void each_node(const Expr& e, const F& f) {
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) { return seen.insert(node.get()).second && f(node); });
}

bool mentions(const Expr& e, const std::vector<Var>& axes) {
  return std::any_of(axes.begin(), axes.end(), [&](const Var& v) { return uses_var(e, v); });
}

// The axes stand among the subscripts, in order and side by side, or not at all.
bool names_all_or_none(const Buffer& buffer, const std::vector<Expr>& indices, const Stage& s) {
  size_t first = 0;
  while (first < indices.size() && !mentions(indices[first], s.axes)) ++first;
  if (first == indices.size()) return true;
  if (first + s.axes.size() > indices.size() || !buffer->strides.empty()) return false;
  for (size_t k = 0; k < s.axes.size(); ++k) {
    if (indices[first + k] != s.axes[k]) return false;
    if (k > 0 && prove_equal(buffer->shape[first + k], s.extents[k]) != Truth::yes) return false;
  }
  for (size_t i = first + s.axes.size(); i < indices.size(); ++i) {
    if (mentions(indices[i], s.axes)) return false;
  }
  return true;
}

}  // namespace

Stride stride_of_loads(const Expr& value, const Var& axis) {
  Stride worst = Stride::none;
  each_node(value, [&](const Expr& e) {
    if (e->kind == ExprKind::load) worst = std::max(worst, stride_of(e, axis));
    return true;
  });
  return worst;
}

bool is_flat(const Stage& s) {
  if (s.is_reduction() || s.axes.empty() || !stores_identity(s)) return false;
  bool flat = names_all_or_none(s.target, s.indices, s);
  each_node(s.value, [&](const Expr& e) {
    if (const auto* load = as<LoadNode>(e)) {
      flat = flat && names_all_or_none(load->buffer, e->args, s);
      return false;
    }
    // An axis that is a value (an index that is stored).
    flat = flat && !(e->kind == ExprKind::var && mentions(e, s.axes));
    return flat;
  });
  return flat;
}

}  // namespace repose::schedule
