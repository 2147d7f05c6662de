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

// ---- Programs that go where the data sends them

// The number of elements of a tensor of this shape.
Expr element_count(const Dims& shape);
// The indices of its element `flat`, counted in row-major order.
te::Indices row_major_indices(Expr flat, const Dims& shape);
// A shape, or indices, with and without dimension `d`.
std::vector<Expr> without(std::vector<Expr> list, size_t d);
std::vector<Expr> with(std::vector<Expr> list, size_t d, Expr e);

// for i in [0, extent): f(i).
tir::Stmt for_each(const std::string& name, const Expr& extent,
                   const std::function<tir::Stmt(const Expr&)>& f,
                   tir::ForKind kind = tir::ForKind::serial);
// f(indices) for each element of a tensor of this shape, in parallel.
tir::Stmt for_each_element(const std::string& name, const Dims& shape,
                           const std::function<tir::Stmt(const te::Indices&)>& f);
// f(values), each computed once: let v0 = values[0], v1 = values[1], …
tir::Stmt with_values(const std::vector<Expr>& values,
                      const std::function<tir::Stmt(const std::vector<Expr>&)>& f);
tir::Stmt store(const Buffer& buffer, te::Indices indices, Expr value);
// The element as an index.
Expr load_index(const Buffer& buffer, te::Indices indices);

// A position that a program moves: one int64 on the stack.
class Cell {
 public:
  explicit Cell(std::string name)
      : buffer_(make_buffer(std::move(name), {make_int(1)}, dtypes::int64, Scope::local)) {}
  Expr get() const { return load_index(buffer_, {make_int(0)}); }
  tir::Stmt set(const Expr& value) const;
  tir::Stmt advance() const { return set(get() + 1); }
  const Buffer& buffer() const { return buffer_; }

 private:
  Buffer buffer_;
};
// `body` with these cells and buffers around it.
tir::Stmt with_buffers(const std::vector<Buffer>& buffers, tir::Stmt body);
tir::Stmt with_cells(const std::vector<Cell>& cells, tir::Stmt body);

// ---- Calls of programs

// A call of the program `body` over buffers that stand for the operands, and its results: a tensor
// or a tuple.
Result<graph::Value> emit_program(Builder& b, const std::string& name,
                                  const std::vector<graph::Value>& args,
                                  const std::vector<Buffer>& buffers,
                                  const std::vector<Buffer>& results, tir::Stmt body);
inline Result<graph::Value> emit_program(Builder& b, const std::string& name,
                                         const std::vector<graph::Value>& args,
                                         const std::vector<Buffer>& buffers, const Buffer& result,
                                         tir::Stmt body) {
  return emit_program(b, name, args, buffers, std::vector<Buffer>{result}, std::move(body));
}
// A number that a program has counted, an integer tensor of one element, as a symbol. The check
// of its bounds always holds, and tells what comes after.
Result<Expr> bind_count(Builder& b, const graph::Value& count, const std::string& op,
                        const Expr& least, const Expr& most);
// A buffer for an operand whose shape is known.
Buffer buffer_for(const graph::Value& operand, std::string name);

}  // namespace repose
