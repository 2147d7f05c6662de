// Orders of kernels with a low peak.
#include "memory/order_search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace repose {

namespace {

using Order = std::vector<int>;

constexpr int max_mask = 64;  // nodes of a beam search
constexpr size_t beam_width = 1500;
constexpr size_t max_expansions = 400'000;  // of one beam search
constexpr int max_windows = 24;

// Bytes that live while nodes run, one after the other.
class Account {
 public:
  explicit Account(const OrderProblem& p) : p_(p), readers_(p.sizes.size(), 0) {
    for (const OrderProblem::Node& n : p.nodes) {
      for (int v : n.reads) ++readers_[static_cast<size_t>(v)];
    }
    for (size_t v = 0; v < p.sizes.size(); ++v) {
      if (p.from_before[v] && (readers_[v] > 0 || p.kept[v])) live_ += p.sizes[v];
    }
  }

  struct Step {
    int64_t during, after;  // bytes
  };
  Step peek(int k) const {
    const OrderProblem::Node& n = p_.nodes[static_cast<size_t>(k)];
    int64_t added = 0, freed = 0, reused = 0;
    for (int v : n.writes) {
      added += size(v);
      if (!p_.kept[static_cast<size_t>(v)] && readers_[static_cast<size_t>(v)] == 0) {
        freed += size(v);
      }
    }
    for (int v : n.reads) freed += dies(v) ? size(v) : 0;
    for (const std::vector<int>& list : n.reused) {
      auto it = std::find_if(list.begin(), list.end(), [&](int v) { return dies(v); });
      if (it != list.end()) reused += size(*it);
    }
    return {live_ + added - reused + n.scratch, live_ + added - freed};
  }

  Step run(int k) {
    const Step step = peek(k);
    for (int v : p_.nodes[static_cast<size_t>(k)].reads) --readers_[static_cast<size_t>(v)];
    live_ = step.after;
    return step;
  }

 private:
  int64_t size(int v) const { return p_.sizes[static_cast<size_t>(v)]; }
  bool dies(int v) const {
    return !p_.kept[static_cast<size_t>(v)] && readers_[static_cast<size_t>(v)] == 1;
  }

  const OrderProblem& p_;
  std::vector<int> readers_;  // per value: nodes that have not run
  int64_t live_ = 0;
};

// Sets of nodes that have run, level by level: the order in which they ran no longer matters.
class Beam {
 public:
  explicit Beam(const OrderProblem& p) : p_(p), n_(p.nodes.size()) {
    readers_.assign(p.sizes.size(), 0);
    for (size_t k = 0; k < n_; ++k) {
      uint64_t before = 0;
      for (int j : p.nodes[k].after) before |= uint64_t{1} << j;
      before_.push_back(before);
      for (int v : p.nodes[k].reads) readers_[static_cast<size_t>(v)] |= uint64_t{1} << k;
    }
  }

  // An order whose peak is below `incumbent`; empty if none is found.
  Order run(int64_t incumbent) {
    int64_t live = 0;
    for (size_t v = 0; v < p_.sizes.size(); ++v) {
      if (p_.from_before[v] && (readers_[v] != 0 || p_.kept[v])) live += p_.sizes[v];
    }
    std::vector<std::vector<State>> levels{{{0, live, live, -1, -1}}};
    size_t expansions = 0;
    for (size_t level = 0; level < n_; ++level) {
      std::vector<State> next;
      std::unordered_map<uint64_t, size_t> at;
      for (size_t i = 0; i < levels[level].size(); ++i) {
        expand(levels[level][i], static_cast<int>(i), incumbent, next, at, expansions);
      }
      if (next.empty()) return {};
      const size_t width = expansions < max_expansions ? beam_width : 32;
      if (next.size() > width) {
        std::nth_element(next.begin(), next.begin() + static_cast<std::ptrdiff_t>(width),
                         next.end(), [](const State& a, const State& b) {
                           return a.peak != b.peak ? a.peak < b.peak : a.live < b.live;
                         });
        next.resize(width);
      }
      levels.push_back(std::move(next));
    }
    const auto best =
        std::min_element(levels[n_].begin(), levels[n_].end(),
                         [](const State& a, const State& b) { return a.peak < b.peak; });
    Order order;
    int i = static_cast<int>(best - levels[n_].begin());
    for (size_t level = n_; level > 0; --level) {
      const State& s = levels[level][static_cast<size_t>(i)];
      order.push_back(s.node);
      i = s.parent;
    }
    std::reverse(order.begin(), order.end());
    return order;
  }

 private:
  struct State {
    uint64_t done;
    int64_t live, peak;
    int parent, node;
  };

  bool dies(int v, uint64_t done, uint64_t bit) const {
    return !p_.kept[static_cast<size_t>(v)] && (readers_[static_cast<size_t>(v)] & ~done) == bit;
  }

  // Gives whether the node costs nothing now: then no other has to be tried in its place.
  State run_node(const State& s, int parent, int k, bool* is_free) const {
    const OrderProblem::Node& n = p_.nodes[static_cast<size_t>(k)];
    const uint64_t bit = uint64_t{1} << k;
    int64_t added = 0, freed = 0, reused = 0;
    for (int v : n.writes) {
      added += p_.sizes[static_cast<size_t>(v)];
      if (!p_.kept[static_cast<size_t>(v)] && readers_[static_cast<size_t>(v)] == 0) {
        freed += p_.sizes[static_cast<size_t>(v)];
      }
    }
    for (int v : n.reads) {
      if (dies(v, s.done, bit)) freed += p_.sizes[static_cast<size_t>(v)];
    }
    for (const std::vector<int>& list : n.reused) {
      auto it = std::find_if(list.begin(), list.end(), [&](int v) { return dies(v, s.done, bit); });
      if (it != list.end()) reused += p_.sizes[static_cast<size_t>(*it)];
    }
    const int64_t during = s.live + added - reused + n.scratch, after = s.live + added - freed;
    *is_free = during <= s.live && after <= s.live;
    return {s.done | bit, after, std::max(s.peak, during), parent, k};
  }

  void expand(const State& s, int parent, int64_t incumbent, std::vector<State>& next,
              std::unordered_map<uint64_t, size_t>& at, size_t& expansions) const {
    std::vector<State> found;
    for (size_t k = 0; k < n_; ++k) {
      if ((s.done >> k & 1) != 0 || (before_[k] & ~s.done) != 0) continue;
      ++expansions;
      bool is_free = false;
      const State after = run_node(s, parent, static_cast<int>(k), &is_free);
      if (is_free) {
        found.assign(1, after);
        break;
      }
      found.push_back(after);
    }
    for (const State& f : found) {
      if (f.peak >= incumbent) continue;
      auto [it, is_new] = at.emplace(f.done, next.size());
      if (is_new) {
        next.push_back(f);
      } else if (f.peak < next[it->second].peak) {
        next[it->second] = f;
      }
    }
  }

  const OrderProblem& p_;
  const size_t n_;
  std::vector<uint64_t> before_;   // per node
  std::vector<uint64_t> readers_;  // per value
};

// Of the nodes that may run, the one that adds the least while it runs and leaves the least.
Order greedy(const OrderProblem& p) {
  const size_t n = p.nodes.size();
  std::vector<int> waiting(n, 0);
  std::vector<std::vector<int>> followers(n);
  for (size_t k = 0; k < n; ++k) {
    waiting[k] = static_cast<int>(p.nodes[k].after.size());
    for (int j : p.nodes[k].after) followers[static_cast<size_t>(j)].push_back(static_cast<int>(k));
  }
  std::vector<int> ready;
  for (size_t k = 0; k < n; ++k) {
    if (waiting[k] == 0) ready.push_back(static_cast<int>(k));
  }
  Account account(p);
  Order order;
  while (!ready.empty()) {
    constexpr size_t looked_at = 64;  // of those that may run, in the given order
    size_t best = 0;
    Account::Step least{};
    for (size_t i = 0; i < std::min(ready.size(), looked_at); ++i) {
      const Account::Step step = account.peek(ready[i]);
      const bool better =
          step.after != least.after ? step.after < least.after : step.during < least.during;
      if (i == 0 || better) {
        best = i;
        least = step;
      }
    }
    const int k = ready[best];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(best));
    account.run(k);
    order.push_back(k);
    for (int f : followers[static_cast<size_t>(k)]) {
      if (--waiting[static_cast<size_t>(f)] > 0) continue;
      ready.insert(std::lower_bound(ready.begin(), ready.end(), f), f);
    }
  }
  return order;
}

// The nodes at [begin, end) of an order, as a problem of their own.
OrderProblem window_of(const OrderProblem& p, const Order& order, size_t begin, size_t end) {
  OrderProblem window;
  window.sizes = p.sizes;
  window.kept.assign(p.sizes.size(), false);
  window.from_before = p.from_before;
  std::vector<int> number(p.nodes.size(), -1);
  for (size_t i = 0; i < begin; ++i) {
    for (int v : p.nodes[static_cast<size_t>(order[i])].writes) {
      window.from_before[static_cast<size_t>(v)] = true;
    }
  }
  for (size_t i = end; i < order.size(); ++i) {
    for (int v : p.nodes[static_cast<size_t>(order[i])].reads) {
      window.kept[static_cast<size_t>(v)] = true;
    }
  }
  for (size_t v = 0; v < p.sizes.size(); ++v) {
    if (p.kept[v]) window.kept[v] = true;
  }
  // Values that only come into being later are nobody's here.
  for (size_t i = end; i < order.size(); ++i) {
    for (int v : p.nodes[static_cast<size_t>(order[i])].writes) {
      window.kept[static_cast<size_t>(v)] = false;
    }
  }
  for (size_t i = begin; i < end; ++i) {
    number[static_cast<size_t>(order[i])] = static_cast<int>(i - begin);
    OrderProblem::Node node = p.nodes[static_cast<size_t>(order[i])];
    std::vector<int> after;
    for (int j : node.after) {
      if (number[static_cast<size_t>(j)] >= 0) after.push_back(number[static_cast<size_t>(j)]);
    }
    node.after = std::move(after);
    window.nodes.push_back(std::move(node));
  }
  return window;
}

// The most bytes that live, and where in the order that is first reached.
struct Peak {
  size_t at = 0;
  int64_t bytes = 0;
};

Peak find_peak(const OrderProblem& p, const Order& order) {
  Account account(p);
  Peak peak;
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t during = account.run(order[i]).during;
    if (during > peak.bytes) peak = {i, during};
  }
  return peak;
}

// Searches around the peak; false: nothing better was found there.
bool improve_window(const OrderProblem& p, Order& order, Peak& peak) {
  const size_t begin = peak.at < max_mask / 2 ? 0 : peak.at - max_mask / 2;
  const size_t end = std::min(order.size(), begin + max_mask);
  const OrderProblem window = window_of(p, order, begin, end);
  Order identity(end - begin);
  std::iota(identity.begin(), identity.end(), 0);
  const Order better = Beam(window).run(peak_of(window, identity));
  if (better.empty()) return false;
  const Order part(order.begin() + static_cast<std::ptrdiff_t>(begin),
                   order.begin() + static_cast<std::ptrdiff_t>(end));
  for (size_t i = 0; i < better.size(); ++i) {
    order[begin + i] = part[static_cast<size_t>(better[i])];
  }
  const Peak before = std::exchange(peak, find_peak(p, order));
  return peak.bytes < before.bytes || peak.at != before.at;
}

}  // namespace

int64_t peak_of(const OrderProblem& problem, const std::vector<int>& order) {
  return find_peak(problem, order).bytes;
}

std::vector<int> search_order(const OrderProblem& problem) {
  Order best(problem.nodes.size());
  std::iota(best.begin(), best.end(), 0);
  int64_t least = peak_of(problem, best);
  if (problem.nodes.size() <= max_mask) {
    const Order found = Beam(problem).run(least);
    return found.empty() ? best : found;
  }
  auto refine = [&](Order order) {
    Peak peak = find_peak(problem, order);
    for (int i = 0; i < max_windows && improve_window(problem, order, peak); ++i) {
    }
    if (peak.bytes < least) {
      least = peak.bytes;
      best = std::move(order);
    }
  };
  const Order given = best;
  refine(given);
  refine(greedy(problem));
  return best;
}

}  // namespace repose
