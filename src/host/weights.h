// The weights of a model: constants at offsets of one read-only section, equal contents once.
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/array.h"

namespace repose {

class WeightTable {
 public:
  // The offset in bytes, a multiple of 64, at which the array's bytes stand.
  int64_t place(const Array& array);

  struct Piece {
    int64_t offset = 0;
    Array array;
  };
  const std::vector<Piece>& pieces() const { return pieces_; }
  int64_t num_bytes() const { return num_bytes_; }

 private:
  std::vector<Piece> pieces_;
  std::unordered_multimap<uint64_t, size_t> by_hash_;
  std::unordered_map<const ArrayNode*, size_t> by_identity_;
  int64_t num_bytes_ = 0;
};

}  // namespace repose
