// The weights of a model: constants at offsets of one read-only section, equal contents once.
#include "host/weights.h"

#include <cstring>
#include <string_view>

namespace repose {

int64_t WeightTable::place(const Array& array) {
  if (auto it = by_identity_.find(array.get()); it != by_identity_.end()) {
    return pieces_[it->second].offset;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(array->bytes), array->num_bytes);
  const uint64_t hash = std::hash<std::string_view>()(bytes);
  auto [begin, end] = by_hash_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const ArrayNode& other = *pieces_[it->second].array;
    if (other.num_bytes == bytes.size() &&
        (bytes.empty() || std::memcmp(other.bytes, bytes.data(), bytes.size()) == 0)) {
      by_identity_.emplace(array.get(), it->second);
      return pieces_[it->second].offset;
    }
  }
  const int64_t offset = (num_bytes_ + 63) / 64 * 64;
  by_hash_.emplace(hash, pieces_.size());
  by_identity_.emplace(array.get(), pieces_.size());
  pieces_.push_back({offset, array});
  num_bytes_ = offset + static_cast<int64_t>(bytes.size());
  return offset;
}

}  // namespace repose
