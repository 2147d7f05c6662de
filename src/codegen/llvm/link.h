// Linking: from the objects of generated code to one self-contained file, a shared library that
// `dlopen` loads or an object for static linking. Needs nothing installed: LLD is a library of the
// compiler, and the runtime and a stub of libc are embedded in it (runtime/blob/runtime_blob.h).
//
// What the objects have to do with:
//   - They reach the weights through `extern hidden const i8 repose_weights`, the first byte of the
//     weights (4096-aligned). It is defined even where there are none (then nothing may be read).
//   - They and the runtime are position independent, in the small code model. The weights of a
//     shared library lie behind everything else, so only their first byte has to be within 2 GiB of
//     the code: an offset is added in a register (LLVM folds only offsets below 16 MiB into an
//     address).
//   - The runtime defines `repose_api_v1`; each graph function `f` has a `__tvm_ffi_f`. These are
//     exported and nothing else is, whatever the visibility of the other symbols.
//   - A shared library holds only code that something exported reaches.
//
// The same input gives the same bytes. Every function may be called from several threads; LLD runs
// in one of them at a time. Nothing is printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace repose {

// Bytes of the weights section, from `offset` on.
struct WeightPiece {
  uint64_t offset = 0;
  const void* data = nullptr;  // may be a mapped file: it is written out without a copy
  uint64_t bytes = 0;
};

// What is linked into every model: an object, and a shared library that stands for libc.so.6. An
// empty span: none.
struct LinkRuntime {
  std::span<const unsigned char> object;
  std::span<const unsigned char> libc_stub;
};

struct LinkInput {
  std::vector<std::span<const char>> objects;  // ELF relocatable objects
  // By ascending offset, apart from each other; between them lie zeros.
  std::vector<WeightPiece> weights;
  uint64_t weights_bytes = 0;
  // Of the exported symbols, so that several models link into one program: `minilm` makes
  // `minilm_repose_api_v1`, and in an object `__tvm_ffi_minilm_f`. A shared library exports
  // `repose_api_v1` beside it, and keeps `__tvm_ffi_f`: by these names it is looked up once loaded.
  std::string name_prefix;
  std::string target = "x86_64-linux";
  std::optional<LinkRuntime> runtime;  // none: the one embedded for `target`
};

// Writes a shared library that needs `libc.so.6` and nothing else, mode 0755. Weights may have any
// size; they are mapped on demand.
// Errors: cannot_write (then there is no new file, and an old one stays as it was), link_failed
// (with LLD's words), bad_usage (a prefix that is no identifier), unsupported_feature (an unknown
// target).
Result<void> link_shared(const LinkInput& input, const std::string& path);

// Writes an object with everything inside, mode 0644: `cc main.c model.o -lpthread -ldl` links it.
// Its symbols are local but for the exported ones. Weights over max_static_weights_bytes:
// unsupported_feature, as where they lie in the program is up to the user's linker.
Result<void> link_relocatable(const LinkInput& input, const std::string& path);

inline constexpr uint64_t max_static_weights_bytes = uint64_t{1900} << 20;

}  // namespace repose
