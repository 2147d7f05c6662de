// Sets of positions: when the bytes of a storage must be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace repose {

struct LiveRange {
  int first = 0, last = 0;  // inclusive
  bool operator==(const LiveRange&) const = default;
};

// Ascending, disjoint, not adjacent.
using LiveSet = std::vector<LiveRange>;

// Ranges in any order become a set.
LiveSet make_live_set(std::vector<LiveRange> ranges);
LiveSet unite(const LiveSet& a, const LiveSet& b);
LiveSet intersect(const LiveSet& a, const LiveSet& b);
// Is `position` the last of a range: what lives up to there is not needed right after.
bool ends_at(const LiveSet& s, int position);
bool overlap(const LiveSet& a, const LiveSet& b);

// What happens over time: items begin and end to live, one by one. Where one ends and another
// begins, the end comes first.
struct LiveEvent {
  int position;
  bool begins;
  int item;
};
std::vector<LiveEvent> live_events(const std::vector<LiveSet>& items);

// How many bytes live at each position from `first` to `last`.
class LiveBytes {
 public:
  LiveBytes(int first, int last) : first_(first), change_(static_cast<size_t>(last - first) + 2) {}
  // `bytes` live, or no longer do if negative, at each position of `live`.
  void add(const LiveSet& live, int64_t bytes);
  // At the position where it is the most.
  int64_t most() const;

 private:
  int first_;
  std::vector<int64_t> change_;  // from the position before
};

}  // namespace repose
