// The stage form of a tensor program: what tensor expressions give, and what fusion and the
// schedule rules work on.
//
// A program in stage form is a sequence of stages over buffers that the program allocates or is
// given. Each stage is one perfect nest of serial loops around one block, a loop per block axis in
// the order of the axes, starting at 0, without predicate; spatial axes come before reduction axes.
// The block stores one element of one buffer: target[spatial axes…] = value, or, with an init, the
// accumulating form target[…] = combine(target[…], value).
#pragma once

#include <optional>
#include <vector>

#include "expr/facts.h"
#include "ir/tir.h"
#include "te/te.h"

namespace repose {

struct Stage {
  std::string name;
  Buffer target;
  std::vector<Var> axes;  // spatial, in the order of the loops
  std::vector<Expr> extents;
  std::vector<Expr> indices;     // of the store, over `axes`
  std::vector<Var> reduce_axes;  // empty: no reduction
  std::vector<Expr> reduce_extents;
  te::Reducer reducer = te::Reducer::none;
  Expr init;   // the value before the first step (with a reducer)
  Expr value;  // what is stored, or combined into the target
  Span span;

  bool is_reduction() const { return reducer != te::Reducer::none; }
};

struct StagedProgram {
  std::vector<tir::Param> params;
  std::vector<Buffer> allocated;  // intermediates, in no particular order
  std::vector<Stage> stages;      // producers before consumers
  bool is_private = true;
  Attrs attrs;
  Span span;
};

// Nothing where the program is not in stage form (it was written by hand, or sorts, scatters, …).
std::optional<StagedProgram> to_stages(const tir::PrimFunc& f);
// The program again. to_stages(from_stages(p)) gives equal stages.
tir::PrimFunc from_stages(const StagedProgram& p);

// Buffers that a stage's value loads, each once, in order of first occurrence.
std::vector<Buffer> loaded_buffers(const Expr& value);
// Replaces each load of `buffer` by `value` with `axes` replaced by the load's indices: inlining
// the elementwise or injective stage that computes it.
Expr inline_loads(const Expr& e, const Buffer& buffer, const std::vector<Var>& axes,
                  const Expr& value);
// 0 <= axis < extent for every axis of the stage.
Facts axis_facts(const Stage& s);
// The subscripts into a tensor of shape `from` that address the element of `to` at `indices`, both
// row-major with equally many elements. Dimensions that correspond one to one stay as they are.
std::vector<Expr> reshape_indices(const std::vector<Expr>& from, const std::vector<Expr>& to,
                                  const std::vector<Expr>& indices);
// Are the indices of the store exactly the spatial axes, in order?
bool stores_identity(const Stage& s);

}  // namespace repose
