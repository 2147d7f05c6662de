// Sorting inside tensor programs: what topk, unique and non_max_suppression share.
#pragma once

#include "ops/loops.h"

namespace repose {

// A statement that stores in `later[0]`, a bool that is false before, whether item `a` belongs
// strictly before item `b`. NaN belongs somewhere, so that this is an order.
using Precedes = std::function<tir::Stmt(const Expr& a, const Expr& b, const Buffer& precedes)>;

// order[0 : min(keep, count)] = the first of the items 0, …, count - 1, in order; equal items keep
// theirs. A merge sort from the bottom up: count * log2(count) comparisons at most, and
// count * log2(keep) or so, as runs never grow longer than `keep`. What follows in `order`, an
// int64 buffer of `count` elements or more, is of no use afterwards.
tir::Stmt sort_items(const Buffer& order, const Expr& count, const Expr& keep,
                     const Precedes& precedes);

// The order of two values, in which NaN is greater than everything else and equal to NaN, and
// -0 equal to 0: a < b.
Expr is_less(const Expr& a, const Expr& b);
Expr is_same(const Expr& a, const Expr& b);

}  // namespace repose
