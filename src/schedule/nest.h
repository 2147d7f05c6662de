// Building blocks of schedule rules: loops, vector loops with exact tails, axes merged into views.
#pragma once

#include <functional>
#include <optional>

#include "base/target.h"
#include "passes/tensor/stages.h"

namespace repose {

Var loop_var(std::string name);
tir::Stmt serial_loop(const Var& v, const Expr& extent, tir::Stmt body);
tir::Stmt unrolled_loop(const Var& v, int extent, tir::Stmt body);
tir::Stmt vectorized_loop(const Var& v, int lanes, tir::Stmt body);
// Pieces of at least `grain` iterations go to a thread at a time.
tir::Stmt parallel_loop(const Var& v, const Expr& extent, const Expr& grain, tir::Stmt body);
tir::Stmt let_stmt(const Var& v, const Expr& value, tir::Stmt body);
tir::Stmt if_stmt(const Expr& condition, tir::Stmt then_body, tir::Stmt else_body = nullptr);
tir::Stmt nest_loops(const std::vector<Var>& vars, const std::vector<Expr>& extents,
                     tir::Stmt body);

// body(i) for i in [0, extent): whole vectors of `lanes`, then the rest as one vector in which the
// lanes beyond the extent are masked off (an `if` inside the vectorized loop).
tir::Stmt vector_loop(const Expr& extent, int lanes, const std::string& name,
                      const std::function<tir::Stmt(const Expr& i)>& body);

// The values of `extents.size()` axes for a flat index, the last axis fastest.
std::vector<Expr> unflatten(const Expr& flat, const std::vector<Expr>& extents);
Expr product(const std::vector<Expr>& list);

// acc (+) value as a schedule computes it: a product that is summed becomes a fused multiply-add.
Expr accumulate(te::Reducer reducer, const Expr& accumulator, const Expr& value);

// How loads of an expression move with an axis: not at all, to the next element, or otherwise.
enum class Stride : uint8_t { none, unit, other };
Stride stride_of_loads(const Expr& value, const Var& axis);

// Views in which neighbouring axes are one: wherever a load or store of `exprs`/`stores` mentions
// one of `axes`, it mentions all of them, in order, as neighbouring subscripts of dimensions of
// their extents.
struct MergedAxes {
  Var axis;
  std::unordered_map<const BufferNode*, std::pair<Buffer, size_t>>
      views;  // view, first merged dimension
  size_t count = 0;
  Expr apply(const Expr& e) const;        // loads through the views
  Buffer view_of(const Buffer& b) const;  // the buffer itself where there is no view
  std::vector<Expr> apply_indices(const Buffer& b, std::vector<Expr> indices) const;
  tir::Stmt declare(tir::Stmt body) const;  // the views exist in `body`
};
struct Access {
  Buffer buffer;
  std::vector<Expr> indices;
};
std::vector<Access> loads_of(const Expr& e);
std::optional<MergedAxes> merge_axes(const std::vector<Var>& axes, const std::vector<Expr>& extents,
                                     const std::vector<Access>& accesses, const std::string& name);

}  // namespace repose
