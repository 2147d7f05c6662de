// Finds, checks and maps the files of external data.
#include "frontend/onnx/external_data.h"

#include <charconv>
#include <filesystem>
#include <optional>

namespace repose::onnx {
namespace {

namespace fs = std::filesystem;

struct Region {
  std::string_view location;
  uint64_t offset_bytes = 0;
  std::optional<uint64_t> length_bytes;
};

Result<uint64_t> parse_size(const Entry& entry, const Span& span, const std::string& what) {
  uint64_t value = 0;
  const char* end = entry.value.data() + entry.value.size();
  auto [stop, failure] = std::from_chars(entry.value.data(), end, value);
  if (failure != std::errc() || stop != end) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: `{}` of external data is `{}`, expected a number of bytes", what,
                 printable(entry.key), printable(entry.value));
  }
  return value;
}

// Keys other than these (`checksum`, `basepath`) say nothing about where the bytes are.
Result<Region> parse_region(const Tensor& tensor, const Span& span, const std::string& what) {
  Region region;
  unsigned seen = 0;
  for (const Entry& entry : tensor.external_data) {
    unsigned bit = 0;
    if (entry.key == "location") {
      bit = 1;
      region.location = entry.value;
    } else if (entry.key == "offset") {
      bit = 2;
      REPOSE_TRY(value, parse_size(entry, span, what));
      region.offset_bytes = value;
    } else if (entry.key == "length") {
      bit = 4;
      REPOSE_TRY(value, parse_size(entry, span, what));
      region.length_bytes = value;
    }
    if (seen & bit) {
      return error(DiagnosticKind::bad_model, span, "{}: external data has two entries `{}`", what,
                   printable(entry.key));
    }
    seen |= bit;
  }
  if (region.location.empty()) {
    return error(DiagnosticKind::missing_value, span, "{}: external data has no `location`", what);
  }
  return region;
}

bool is_within(const fs::path& path, const fs::path& folder) {
  auto [mismatch, _] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return mismatch == folder.end();
}

// The location's file, all symbolic links resolved.
Result<fs::path> resolve(const std::string& folder, std::string_view location, const Span& span,
                         const std::string& what) {
  auto refuse = [&](const std::string& why) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: external data `{}` {}, expected a file in the model's folder", what,
                 printable(location), why);
  };
  fs::path relative(location);
  if (relative.is_absolute()) return refuse("is an absolute path");
  for (const fs::path& part : relative) {
    if (part == "..") return refuse("has a `..`");
  }
  std::error_code failure;
  fs::path root = fs::canonical(folder.empty() ? fs::path(".") : fs::path(folder), failure);
  fs::path path;
  if (!failure) path = fs::canonical(root / relative, failure);
  if (failure) {
    return error(DiagnosticKind::cannot_read, span, "{}: cannot read external data `{}`: {}", what,
                 printable(location), failure.message());
  }
  if (!is_within(path, root)) {
    return refuse(fmt::format("is a link to `{}`", printable(path.string())));
  }
  return path;
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> ExternalFiles::open(std::string_view location,
                                                              const Span& span,
                                                              const std::string& what) {
  if (!folder_) {
    return error(DiagnosticKind::cannot_read, span,
                 "{}: external data `{}` of a model that was not read from a file", what,
                 printable(location));
  }
  if (location.find('\0') != std::string_view::npos) {
    return error(DiagnosticKind::bad_model, span, "{}: external data `{}` has a zero byte", what,
                 printable(location));
  }
  std::lock_guard lock(mutex_);
  if (auto known = by_location_.find(location); known != by_location_.end()) return known->second;
  REPOSE_TRY(path, resolve(*folder_, location, span, what));
  std::shared_ptr<const MappedFile>& file = by_path_[path.string()];
  if (!file) {
    auto mapped = MappedFile::open(path.string(), span);
    if (!mapped) {
      by_path_.erase(path.string());
      return mapped.errors();
    }
    file = *mapped;
  }
  by_location_.emplace(location, file);
  return file;
}

Result<ExternalBytes> external_bytes(const Model& model, const Tensor& tensor, uint64_t size,
                                     const std::string& what) {
  Span span = model.span();
  REPOSE_TRY(region, parse_region(tensor, span, what));
  if (region.length_bytes.value_or(size) != size) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: external data has {} bytes, its type and dimensions need {}", what,
                 *region.length_bytes, size);
  }
  REPOSE_TRY(file, model.external_files->open(region.location, span, what));
  std::span<const std::byte> bytes = file->bytes();
  if (region.offset_bytes > bytes.size() || size > bytes.size() - region.offset_bytes) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: needs {} bytes at offset {} of external data `{}`, which has {}", what, size,
                 region.offset_bytes, printable(region.location), bytes.size());
  }
  return ExternalBytes{file, bytes.subspan(region.offset_bytes, size)};
}

}  // namespace repose::onnx
