// The files that the compiler links into an artifact of each target, embedded at build time.
#pragma once

#include <span>
#include <string_view>

namespace repose {

struct RuntimeBlob {
  std::string_view target;                   // "x86_64-linux"
  std::span<const unsigned char> object;     // the runtime: one relocatable ELF object
  std::span<const unsigned char> libc_stub;  // a libc.so.6 without contents: names and versions
};

// Null if Repose was built without that target.
const RuntimeBlob* find_runtime_blob(std::string_view target);

}  // namespace repose
