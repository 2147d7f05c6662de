// Text from files, models and arguments as a terminal may show it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace repose {

// The length of the valid UTF-8 sequence at the start of `text` (not empty), or 0.
size_t utf8_length(std::string_view text);

// Whether the valid sequence `character` steers a terminal instead of being shown: a control
// character (C0, DEL, C1), or a mark that changes the direction of text.
bool is_control(std::string_view character);

// `text` with each byte of a control character other than newline and tab, and each byte that is no
// UTF-8, as `\x1b`.
std::string escape_controls(std::string_view text);

}  // namespace repose
