// Names that a misspelled one may have meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace repose::script {

// The name nearest to `name` that is at most a third of it away: ", did you mean `x`?", or "".
std::string suggest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace repose::script
