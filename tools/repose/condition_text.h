// What the conditions of a call's sizes mean, for people.
#pragma once

#include <string>
#include <vector>

namespace repose::cli {

// Conditions of one symbol alone become a line that says which sizes they allow, found by trying
// sizes: "seq <= 512", "height: a multiple of 32", "width: 1..4, 29..32, 61..64, … (every 32)".
// Others stay, in simpler words where there are some.
std::vector<std::string> condition_lines(const std::vector<std::string>& conditions);

}  // namespace repose::cli
