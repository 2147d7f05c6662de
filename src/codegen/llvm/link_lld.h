// LLD as a library: one link at a time, inputs in memory, errors as diagnostics.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace repose {

// A file in memory that LLD can open: by a path under /proc/self/fd, while this object lives.
class MemoryFile {
 public:
  // `name` stands for the file in messages. Error: cannot_write.
  static Result<MemoryFile> create(std::string name, std::span<const char> bytes);
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile();

  const std::string& name() const { return name_; }
  std::string path() const;

 private:
  MemoryFile(std::string name, int descriptor) : name_(std::move(name)), descriptor_(descriptor) {}

  std::string name_;
  int descriptor_;
};

// Runs `ld.lld` with these arguments. Failure: link_failed with LLD's first message, notes for what
// follows it; paths of `files` are replaced by their names, and `output` by `output_name`. Where
// `output` could not be written: cannot_write. Where LLD crashed, or gave up on a malformed input,
// this and every later call is a link_failed.
//
// LLD 19 keeps pointers into the last link: each link has to mention `_GLOBAL_OFFSET_TABLE_` (the
// object of elf_weights.h does), and none may use `-r`.
Result<void> run_lld(const std::vector<std::string>& arguments,
                     const std::vector<MemoryFile>& files, const std::string& output,
                     const std::string& output_name);

}  // namespace repose
