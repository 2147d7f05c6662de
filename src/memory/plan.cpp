// The memory plan: regions, orientations, peaks.
#include "memory/plan.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "ir/function_facts.h"
#include "memory/bytes.h"
#include "memory/max_plus.h"
#include "memory/size_limits.h"

namespace repose {

namespace {

constexpr size_t max_placements = 4;
constexpr size_t packing_work = 12'000'000;  // conflicts looked at, over all packings
constexpr int max_attempts = 200;            // packings at a sample

int position_known(const Expr& bytes, const Liveness& live) {
  int position = 0;
  for (const Var& v : free_vars(bytes)) {
    auto it = live.symbol_positions.find(v.get());
    REPOSE_CHECK(it != live.symbol_positions.end(), "a size mentions a symbol that nothing binds");
    position = std::max(position, it->second);
  }
  return position;
}

std::vector<Var> symbols_of(const std::vector<Expr>& sizes) {
  std::vector<Var> symbols;
  std::unordered_map<const ExprNode*, bool> seen;
  for (const Expr& e : sizes) {
    if (!seen.emplace(e.get(), true).second) continue;
    for (const Var& v : free_vars(e)) {
      if (seen.emplace(v.get(), true).second) symbols.push_back(v);
    }
  }
  return symbols;
}

class RegionPlanner {
 public:
  RegionPlanner(Region& region, const MemoryPlan& plan, const Facts& facts, bool reuse)
      : region_(region), facts_(facts), reuse_(reuse) {
    std::vector<LiveSet> live;
    for (int b : region.blocks) {
      live.push_back(reuse ? plan.aliases.blocks[static_cast<size_t>(b)].live
                           : LiveSet{{0, plan.live.num_positions}});
    }
    problem_ = make_pack_problem(std::move(live));
    samples_ = sample_values(symbols_of(region.sizes), facts);
    sample_threads(plan.num_threads);
    num_positions_ = plan.live.num_positions;
  }

  void run() {
    std::vector<std::vector<int64_t>> sizes;
    std::vector<int64_t> bounds;
    for (const SymbolValues& values : samples_) {
      sizes.push_back(sizes_at(values));
      bounds.push_back(bound_of(sizes.back()));
    }
    const size_t work = std::max<size_t>(1, problem_.num_conflicts + 8 * sizes[0].size());
    const auto affordable = static_cast<int>(packing_work / (work * samples_.size()));
    region_.placements = choose_orientations(problem_, sizes, bounds, reuse_ ? max_placements : 1,
                                             std::clamp(affordable, 1, max_attempts));
    describe();
  }

 private:
  // Few threads are common, whatever else is large.
  void sample_threads(const Var& num_threads) {
    constexpr int64_t counts[] = {4, 1, 16, 2, 8};
    for (size_t i = 0; i < samples_.size(); ++i) {
      auto it = samples_[i].find(num_threads.get());
      if (it != samples_[i].end()) it->second = counts[i % std::size(counts)];
    }
  }

  std::vector<int64_t> sizes_at(const SymbolValues& values) const {
    std::vector<int64_t> sizes;
    std::unordered_map<const ExprNode*, int64_t> known;
    for (const Expr& e : region_.sizes) {
      auto [it, is_new] = known.emplace(e.get(), 0);
      if (is_new) it->second = evaluate_bytes(e, values).value_or(0);
      sizes.push_back(it->second);
    }
    return sizes;
  }

  int64_t bound_of(const std::vector<int64_t>& sizes) const {
    LiveBytes live(0, num_positions_);
    for (size_t i = 0; i < sizes.size(); ++i) live.add(problem_.live[i], sizes[i]);
    return live.most();
  }

  // The peaks as expressions, and the smallest of them.
  void describe() {
    MaxPlus algebra(facts_, samples_);
    std::unordered_map<const ExprNode*, MaxPlus::Sum> sums;
    for (const Expr& e : region_.sizes) {
      if (!sums.contains(e.get())) sums.emplace(e.get(), algebra.sum_of(e));
    }
    for (const Orientation& o : region_.placements) {
      MaxPlus::Max peak = peak_of(algebra, sums, o);
      std::stable_sort(peak.begin(), peak.end(),
                       [](const auto& a, const auto& b) { return size_of(a) > size_of(b); });
      region_.peaks.push_back(algebra.to_expr(peak));
    }
    region_.bytes = region_.peaks[0];
    for (size_t i = 1; i < region_.peaks.size(); ++i) {
      region_.bytes = min(region_.bytes, region_.peaks[i]);
    }
  }

  // How much it is, all samples together.
  static double size_of(const MaxPlus::Sum& sum) {
    return std::accumulate(sum.values.begin(), sum.values.end(), 0.0);
  }

  MaxPlus::Max peak_of(MaxPlus& algebra,
                       const std::unordered_map<const ExprNode*, MaxPlus::Sum>& sums,
                       const Orientation& o) const {
    std::vector<MaxPlus::Max> ends(region_.sizes.size());
    for (int i : o.order) {
      MaxPlus::Max offset{algebra.zero()};
      for (int j : o.below[static_cast<size_t>(i)]) {
        offset = algebra.larger(std::move(offset), ends[static_cast<size_t>(j)]);
      }
      ends[static_cast<size_t>(i)] =
          algebra.add(offset, sums.at(region_.sizes[static_cast<size_t>(i)].get()));
    }
    MaxPlus::Max peak{algebra.zero()};
    for (int i : o.tops) peak = algebra.larger(std::move(peak), ends[static_cast<size_t>(i)]);
    return peak;
  }

  Region& region_;
  const Facts& facts_;
  const bool reuse_;
  PackProblem problem_;
  std::vector<SymbolValues> samples_;
  int num_positions_ = 0;
};

// Equal aligned sizes are one expression, so that each is evaluated once.
class AlignedSizes {
 public:
  explicit AlignedSizes(const Facts& facts) : facts_(facts) {}
  Expr operator()(const Expr& bytes) {
    std::vector<std::pair<Expr, Expr>>& bucket = known_[bytes->hash()];
    for (const auto& [from, aligned] : bucket) {
      if (structural_equal(from, bytes)) return aligned;
    }
    bucket.emplace_back(bytes, align64(bytes, facts_));
    return bucket.back().second;
  }

 private:
  const Facts& facts_;
  std::unordered_map<uint64_t, std::vector<std::pair<Expr, Expr>>> known_;
};

// Adds the blocks of programs' own memory.
void add_workspaces(MemoryPlan& plan, const Module& module, const Workspaces& workspaces,
                    const Facts& facts) {
  for (const KernelCall& kernel : plan.live.calls) {
    const std::string& name = graph::as<graph::GlobalNode>(kernel.call->args[0])->name;
    auto it = workspaces.find(name);
    if (it == workspaces.end() || it->second.is_empty()) continue;
    if (plan.aliases.parts_to_copy.contains(kernel.call)) continue;  // the host copies them
    const VarMap symbols =
        program_symbols(*module.prim_func(name), *kernel.call, kernel.result->type);
    Block block;
    block.bytes = simplify(substitute(total_bytes(it->second, plan.num_threads), symbols), facts);
    block.live = {{kernel.position, kernel.position}};
    plan.workspaces.emplace(kernel.call, static_cast<int>(plan.aliases.blocks.size()));
    plan.aliases.blocks.push_back(std::move(block));
  }
}

// Of symbols that sizes depend on, those without an upper bound of their own; or all that the data
// decides, where it is the sizes that have none.
void add_undecided(MemoryPlan& plan, const std::vector<Expr>& sizes, SizeLimits& limits) {
  std::vector<Var> decided_late, without_limit;
  for (const Var& v : symbols_of(sizes)) {
    if (plan.live.symbol_positions.at(v.get()) == 0) continue;
    decided_late.push_back(v);
    if (!limits.limit(v, plan.live.num_positions)) without_limit.push_back(v);
  }
  for (const Var& v : without_limit.empty() ? decided_late : without_limit) {
    const auto& known = plan.undecided;
    if (std::find(known.begin(), known.end(), v) == known.end()) plan.undecided.push_back(v);
  }
}

// Of names, each after those that it mentions, those that the plan mentions: what it does without
// is not computed, as it might not fit in 64 bits.
std::vector<std::pair<Var, Expr>> used_names(const std::vector<std::pair<Var, Expr>>& names,
                                             const std::map<int, Region>& regions,
                                             const std::vector<Dims>& result_limits) {
  std::unordered_set<const VarNode*> used;
  auto use = [&](const Expr& e) {
    if (!e) return;
    for (const Var& v : free_vars(e)) used.insert(v.get());
  };
  for (const auto& [position, region] : regions) {
    for (const Expr& e : region.sizes) use(e);
  }
  for (const Dims& dims : result_limits) {
    for (const Expr& e : dims) use(e);
  }
  std::vector<std::pair<Var, Expr>> kept;
  for (size_t i = names.size(); i-- > 0;) {
    if (!used.contains(names[i].first.get())) continue;
    use(names[i].second);
    kept.push_back(names[i]);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

// Of what loops carry, where its size changes: an upper bound that is known at entry, or else where
// the loop begins, by home.
std::unordered_map<int, Expr> bounds_of_homes(const Liveness& live, SizeLimits& limits) {
  std::unordered_map<int, Expr> bounds;
  auto bytes_of = [&](int s) -> const Expr& { return live.storages[static_cast<size_t>(s)].bytes; };
  for (const LoopRange& loop : live.loops) {
    const std::vector<const TensorTypeNode*> results = tensor_leaves(loop.body->body->result->type);
    const std::vector<const TensorTypeNode*> inits = tensor_leaves(loop.call->args[2]->type);
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      const int home = loop.leaves[i].home;
      if (position_known(bytes_of(home), live) < loop.enter) continue;  // as it enters
      for (const int known : {0, loop.enter - 1}) {
        const auto first = limits.limit(size_bytes(*inits.at(i)), loop.enter, known);
        const auto next = limits.limit(size_bytes(*results.at(i)), loop.back, known);
        if (!first || !next) continue;
        bounds.emplace(home, canonical(max(*first, *next)));
        break;
      }
    }
  }
  return bounds;
}

}  // namespace

MemoryPlan plan_memory(const graph::Function& f, const Module& module, const Facts& at_entry,
                       const PlanOptions& options) {
  MemoryPlan plan;
  plan.live = liveness(f);
  for (const graph::Binding& b : head_of(f)) {
    if (const auto named = size_name(b)) plan.names.emplace_back(named->name, named->value);
  }
  plan.num_threads = make_var("num_threads");
  plan.live.symbol_positions.emplace(plan.num_threads.get(), 0);
  Facts facts = at_entry;
  facts.restrict(plan.num_threads, {1, Interval::plus_infinity});
  SizeLimits limits(f, plan.live, facts);
  AliasOptions alias_options;
  alias_options.home_bytes = bounds_of_homes(plan.live, limits);
  for (const auto& [name, value] : limits.names()) {
    plan.live.symbol_positions.emplace(name.get(), 0);
  }
  alias_options.in_place = options.reuse;
  alias_options.donated_results = options.donated_results;
  plan.aliases = find_aliases(f, module, plan.live, facts, alias_options);
  if (options.workspaces) add_workspaces(plan, module, *options.workspaces, facts);
  std::vector<Block>& blocks = plan.aliases.blocks;
  plan.region_of.assign(blocks.size(), -1);
  plan.position_in.assign(blocks.size(), -1);

  std::unordered_set<int> growing;  // homes without a bound
  for (const LoopRange& loop : plan.live.loops) {
    for (const LoopRange::Leaf& leaf : loop.leaves) {
      const Storage& home = plan.live.storages[static_cast<size_t>(leaf.home)];
      if (position_known(home.bytes, plan.live) >= loop.enter &&
          !alias_options.home_bytes.contains(leaf.home)) {
        growing.insert(leaf.home);
      }
    }
  }
  AlignedSizes aligned(facts);
  std::map<int, Region> regions{{0, {}}};
  std::vector<Region> of_homes;
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (!blocks[b].in_arena()) continue;
    if (!blocks[b].members.empty() && growing.contains(blocks[b].members[0])) {
      Region region;
      region.position = position_known(blocks[b].bytes, plan.live);
      region.home = blocks[b].members[0];
      plan.position_in[b] = 0;
      region.blocks.push_back(static_cast<int>(b));
      region.sizes.push_back(aligned(blocks[b].bytes));
      // Two in turn, where it keeps its contents when it grows.
      if (plan.aliases.appended.contains(region.home)) of_homes.push_back(region);
      of_homes.push_back(std::move(region));
      continue;
    }
    int position = position_known(blocks[b].bytes, plan.live);
    Expr bytes = blocks[b].bytes;
    if (position > 0) {
      if (auto limit = limits.limit(bytes, blocks[b].first())) {
        blocks[b].room = bytes = *limit;
        position = 0;
      }
    }
    Region& region = regions[position];
    region.position = position;
    plan.position_in[b] = static_cast<int>(region.blocks.size());
    region.blocks.push_back(static_cast<int>(b));
    region.sizes.push_back(aligned(bytes));
  }
  for (const TensorTypeNode* t : tensor_leaves(f->body->result->type)) {
    Dims& most = plan.result_limits.emplace_back();
    for (const Expr& d : *t->shape) {
      most.push_back(limits.limit(d, plan.live.num_positions).value_or(nullptr));
    }
  }
  plan.limit_names = used_names(limits.names(), regions, plan.result_limits);
  for (const auto& [name, value] : plan.limit_names) {
    plan.names.emplace_back(name, value);
    plan.live.symbol_positions.emplace(name.get(), 0);
  }
  facts = limits.facts();
  std::vector<Region> all;
  for (auto& [position, region] : regions) all.push_back(std::move(region));
  for (Region& region : of_homes) all.push_back(std::move(region));
  for (Region& region : all) {
    if (region.position > 0) add_undecided(plan, region.sizes, limits);
    for (int b : region.blocks) {
      int& of_block = plan.region_of[static_cast<size_t>(b)];
      if (of_block < 0) of_block = static_cast<int>(plan.regions.size());
    }
    RegionPlanner(region, plan, facts, options.reuse).run();
    plan.regions.push_back(std::move(region));
  }
  return plan;
}

std::optional<PlanAt> plan_at(const MemoryPlan& plan, const SymbolValues& given) {
  SymbolValues values = given;
  evaluate_names(plan.names, values);
  auto sizes = arena_sizes(plan.aliases.blocks, values);
  if (!sizes) return std::nullopt;
  PlanAt at;
  at.sizes = std::move(*sizes);
  at.offsets.assign(at.sizes.size(), -1);
  for (const Region& region : plan.regions) {
    std::vector<int64_t> own;
    for (int b : region.blocks) own.push_back(at.sizes[static_cast<size_t>(b)]);
    size_t best = 0;
    ArenaPacking packing;
    for (size_t p = 0; p < region.placements.size(); ++p) {
      ArenaPacking here = evaluate(region.placements[p], own);
      if (p == 0 || here.peak < packing.peak) {
        packing = std::move(here);
        best = p;
      }
    }
    at.chosen.push_back(best);
    at.arena_bytes += packing.peak;
    for (size_t i = 0; i < own.size(); ++i) {
      at.offsets[static_cast<size_t>(region.blocks[i])] = packing.offsets[i];
    }
  }
  at.lower_bound = lower_bound(plan.aliases.blocks, at.sizes, plan.live.num_positions);
  return at;
}

}  // namespace repose
