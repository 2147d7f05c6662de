// Says of each tensor program which results may lie in the bytes of operands, and replaces programs
// that only copy a contiguous part by views.
//
// before:  def exp(x: T.Buffer((m, 224)), m: T.int64, y: T.Buffer((m, 224))): …
//          z = call_tir(strided_slice, (x, m), R.Tensor((2, 224)))      # x[1:3]
// after:   def exp(…): T.func_attr({"in_place": [2, 0]}) …              # y may be x's memory
//          z = R.view(x, R.prim_value(224), R.shape([2, 224]))
// requires: expose_symbols ran; programs are not scheduled yet
// ensures: the attributes hold for every schedule that keeps the rules of schedule/rules.h; tests
//          run programs in shared memory after each pass. Programs that are not in stage form get
//          none.
//
// The attributes are lists of positions among the program's parameters:
//   in_place: [result, operand, result, operand, …]: the program is right if the result's memory is
//     the operand's, where both have equally many bytes. Each element of the operand is read, by
//     the stage that writes the result, only for the element in its place; by earlier stages, only
//     within the row that the schedule completes before it writes there.
//   concatenation: [operand, …]: the first result's bytes are those of the operands one after the
//     other, and nothing else is computed.
#pragma once

#include "ir/module.h"
#include "ir/op.h"
#include "passes/tensor/stages.h"

namespace repose {

struct Sharing {
  struct InPlace {
    size_t result, operand;
    bool operator==(const InPlace&) const = default;
  };
  std::vector<InPlace> in_place;
  std::vector<size_t> concatenation;
};

Sharing find_sharing(const StagedProgram& p);

// The program copies part of an operand: result element i (flat) is operand element i + offset.
struct ContiguousCopy {
  size_t operand;
  Expr offset_elems;  // over the program's scalar parameters
};
std::optional<ContiguousCopy> match_contiguous_copy(const StagedProgram& p);

// What the attributes of a program say.
Sharing sharing_of(const tir::PrimFuncNode& f);
// These attributes where parameter `p` is at position `moved[p]`.
Attrs with_moved_params(const tir::PrimFuncNode& f, const std::vector<size_t>& moved);

Module find_sharing(const Module& module, const OpTable& ops);

}  // namespace repose
