// Reads the directory of a zip archive (APPNOTE 6.3.10, with the 64-bit records).
#include "frontend/torch/archive.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "frontend/common/names.h"

namespace repose::torch {

using frontend::printable;

namespace {

constexpr uint32_t local_header = 0x04034b50, directory_entry = 0x02014b50;
constexpr uint32_t directory_end = 0x06054b50, directory_end64 = 0x06064b50;
constexpr uint32_t locator64 = 0x07064b50;
constexpr uint64_t in_extra16 = 0xFFFF, in_extra32 = 0xFFFFFFFF;  // the 64-bit field has the number
constexpr size_t end_bytes = 22, end64_bytes = 56, locator_bytes = 20, entry_bytes = 46;
constexpr size_t local_bytes = 30, max_comment_bytes = 65535;

// Numbers at places that were checked to be inside.
template <class T>
T number_at(std::span<const std::byte> bytes, uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool fits(std::span<const std::byte> bytes, uint64_t at, uint64_t count) {
  return at <= bytes.size() && count <= bytes.size() - at;
}

// The 64-bit field of an entry's extra data has, in this order, what the entry has no room for.
class Extra {
 public:
  explicit Extra(std::span<const std::byte> fields) {
    while (fields.size() >= 4) {
      const auto id = number_at<uint16_t>(fields, 0), size = number_at<uint16_t>(fields, 2);
      if (!fits(fields, 4, size)) return;
      if (id == 1) rest_ = fields.subspan(4, size);
      fields = fields.subspan(4 + size_t{size});
    }
  }
  uint64_t next(uint64_t value) {
    if (value != in_extra32 || rest_.size() < 8) return value;
    const auto wide = number_at<uint64_t>(rest_, 0);
    rest_ = rest_.subspan(8);
    return wide;
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace

Diagnostic Archive::damaged(std::string_view what) const {
  return error(DiagnosticKind::bad_model, span_, "the archive is damaged: {}", what);
}

Result<Archive::Directory> Archive::find_directory() const {
  const uint64_t size = bytes_.size();
  const uint64_t last = size < end_bytes ? 0 : size - end_bytes;
  const uint64_t first = last > max_comment_bytes ? last - max_comment_bytes : 0;
  std::optional<uint64_t> found;
  for (uint64_t at = last + 1; size >= end_bytes && at-- > first && !found;) {
    if (number_at<uint32_t>(bytes_, at) == directory_end) found = at;
  }
  if (!found) return damaged("it has no directory");
  const uint64_t end = *found;
  Directory d{number_at<uint16_t>(bytes_, end + 10), number_at<uint32_t>(bytes_, end + 16)};
  if (d.count != in_extra16 && d.offset != in_extra32) return d;
  if (end < locator_bytes || number_at<uint32_t>(bytes_, end - locator_bytes) != locator64) {
    return d;
  }
  const auto at = number_at<uint64_t>(bytes_, end - locator_bytes + 8);
  if (!fits(bytes_, at, end64_bytes) || number_at<uint32_t>(bytes_, at) != directory_end64) {
    return damaged("its 64-bit directory is not where it should be");
  }
  return Directory{number_at<uint64_t>(bytes_, at + 32), number_at<uint64_t>(bytes_, at + 48)};
}

Result<void> Archive::read_directory(const Directory& directory) {
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.count; ++i) {
    if (!fits(bytes_, at, entry_bytes) || number_at<uint32_t>(bytes_, at) != directory_entry) {
      return damaged("its directory ends early");
    }
    const uint64_t name_bytes = number_at<uint16_t>(bytes_, at + 28);
    const uint64_t extra_bytes = number_at<uint16_t>(bytes_, at + 30);
    const uint64_t comment_bytes = number_at<uint16_t>(bytes_, at + 32);
    if (!fits(bytes_, at + entry_bytes, name_bytes + extra_bytes + comment_bytes)) {
      return damaged("its directory ends early");
    }
    const char* text = reinterpret_cast<const char*>(bytes_.data());
    std::string name(text + at + entry_bytes, name_bytes);
    Extra extra(bytes_.subspan(at + entry_bytes + name_bytes, extra_bytes));
    Entry entry;
    entry.flags = number_at<uint16_t>(bytes_, at + 8);
    entry.method = number_at<uint16_t>(bytes_, at + 10);
    entry.size = extra.next(number_at<uint32_t>(bytes_, at + 24));
    (void)extra.next(number_at<uint32_t>(bytes_, at + 20));
    entry.offset = extra.next(number_at<uint32_t>(bytes_, at + 42));
    if (!entries_.emplace(std::move(name), entry).second) {
      return damaged("two entries have one name");
    }
    at += entry_bytes + name_bytes + extra_bytes + comment_bytes;
  }
  return {};
}

Result<Archive> Archive::read(std::span<const std::byte> bytes, const Span& span) {
  Archive archive;
  archive.bytes_ = bytes;
  archive.span_ = span;
  REPOSE_TRY(directory, archive.find_directory());
  if (auto read = archive.read_directory(directory); !read.ok()) return read.errors();
  if (archive.entries_.empty()) return archive.damaged("it has no entries");
  const std::string& first = archive.entries_.begin()->first;
  archive.root_ = first.substr(0, first.find('/') + 1);
  return archive;
}

Result<std::span<const std::byte>> Archive::contents(std::string_view name) const {
  auto it = entries_.find(name);
  if (it == entries_.end()) {
    return error(DiagnosticKind::bad_model, span_, "the archive has no entry `{}`",
                 printable(name));
  }
  const Entry& entry = it->second;
  if (entry.method != 0 || (entry.flags & 1)) {
    return error(DiagnosticKind::unsupported_feature, span_,
                 "entry `{}` of the archive is {}, expected it as it is (`torch.export.save` "
                 "writes it so)",
                 printable(name), entry.method != 0 ? "compressed" : "encrypted");
  }
  if (!fits(bytes_, entry.offset, local_bytes) ||
      number_at<uint32_t>(bytes_, entry.offset) != local_header) {
    return damaged("an entry is not where its directory says");
  }
  const uint64_t skip = uint64_t{number_at<uint16_t>(bytes_, entry.offset + 26)} +
                        number_at<uint16_t>(bytes_, entry.offset + 28);
  const uint64_t begin = entry.offset + local_bytes + skip;
  if (!fits(bytes_, begin, entry.size)) return damaged("an entry reaches beyond its end");
  return bytes_.subspan(begin, entry.size);
}

Result<std::string_view> Archive::text(std::string_view name) const {
  REPOSE_TRY(bytes, contents(name));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace repose::torch
