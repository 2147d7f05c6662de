// Tensor programs written as loops, for operators that tensor expressions don't describe.
#pragma once

#include "ops/type_rules.h"

namespace repose {

struct LoopAxis {
  Expr extent;
  tir::IterKind kind = tir::IterKind::spatial;
};

// for i0 in axes[0], i1 in axes[1], …: block `name`: target[indices] = value, with the store that
// `f` gives for the block's axes. Regions of `reads` and of the target are whole buffers.
struct Element {
  std::vector<Expr> indices;
  Expr value;
};
tir::Stmt loop_nest(const std::string& name, const std::vector<LoopAxis>& axes,
                    const std::vector<Buffer>& reads, const Buffer& target,
                    const std::function<Element(const te::Indices&)>& f);
// target[i…] = source[i…], converted.
tir::Stmt copy_nest(const std::string& name, const Buffer& source, const Buffer& target);

// A call of the program `body` over buffers that stand for the operands, and one result.
Result<graph::Value> emit_program(Builder& b, const std::string& name,
                                  const std::vector<graph::Value>& args,
                                  const std::vector<Buffer>& buffers, const Buffer& result,
                                  tir::Stmt body);
// A buffer for an operand whose shape is known.
Buffer buffer_for(const graph::Value& operand, std::string name);

}  // namespace repose
