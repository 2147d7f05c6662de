// Blocks with the regions that their bodies read and write.
#pragma once

#include "expr/facts.h"
#include "ir/tir.h"

namespace repose::schedule {

// A block in which `reads` and `writes` are the elements that init, body and nested statements
// touch, one point each; spatial axes that nothing uses are left out.
tir::Stmt make_block(tir::BlockNode::Fields fields);
// The same, with every subscript in canonical form.
tir::Stmt canonical_block(tir::BlockNode::Fields fields);

// Stores and loads inside with subscripts in canonical form; quotients and remainders as simple as
// they are where `facts` hold.
tir::Stmt with_canonical_subscripts(const tir::Stmt& s, const Facts& facts = {});

}  // namespace repose::schedule
