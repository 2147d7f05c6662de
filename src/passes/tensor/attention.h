// Attention: scores of rows become weights of a sum.
#pragma once

#include "passes/tensor/stages.h"

namespace repose {

// Stages share `rows` + 1 leading axes, the last of which is that of rows (queries); each has at
// most one axis of its own (keys; elements of values). The first stage is a batch of products of
// what it loads, the stage at `sum` sums with the weights that those before it made of them. The
// others are elementwise stages and reductions (at least one, before the sum) of a row each.
struct Attention {
  size_t rows = 0;  // an axis, the same in all stages
  size_t sum = 0;   // a stage
};
std::optional<Attention> match_attention(const StagedProgram& p, const Facts& facts = {});

// Whether `e` loads at the first `shared` axes of the stage, and then at `last`.
bool loads_row(const Expr& e, const Stage& s, size_t shared, const Var& last);

}  // namespace repose
