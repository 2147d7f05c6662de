// What kind of loop nest a program in stage form is: fusion decides by it, schedule rules start
// from it.
#pragma once

#include "passes/tensor/stages.h"

namespace repose {

// A stage that multiplies and sums, C[s…] += a(s…, r…) * b(s…, r…), seen as a batched matrix
// product C[batch][m][n] = sum over k of A[batch][m][k] * B[batch][k][n]. Axes are classed by where
// they occur: in both factors (or none): batch; only in `a`: m; only in `b`: n. Where `m_axes` and
// `n_axes` could be swapped, the last spatial axis of the stage (contiguous in the result) is among
// `n_axes`.
struct Contraction {
  Expr a, b;                                       // the factors, in the accumulator's dtype
  std::vector<size_t> batch_axes, m_axes, n_axes;  // positions in Stage::axes
};
std::optional<Contraction> match_contraction(const Stage& stage);

enum class ProgramKind : uint8_t {
  injective,    // every stage computes each element from a fixed number of others: elementwise,
                // broadcast, transpose, gather
  reduction,    // some stage reduces, none contracts
  contraction,  // exactly one stage contracts
  attention,    // scores of rows become weights of a sum (attention.h)
  opaque,       // not in stage form, or several contractions
};
ProgramKind classify(const StagedProgram& p);

// How many leading axes all the stages share: stages store to those axes by identity, read each
// other's results at the same point of them, and have provably equal extents.
int shared_prefix(const StagedProgram& p, const Facts& facts = {});

// Can the program run as one nest of loops without a barrier inside: either one stage; or a
// contraction followed by elementwise stages over its result (an epilogue); or attention; or stages
// which, for each point of their shared prefix, only exchange rows.
bool is_single_nest(const StagedProgram& p, const Facts& facts = {});

// The stage is only moving data: loads, casts between equal dtypes and selections, no arithmetic on
// data.
bool is_data_movement(const Stage& s);
// Arithmetic operations per element, with exp and its kin counted as 10, division as 4.
int cost_of(const Expr& value);

}  // namespace repose
