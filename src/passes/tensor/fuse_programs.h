// Groups calls of tensor programs and makes one program of each group.
//
// before:  y = call_tir(matmul, (x, w)); z = call_tir(add, (y, b)); r = reshape(z);
//          t = call_tir(permute_dims, (r,))
// after:   z = call_tir(matmul_add, (x, w, b)); t = call_tir(permute_dims_1, (z,))
// requires: normal form, calls legalized. Programs that are not in stage form stay as they are.
// ensures: the same results bit for bit, but for attention, whose scales move (attention.h); a
// value that several groups need is computed once; a fused
//          program runs as one nest of loops (classify.h, is_single_nest); a use never moves before
//          the match_cast or check that it stands after, nor behind a call that overwrites it
//
// Fusion looks at loops, not at operators: a call joins the group that alone reads it where the
// merged program, after inlining, is a single nest and recomputes nothing expensive. A function
// that is a group (is_group) has none of the limits of cost below.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

struct FuseOptions {
  int max_stages = 12;
  int max_inlined_cost = 64;  // of a value that is inlined where it is read more than once
  // Of a fused program, in operations per element (cost_of): beyond, another pass over memory costs
  // little, and compiling long chains would take time that grows with their square.
  int max_cost = 256;
  // Of a fused program, nodes of its values with their subscripts, written out: those of chains of
  // broadcasts grow with the square of their length.
  size_t max_nodes = 1500;
};

Module fuse_programs(const Module& module, const OpTable& ops, const FuseOptions& options = {});

}  // namespace repose
