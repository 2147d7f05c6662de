// Equality and hash of whole programs, up to the names and identities of what they bind.
#pragma once

#include "ir/module.h"

namespace repose {

// Alpha-equivalence: bound variables, symbols, buffers and block axes correspond by position; free
// ones by identity. Spans and name hints don't count; block names, attributes and annotations do.
bool structural_equal(const tir::PrimFunc& a, const tir::PrimFunc& b);
bool structural_equal(const graph::Function& a, const graph::Function& b);
bool structural_equal(const Module& a, const Module& b);  // definitions correspond by name
uint64_t structural_hash(const tir::PrimFunc& f);
uint64_t structural_hash(const graph::Function& f);

}  // namespace repose
