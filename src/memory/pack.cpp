// ArenaPacking at one assignment of the symbols.
#include "memory/pack.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace repose {

PackProblem make_pack_problem(std::vector<LiveSet> live) {
  PackProblem problem;
  problem.live = std::move(live);
  const size_t n = problem.live.size();
  problem.conflicts.resize(n);
  struct Event {
    int position;
    bool begins;
    int item;
  };
  std::vector<Event> events;
  for (size_t i = 0; i < n; ++i) {
    for (const LiveRange& r : problem.live[i]) {
      events.push_back({r.first, true, static_cast<int>(i)});
      events.push_back({r.last + 1, false, static_cast<int>(i)});
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.position != b.position ? a.position < b.position : a.begins < b.begins;
  });
  std::set<int> now;
  for (const Event& e : events) {
    if (!e.begins) {
      now.erase(e.item);
      continue;
    }
    for (int other : now) {
      problem.conflicts[static_cast<size_t>(e.item)].push_back(other);
      problem.conflicts[static_cast<size_t>(other)].push_back(e.item);
    }
    now.insert(e.item);
  }
  for (std::vector<int>& list : problem.conflicts) {  // two ranges of one item may meet another
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    problem.num_conflicts += list.size();
  }
  return problem;
}

namespace {

using Order = std::vector<int>;

// Each item in turn at the smallest gap between placed ones that it fits into, else above them.
ArenaPacking place(const PackProblem& problem, const std::vector<int64_t>& sizes,
                   const Order& order) {
  ArenaPacking packing;
  packing.offsets.assign(sizes.size(), -1);
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (int i : order) {
    const int64_t size = sizes[static_cast<size_t>(i)];
    taken.clear();
    for (int j : problem.conflicts[static_cast<size_t>(i)]) {
      const int64_t at = packing.offsets[static_cast<size_t>(j)];
      if (at >= 0) taken.emplace_back(at, at + sizes[static_cast<size_t>(j)]);
    }
    std::sort(taken.begin(), taken.end());
    int64_t best = -1, best_gap = 0, end = 0;
    for (auto [from, to] : taken) {
      const int64_t gap = from - end;
      if (gap >= size && (best < 0 || gap < best_gap)) {
        best = end;
        best_gap = gap;
      }
      end = std::max(end, to);
    }
    const int64_t offset = best >= 0 ? best : end;
    packing.offsets[static_cast<size_t>(i)] = offset;
    packing.peak = std::max(packing.peak, offset + size);
  }
  return packing;
}

Order sorted_by(size_t n, const std::vector<double>& key) {  // descending
  Order order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return key[static_cast<size_t>(a)] > key[static_cast<size_t>(b)];
  });
  return order;
}

}  // namespace

std::vector<ArenaPacking> pack(const PackProblem& problem, const std::vector<int64_t>& sizes,
                               int64_t lower_bound, int attempts) {
  const size_t n = sizes.size();
  std::vector<std::vector<double>> keys(4, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i) {
    double length = 0;
    for (const LiveRange& r : problem.live[i]) length += r.last - r.first + 1;
    const auto size = static_cast<double>(sizes[i]);
    keys[0][i] = size;
    keys[1][i] = size * length;
    keys[2][i] = length;
    keys[3][i] = problem.live[i].empty() ? 0 : -problem.live[i].front().first;
  }
  std::vector<ArenaPacking> found;
  auto keep = [&](ArenaPacking p) {
    auto at = std::find_if(found.begin(), found.end(),
                           [&](const ArenaPacking& other) { return other.peak >= p.peak; });
    if (at == found.end() || at->peak != p.peak) found.insert(at, std::move(p));
    return found[0].peak <= lower_bound;
  };
  std::mt19937 random(7);
  for (int k = 0; k < attempts; ++k) {
    std::vector<double> key = keys[static_cast<size_t>(k) % keys.size()];
    if (k >= static_cast<int>(keys.size())) {  // the same orders, disturbed
      for (double& x : key) x *= 0.5 + static_cast<double>(random() % 1024) / 1024.0;
    }
    if (keep(place(problem, sizes, sorted_by(n, key)))) break;
  }
  return found;
}

}  // namespace repose
