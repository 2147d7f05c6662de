// Loops that count: what Loop, Scan and the recurrent operators are made of, and `while_loop`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "frontend/common/call_context.h"

namespace repose::frontend {

// for (i = 0; i < limit and flag; ++i): values that one iteration hands to the next, and rows that
// are stacked along a new first axis. Stands outside of dataflow blocks.
//
//   LoopBuilder loop({&builder, span, "name", limit, …});
//   loop.begin_body({types of what is carried, over loop.counter()});
//   … builder calls, with loop.carried() …
//   auto done = loop.end_body(next, flag, rows);   // or loop.drop_body()
class LoopBuilder {
 public:
  struct Row {
    Dims dims;
    DType dtype;
  };
  struct Fields {
    Builder* builder;
    Span span;
    std::string name;            // of bindings
    Expr limit;                  // of iterations, at least 0; null: the flag alone ends the loop
    std::vector<Operand> inits;  // of what is carried
    Operand flag;                // whether the first iteration runs; null: the limit alone decides
    // Tensors, over symbols around the loop; a null dimension is one that only the iterations tell:
    // all have to agree.
    std::vector<Row> rows;
    // Whether what is stacked has room for as many rows as the limit; else it grows.
    bool limit_is_size = true;
  };
  explicit LoopBuilder(Fields fields);

  // Of the iteration at hand, from 0: a symbol of the body.
  const Var& counter() const { return counter_; }
  // The first iteration's number among those of the body, where `i` stands for the counter.
  Result<void> begin_body(std::vector<repose::Type> types);
  const std::vector<graph::Variable>& carried() const { return carried_; }
  // Leaves the body as if it had not begun.
  void drop_body();

  struct Done {
    std::vector<Operand> carried;  // as the last iteration left it
    std::vector<Operand> stacked;
    Expr count;  // how often the body ran
  };
  // What the next iteration gets, whether it runs (where there is a flag), and the rows of this
  // one.
  Result<Done> end_body(const std::vector<Operand>& next, const Operand& flag,
                        const std::vector<Operand>& rows);

 private:
  Result<Operand> call(std::string_view op, std::vector<Operand> args, Attrs attrs,
                       const std::string& name);
  Result<Operand> make_cond(const std::vector<repose::Type>& types);
  Result<Operand> without_rows(const repose::Type& stack);
  Result<void> stack_row(size_t k, const Operand& row, std::vector<Operand>& results);
  Result<Operand> with_rows(size_t k, const Operand& stack, const Expr& count,
                            std::span<const repose::Type> last);
  Result<Operand> with_known_count(const Operand& v, const Expr& count);

  Fields f_;
  Var counter_;
  std::vector<repose::Type> types_;       // of all parameters of the body
  std::vector<graph::Variable> carried_;  // parameters
  // Of a row with unknown dimensions, the elements of all rows in one axis; and what the dimensions
  // were in the iteration before.
  std::vector<graph::Variable> stacked_;
  std::vector<std::vector<Var>> last_dims_;
};

// x[at] of a tensor whose first axis has more than `at` entries, which is at least 0.
Result<Operand> row_of(CallContext& c, const Operand& x, const Expr& at);
// The entries of the first axis from the last to the first.
Result<Operand> backward(CallContext& c, const Operand& x);

}  // namespace repose::frontend
