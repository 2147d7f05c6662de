// Orientations: who lies above whom.
#include "memory/orient.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace repose {

namespace {

// Edges that two others imply are dropped.
void reduce(std::vector<std::vector<int>>& below) {
  for (std::vector<int>& list : below) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  const std::vector<std::vector<int>> all = below;
  for (std::vector<int>& list : below) {
    std::erase_if(list, [&](int j) {
      return std::any_of(list.begin(), list.end(), [&](int k) {
        const std::vector<int>& under = all[static_cast<size_t>(k)];
        return std::binary_search(under.begin(), under.end(), j);
      });
    });
  }
}

}  // namespace

Orientation orient(const PackProblem& problem, const std::vector<int64_t>& offsets) {
  const size_t n = offsets.size();
  Orientation result;
  result.order.resize(n);
  std::iota(result.order.begin(), result.order.end(), 0);
  std::stable_sort(result.order.begin(), result.order.end(), [&](int a, int b) {
    return offsets[static_cast<size_t>(a)] < offsets[static_cast<size_t>(b)];
  });
  std::vector<int> rank(n);
  for (size_t r = 0; r < n; ++r) rank[static_cast<size_t>(result.order[r])] = static_cast<int>(r);

  // Over time, the items that live form a stack; neighbours in it are the edges. Every other pair
  // of the stack follows from them.
  result.below.resize(n);
  std::set<int> stack;  // ranks
  auto edge = [&](int lower, int upper) {
    result.below[static_cast<size_t>(result.order[static_cast<size_t>(upper)])].push_back(
        result.order[static_cast<size_t>(lower)]);
  };
  for (const LiveEvent& e : problem.events) {
    const int r = rank[static_cast<size_t>(e.item)];
    auto at = e.begins ? stack.insert(r).first : stack.find(r);
    auto above = std::next(at);
    const bool has_below = at != stack.begin(), has_above = above != stack.end();
    if (e.begins) {
      if (has_below) edge(*std::prev(at), r);
      if (has_above) edge(r, *above);
    } else {
      if (has_below && has_above) edge(*std::prev(at), *above);
      stack.erase(at);
    }
  }
  reduce(result.below);
  std::vector<bool> is_below(n, false);
  for (const std::vector<int>& list : result.below) {
    for (int j : list) is_below[static_cast<size_t>(j)] = true;
  }
  for (size_t i = 0; i < n; ++i) {
    if (!is_below[i]) result.tops.push_back(static_cast<int>(i));
  }
  return result;
}

ArenaPacking evaluate(const Orientation& orientation, const std::vector<int64_t>& sizes) {
  ArenaPacking packing;
  packing.offsets.assign(sizes.size(), 0);
  for (int i : orientation.order) {
    int64_t& offset = packing.offsets[static_cast<size_t>(i)];
    for (int j : orientation.below[static_cast<size_t>(i)]) {
      offset =
          std::max(offset, packing.offsets[static_cast<size_t>(j)] + sizes[static_cast<size_t>(j)]);
    }
    packing.peak = std::max(packing.peak, offset + sizes[static_cast<size_t>(i)]);
  }
  return packing;
}

std::vector<Orientation> choose_orientations(const PackProblem& problem,
                                             const std::vector<std::vector<int64_t>>& sizes,
                                             const std::vector<int64_t>& lower_bounds, size_t most,
                                             int attempts) {
  constexpr size_t kept_per_sample = 3;
  constexpr int few_attempts = 8;
  constexpr size_t most_attempts = 4000;
  constexpr double worth_a_variant = 0.001;  // of the mean excess over the lower bounds
  std::vector<Orientation> candidates;
  std::vector<std::vector<double>> excess;  // per candidate and sample: peak / lower bound
  auto consider = [&](Orientation o) {
    if (std::find(candidates.begin(), candidates.end(), o) != candidates.end()) return;
    std::vector<double> row;
    for (size_t s = 0; s < sizes.size(); ++s) {
      const double bound = std::max<double>(1, static_cast<double>(lower_bounds[s]));
      row.push_back(static_cast<double>(evaluate(o, sizes[s]).peak) / bound);
    }
    candidates.push_back(std::move(o));
    excess.push_back(std::move(row));
  };
  // A few attempts suffice at most samples; the others share what is left.
  std::vector<std::vector<ArenaPacking>> packings;
  std::vector<size_t> hard;
  for (size_t s = 0; s < sizes.size(); ++s) {
    packings.push_back(pack(problem, sizes[s], lower_bounds[s], std::min(attempts, few_attempts)));
    if (packings[s][0].peak > lower_bounds[s]) hard.push_back(s);
  }
  for (size_t s : hard) {
    const size_t left = static_cast<size_t>(attempts) * sizes.size() / hard.size();
    const auto more = static_cast<int>(std::min(left, most_attempts));
    if (more > few_attempts) packings[s] = pack(problem, sizes[s], lower_bounds[s], more);
  }
  for (std::vector<ArenaPacking>& list : packings) {
    if (list.size() > kept_per_sample) list.resize(kept_per_sample);
    for (const ArenaPacking& p : list) consider(orient(problem, p.offsets));
  }

  std::vector<Orientation> chosen;
  std::vector<double> best(sizes.size(), 1e30);
  while (chosen.size() < most) {
    size_t pick = candidates.size();
    double least = 0;
    for (double b : best) least += b;
    const double now = least;
    for (size_t c = 0; c < candidates.size(); ++c) {
      double sum = 0;
      for (size_t s = 0; s < sizes.size(); ++s) sum += std::min(best[s], excess[c][s]);
      if (sum < least) {
        least = sum;
        pick = c;
      }
    }
    const double gain = (now - least) / static_cast<double>(sizes.size());
    if (pick == candidates.size() || (!chosen.empty() && gain < worth_a_variant)) break;
    chosen.push_back(candidates[pick]);
    for (size_t s = 0; s < sizes.size(); ++s) best[s] = std::min(best[s], excess[pick][s]);
  }
  return chosen;
}

}  // namespace repose
