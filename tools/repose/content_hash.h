// Names things by what they consist of.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace repose::cli {

// 128 bits of what it was given (MurmurHash3 by Austin Appleby, x64, seed 0, over words of 64
// bits).
class ContentHash {
 public:
  void add(const void* data, size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    add_word(size);  // so that parts keep apart
    for (; size >= 8; bytes += 8, size -= 8) {
      uint64_t word = 0;
      std::memcpy(&word, bytes, 8);
      add_word(word);
    }
    uint64_t rest = 0;
    if (size != 0) {  // a part without bytes may have no address
      std::memcpy(&rest, bytes, size);
    }
    add_word(rest);
  }
  void add(std::string_view text) { add(text.data(), text.size()); }
  void add(int64_t number) { add_word(static_cast<uint64_t>(number)); }

  std::string text() const {
    return fmt::format("{:016x}{:016x}", mixed(high_ ^ low_), mixed(low_));
  }

 private:
  static constexpr uint64_t c1 = 0x87c37b91114253d5, c2 = 0x4cf5ad432745937f;

  static uint64_t mixed(uint64_t h) {
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
    return h ^ (h >> 33);
  }
  void add_word(uint64_t word) {
    low_ ^= std::rotl(word * c1, 31) * c2;
    low_ = (std::rotl(low_, 27) + high_) * 5 + 0x52dce729;
    high_ ^= std::rotl(word * c2, 33) * c1;
    high_ = (std::rotl(high_, 31) + low_) * 5 + 0x38495ab5;
  }

  uint64_t low_ = 0, high_ = 0;
};

}  // namespace repose::cli
