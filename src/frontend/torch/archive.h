// Zip archives as PyTorch writes them: entries that are stored, not compressed.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/diagnostic.h"

namespace repose::torch {

// The entries by name. Contents are views into the archive's bytes.
class Archive {
 public:
  // bad_model: no zip archive, or one whose directory is wrong. Nothing else is looked at: an entry
  // that cannot be read is an error when it is asked for.
  static Result<Archive> read(std::span<const std::byte> bytes, const Span& span);
  // Do the bytes begin as those of an archive do?
  static bool looks_like(std::string_view start) { return start.starts_with("PK\003\004"); }

  bool has(std::string_view name) const { return entries_.contains(name); }
  // bad_model: there is no such entry, or it lies outside of the file; unsupported_feature: it is
  // compressed or encrypted.
  Result<std::span<const std::byte>> contents(std::string_view name) const;
  Result<std::string_view> text(std::string_view name) const;
  // What all names begin with: PyTorch puts everything into one folder. "model/"
  const std::string& root() const { return root_; }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  struct Entry {
    uint64_t offset = 0, size = 0;  // of the local header; of the contents
    uint16_t flags = 0, method = 0;
  };
  struct Directory {
    uint64_t count = 0, offset = 0;
  };
  Result<Directory> find_directory() const;
  Result<void> read_directory(const Directory& directory);
  Diagnostic damaged(std::string_view what) const;

  std::span<const std::byte> bytes_;
  Span span_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::string root_;
};

}  // namespace repose::torch
