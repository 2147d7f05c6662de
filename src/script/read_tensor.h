// Reads tensor programs (`@T.prim_func`) from syntax trees.
#pragma once

#include "ir/tir.h"
#include "script/read_expr.h"

namespace repose::script {

// `symbols`: names of TypeVars of the file. Null: errors were reported.
tir::PrimFunc read_prim_func(ReadContext& context, const Statement& def,
                             const std::vector<std::string>& symbols);

// What blocks of the text that state no reads or writes touch (tir.h, "Region").
struct Accesses {
  std::vector<tir::Region> reads, writes;
};
// The regions that a block with this content reads and writes, exact or larger, in terms of what is
// visible outside of it. Buffers that live inside are left out; an update's own reads too where
// there is an init.
Accesses infer_accesses(const tir::BlockNode::Fields& block);

}  // namespace repose::script
