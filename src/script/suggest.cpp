// The edit distance between names.
#include "script/suggest.h"

#include <fmt/format.h>

#include <algorithm>

namespace repose::script {

namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t distance = std::max<size_t>(name.size() / 3, 1) + 1;
  if (name.size() > 64) return "";
  for (const std::string& c : candidates) {
    if (c.size() > 64) continue;
    size_t d = edit_distance(name, c);
    if (d < distance) {
      distance = d;
      best = c;
    }
  }
  return best.empty() ? "" : fmt::format(", did you mean `{}`?", best);
}

}  // namespace repose::script
