// A file that appears under its name whole or not at all.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/diagnostic.h"

namespace repose {

// The file that writing `path` makes or replaces: `path`, or what it links to. A cannot_write where
// something is there that is no regular file: renaming would put a file in its place.
Result<std::string> output_target(const std::string& path);

// Written under another name in the same folder, and renamed by commit(). Without commit() it goes
// away with this object. Every error is a cannot_write that names the final path.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  const std::string& path() const { return path_; }              // the final one, no link
  const std::string& aside_path() const { return aside_path_; }  // the one it has until commit()

  // Others may replace the file under aside_path() (a linker does); then it is opened again.
  Result<void> reopen();
  Result<std::string> read_all() const;
  Result<void> write_at(uint64_t offset, const void* data, uint64_t bytes);
  Result<void> resize(uint64_t bytes);
  Result<void> commit(unsigned mode);

 private:
  OutputFile(std::string path, std::string aside_path, int descriptor);
  Diagnostic cannot_write(int error_number) const;

  std::string path_;
  std::string aside_path_;  // empty: committed, or moved from
  int descriptor_ = -1;
};

}  // namespace repose
