// Types that exclude each other.
#include "ir/cast.h"

#include <algorithm>

namespace repose {

bool may_overlap(const Type& a, const Type& b, const Facts& facts) {
  auto dims_may_equal = [&](const std::optional<Dims>& x, const std::optional<Dims>& y) {
    if (!x || !y) return true;
    for (size_t i = 0; i < std::min(x->size(), y->size()); ++i) {
      if (prove_equal((*x)[i], (*y)[i], facts) == Truth::no) return false;
    }
    return true;
  };
  if (a->kind == TypeKind::any || b->kind == TypeKind::any) return true;
  if (a->kind != b->kind) return false;
  switch (a->kind) {
    case TypeKind::tensor: {
      const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      return !(x->dtype && y->dtype && x->dtype != y->dtype) &&
             !(x->rank >= 0 && y->rank >= 0 && x->rank != y->rank) &&
             !(!x->device.empty() && !y->device.empty() && x->device != y->device) &&
             dims_may_equal(x->shape, y->shape);
    }
    case TypeKind::shape: {
      const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      return !(x->rank >= 0 && y->rank >= 0 && x->rank != y->rank) &&
             dims_may_equal(x->dims, y->dims);
    }
    case TypeKind::prim: {
      const auto *x = as<PrimTypeNode>(a), *y = as<PrimTypeNode>(b);
      // An index is an int64 where it is passed.
      const bool is_passed = x->dtype.is_any_int() && y->dtype.is_any_int() &&
                             (x->dtype.is_index() || y->dtype.is_index());
      if (x->dtype != y->dtype) return !x->dtype || !y->dtype || is_passed;
      return !x->value || !y->value || !x->dtype.is_any_int() ||
             prove_equal(x->value, y->value, facts) != Truth::no;
    }
    case TypeKind::tuple: {
      const auto &x = as<TupleTypeNode>(a)->fields, &y = as<TupleTypeNode>(b)->fields;
      return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                        [&](const Type& m, const Type& n) { return may_overlap(m, n, facts); });
    }
    default:
      return true;
  }
}

}  // namespace repose
