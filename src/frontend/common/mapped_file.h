// A file mapped into memory for reading.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/diagnostic.h"

namespace repose::frontend {

// The bytes stay valid as long as the object lives. The file must not be truncated meanwhile (the
// system then answers an access with a signal, as for any mapping).
class MappedFile {
 public:
  // Maps a regular file; cannot_read where there is none, or it cannot be read.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path,
                                                        const Span& span = {});
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // What the system should expect: jumps (a look at the structure, past the weights), or not.
  void expect_jumps(bool jumps) const;

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}

  const std::byte* data_;
  size_t size_;
};

}  // namespace repose::frontend
