// The weights' section: linked as a section without contents, whose bytes are put into the finished
// file. So megabytes of weights never pass through the linker.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/diagnostic.h"
#include "codegen/llvm/link.h"
#include "codegen/llvm/link_output.h"

namespace repose {

inline constexpr uint64_t weights_alignment = 4096;

// An ELF relocatable object for `machine` (an EM_ constant) with a read-only section `.weights` of
// so many bytes, without contents, and the hidden symbol `repose_weights` at its start.
std::string weights_object(uint64_t bytes, uint16_t machine);

// The linker script that puts `.weights` behind everything else, in a segment of its own.
inline constexpr char weights_script[] =
    "SECTIONS { .weights : ALIGN(4096) { KEEP(*(.weights)) } } INSERT AFTER .bss;\n";

// Gives the `.weights` of a linked file (shared library or relocatable object) its contents:
// appends them, page-aligned, and points the section and its segment there. Error: cannot_write.
Result<void> append_weights(OutputFile& file, std::span<const WeightPiece> pieces, uint64_t bytes);

}  // namespace repose
