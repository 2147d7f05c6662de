// LLD as a library: one link at a time, inputs in memory, errors as diagnostics.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace repose {

// A file that LLD can open while this object lives. It is in memory, with a path under
// /proc/self/fd; where /proc is missing, it is a file on disk, which this object removes.
class MemoryFile {
 public:
  // `name` stands for the file in messages; a file on disk has a name that begins with `beside`.
  // Error: cannot_write.
  static Result<MemoryFile> create(std::string name, std::span<const char> bytes,
                                   const std::string& beside);
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile();

  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }

 private:
  MemoryFile(std::string name, std::string path, int descriptor, bool on_disk)
      : name_(std::move(name)),
        path_(std::move(path)),
        descriptor_(descriptor),
        on_disk_(on_disk) {}

  std::string name_, path_;
  int descriptor_;
  bool on_disk_;
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
