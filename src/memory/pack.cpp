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
  problem.events = live_events(problem.live);
  const size_t n = problem.live.size();
  problem.conflicts.resize(n);
  std::set<int> now;
  for (const LiveEvent& e : problem.events) {
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

// Moves an item that ends at the peak, or one that it meets, to an earlier turn.
void promote(const PackProblem& problem, const std::vector<int64_t>& sizes, std::mt19937& random,
             Order& order) {
  const ArenaPacking now = place(problem, sizes, order);
  std::vector<size_t> turns;  // of the items at the peak and those that they meet
  std::vector<bool> chosen(order.size(), false);
  for (size_t i = 0; i < order.size(); ++i) {
    if (now.offsets[i] + sizes[i] != now.peak || chosen[i]) continue;
    chosen[i] = true;
    for (int j : problem.conflicts[i]) chosen[static_cast<size_t>(j)] = true;
  }
  for (size_t t = 0; t < order.size(); ++t) {
    if (chosen[static_cast<size_t>(order[t])]) turns.push_back(t);
  }
  if (turns.size() < 2) return;
  const size_t late = 1 + random() % (turns.size() - 1);
  const size_t early = random() % late;
  const int item = order[turns[late]];
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(turns[late]));
  order.insert(order.begin() + static_cast<std::ptrdiff_t>(turns[early]), item);
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
  Order order;  // of the best packing
  int64_t least = -1;
  for (size_t k = 0; k < keys.size() && static_cast<int>(k) < attempts; ++k) {
    Order sorted = sorted_by(n, keys[k]);
    ArenaPacking p = place(problem, sizes, sorted);
    if (least < 0 || p.peak < least) {
      least = p.peak;
      order = std::move(sorted);
    }
    if (keep(std::move(p))) return found;
  }
  // Downhill from there: what ends at the peak takes its turn before something that it meets.
  std::mt19937 random(7);
  for (int k = static_cast<int>(keys.size()); k < attempts && n > 1; ++k) {
    Order changed = order;
    promote(problem, sizes, random, changed);
    ArenaPacking p = place(problem, sizes, changed);
    if (p.peak > least) continue;
    least = p.peak;
    order = std::move(changed);
    if (keep(std::move(p))) break;
  }
  return found;
}

}  // namespace repose
