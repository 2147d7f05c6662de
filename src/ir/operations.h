// How much a tensor program computes.
#pragma once

#include <vector>

#include "ir/tir.h"

namespace repose {

// A sum of products: of a number with extents (index expressions; one below 0 counts as 0).
class Operations {
 public:
  void add(double count, std::vector<Expr> extents);
  void add(const Operations& other, const VarMap& symbols);  // with values for its symbols
  bool is_zero() const { return terms_.empty(); }
  // As a float64: nothing overflows.
  Expr to_expr() const;

 private:
  struct Term {
    double count;
    std::vector<Expr> extents;  // sorted
  };
  std::vector<Term> terms_;
};

// Elements that `f` stores, each of a reduction once a step: about how often its innermost loops
// run. Over the program's scalars and symbols. Of branches both count; a loop whose extent only the
// program's data tell counts once; one whose extent depends on a loop around it, as often as in
// that one's first iteration, or its last where the first does nothing.
Operations operations_of(const tir::PrimFunc& f);

// What a call of a program has to do, however it is scheduled.
struct ProgramWork {
  // Operations on floating-point numbers: a multiplication and addition is two, a function such as
  // `exp` one. Where one is computed for padding, it counts.
  Operations flops;
  // Of each buffer parameter that is read (written): its bytes, or those of all accesses where
  // these are fewer. A float64 over the program's scalars and symbols.
  Expr read_bytes, written_bytes;
};
// Of a program before it is scheduled: loops as `operations_of` counts them.
ProgramWork work_of(const tir::PrimFunc& f);

}  // namespace repose
