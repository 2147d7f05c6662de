// Buffers that hold a box of another one, for an iteration of a loop.
#pragma once

#include "schedule/region.h"

namespace repose::schedule {

// A buffer with the extents of a box, but those of 1. An extent that is no constant (scope local),
// or not known where the program begins (workspace), has a constant bound, which is taken. An error
// names the extent that has none.
// `keeps_rank`: with those of 1 too.
Result<Buffer> local_buffer(Scheduled& s, const std::string& name, DType dtype,
                            const std::vector<tir::Range>& box, Scope scope, const Facts& facts,
                            bool keeps_rank = false);

// `root` with loads and stores of `from` turned to `to`, the local_buffer of a box of `from` (over
// what is bound around `root`). Blocks see no loops: where a subscript needs them, the block gets
// an axis for it, and loses those that nothing uses any more.
tir::Stmt moved_accesses(const tir::Stmt& root, const Buffer& from, const Buffer& to,
                         const std::vector<tir::Range>& box);

}  // namespace repose::schedule
