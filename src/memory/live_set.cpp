// Sets of positions.
#include "memory/live_set.h"

#include <algorithm>

namespace repose {

LiveSet make_live_set(std::vector<LiveRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const LiveRange& a, const LiveRange& b) { return a.first < b.first; });
  LiveSet set;
  for (const LiveRange& r : ranges) {
    if (!set.empty() && r.first <= set.back().last + 1) {
      set.back().last = std::max(set.back().last, r.last);
    } else {
      set.push_back(r);
    }
  }
  return set;
}

LiveSet unite(const LiveSet& a, const LiveSet& b) {
  std::vector<LiveRange> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return make_live_set(std::move(all));
}

LiveSet intersect(const LiveSet& a, const LiveSet& b) {
  LiveSet both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const int first = std::max(a[i].first, b[j].first), last = std::min(a[i].last, b[j].last);
    if (first <= last) both.push_back({first, last});
    a[i].last < b[j].last ? ++i : ++j;
  }
  return both;
}

bool ends_at(const LiveSet& s, int position) {
  return std::any_of(s.begin(), s.end(), [&](const LiveRange& r) { return r.last == position; });
}

bool overlap(const LiveSet& a, const LiveSet& b) {
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (std::max(a[i].first, b[j].first) <= std::min(a[i].last, b[j].last)) return true;
    a[i].last < b[j].last ? ++i : ++j;
  }
  return false;
}

std::vector<LiveEvent> live_events(const std::vector<LiveSet>& items) {
  std::vector<LiveEvent> events;
  for (size_t i = 0; i < items.size(); ++i) {
    for (const LiveRange& r : items[i]) {
      events.push_back({r.first, true, static_cast<int>(i)});
      events.push_back({r.last + 1, false, static_cast<int>(i)});
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const LiveEvent& a, const LiveEvent& b) {
    return a.position != b.position ? a.position < b.position : a.begins < b.begins;
  });
  return events;
}

void LiveBytes::add(const LiveSet& live, int64_t bytes) {
  for (const LiveRange& r : live) {
    change_[static_cast<size_t>(r.first - first_)] += bytes;
    change_[static_cast<size_t>(r.last - first_) + 1] -= bytes;
  }
}

int64_t LiveBytes::most() const {
  int64_t now = 0, most = 0;
  for (int64_t c : change_) most = std::max(most, now += c);
  return most;
}

}  // namespace repose
