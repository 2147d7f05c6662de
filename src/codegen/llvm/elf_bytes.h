// Bytes of ELF files: structs and tables of strings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace repose {

template <class T>
void append_struct(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Appends a string with its zero byte; returns where it begins. A table begins with an empty one.
inline uint32_t add_string(std::string& table, std::string_view text) {
  if (text.empty()) return 0;
  const auto at = static_cast<uint32_t>(table.size());
  table.append(text).push_back('\0');
  return at;
}

}  // namespace repose
