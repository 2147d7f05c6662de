// Which elements of a buffer iterations share, and what was written where it is read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "schedule/space.h"

namespace repose::schedule {

// ---- Accesses -----------------------------------------------------------------------------------

// Which buffers are views of others: dependences are between memory, not between names.
class Memory {
 public:
  explicit Memory(const tir::PrimFunc& f);
  bool same(const Buffer& a, const Buffer& b) const { return of(a) == of(b); }
  // The buffer that it is a view of, in the end; itself: it is none.
  Buffer of(Buffer b) const;

 private:
  std::unordered_map<const BufferNode*, Buffer> source_;
};

// Whether the memory of a parameter or an allocated buffer has other names, or its address is
// taken.
bool has_other_names(const tir::PrimFunc& f, const Buffer& buffer);

// "`X` writes `B`", "a statement reads `B`": for messages.
std::string to_string(const Access& a);
// The store that is all that a block does (its init stores the same element); null: it is more.
const tir::StoreNode* only_store(const tir::BlockNode& block);
// That nothing inside may read or write without saying so (T.evaluate, calls with effects).
Result<void> check_transparent(const tir::Stmt& s);

// ---- Boxes of iterations ------------------------------------------------------------------------

// Neighbouring dimensions as one: a box of them, where it has no gap, and a subscript.
std::optional<tir::Range> joined(std::span<const tir::Range> box, std::span<const Expr> shape,
                                 const Facts& facts);
Expr joined(std::span<const Expr> indices, std::span<const Expr> shape);

// Whether the boxes of a buffer at different points of the space have no element in common. `box`:
// over what is bound in the space.
bool are_disjoint(const Buffer& buffer, const std::vector<tir::Range>& box, Space space,
                  const Facts& facts);
// Whether the boxes at all points of the space cover the box `wanted`, which is over what is bound
// around the space.
bool cover_together(const std::vector<tir::Range>& box, const std::vector<tir::Range>& wanted,
                    Space space, const Facts& facts);

// Whether a block in `writer` stores all elements of the region that the buffer has, whenever
// `writer` runs.
bool writes_all(const tir::Stmt& writer, const Buffer& buffer,
                const std::vector<tir::Range>& region, const Facts& facts);

// That an iteration of `at` reads no element of the buffer, which `allocated` allocates, but those
// that it wrote before. The error names what reads others.
Result<void> check_written_first(const Scheduled& s, const Buffer& buffer,
                                 const tir::Stmt& allocated, const tir::ForNode& at);

}  // namespace repose::schedule
