// Removes blocks: what stands in them runs where they stood.
//
// before:  for i, k: with T.block(): vi, vk = remap;
//            with T.init(): C[vi] = 0
//            C[vi] = C[vi] + A[vi, vk]
// after:   for i: C[i] = 0; for k: C[i] = C[i] + A[i, k]
// requires: well-formed blocks
// ensures: no block is left; a block's buffers are allocated around its body (local where small and
//          constant, else in the workspace); the same operations in the same order, bit for bit.
//          Where the program is in stage form, as above, a reduction over nothing gives the initial
//          value; elsewhere the first step initializes: if k == 0: C[i] = 0.
#pragma once

#include "ir/tir.h"

namespace repose {

tir::PrimFunc lower_blocks(const tir::PrimFunc& f);

// `body`, before it `init` where the block's axes are at the first step of its reduction.
tir::Stmt begun_at_first_step(const tir::BlockNode& block, tir::Stmt init, tir::Stmt body);

}  // namespace repose
