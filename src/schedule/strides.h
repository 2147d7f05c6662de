// How accesses move as an axis goes on, for rules that choose what runs in vectors.
#pragma once

#include "passes/tensor/stages.h"

namespace repose::schedule {

Expr product(const std::vector<Expr>& list);

// How loads of an expression move with an axis: not at all, to the next element, or otherwise.
enum class Stride : uint8_t { none, unit, other };
Stride stride_of_loads(const Expr& value, const Var& axis);

// Whether every access of an elementwise stage names all axes one after another, in dimensions of
// their extents, or none of them: then the stage runs over flat elements.
bool is_flat(const Stage& s);

}  // namespace repose::schedule
