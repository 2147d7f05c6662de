// The memory plan: regions, results, packing at sample values, symbolic offsets.
#include "memory/plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_set>

#include "ir/op.h"

namespace repose {

Expr align64(const Expr& bytes, const Facts& facts) {
  if (prove_divisible(bytes, 64, facts) == Truth::yes) return bytes;
  return simplify(floor_div(bytes + 63, make_int(64)) * 64, facts);
}

namespace {

constexpr int64_t unknown_sample = 64;  // what a symbol without a range is packed at

int64_t sample_of(const Var& v, const Facts& facts) {
  const Interval range = facts.range_of(v);
  int64_t s = unknown_sample;
  if (range.upper != Interval::plus_infinity) s = std::min(s, range.upper);
  if (range.lower != Interval::minus_infinity) s = std::max(s, range.lower);
  const int64_t over = ((s - range.remainder) % range.divisor + range.divisor) % range.divisor;
  return s - over >= range.lower ? s - over : s + range.divisor - over;
}

// The position after which every symbol of the function is known: 0 for those of parameters.
std::unordered_map<const VarNode*, int> symbol_positions(const graph::Function& f) {
  std::unordered_map<const VarNode*, int> known;
  for (const graph::Variable& p : f->params) {
    for (const Var& v : binding_symbols(p->type)) known.emplace(v.get(), 0);
  }
  int position = 0;
  auto visit = [&](auto&& self, const graph::Body& body) -> void {
    for (const graph::Block& block : body->blocks) {
      for (const graph::Binding& b : block.bindings) {
        if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
          ++position;
          self(self, choice->then_body);
          ++position;
          self(self, choice->else_body);
        }
        ++position;
        for (const Var& v : binding_symbols(b.var->type)) known.emplace(v.get(), position);
      }
    }
  };
  visit(visit, f->body);
  return known;
}

void collect_tensors(const Type& t, std::vector<const TensorTypeNode*>& tensors) {
  if (const auto* tensor = as<TensorTypeNode>(t)) tensors.push_back(tensor);
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) collect_tensors(field, tensors);
  }
}

// Whether the shape is known where a binding at `position` runs. A result that is a view may have a
// shape whose symbols are bound only after the storage that it views is written.
bool is_known_before(const TensorTypeNode& t, int position,
                     const std::unordered_map<const VarNode*, int>& known_at) {
  for (const Expr& d : *t.shape) {
    for (const Var& v : free_vars(d)) {
      auto it = known_at.find(v.get());
      if (it == known_at.end() || it->second >= position) return false;
    }
  }
  return true;
}

struct Item {
  int storage;
  int first, last;
  Expr bytes;    // aligned
  int64_t size;  // at the sample
};

bool interferes(const Item& a, const Item& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Greedy by size: the largest first, each at the lowest gap that fits between those it interferes
// with.
std::vector<int64_t> pack(const std::vector<Item>& items) {
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return items[a].size > items[b].size; });
  std::vector<int64_t> offsets(items.size(), 0);
  std::vector<size_t> placed;
  for (size_t i : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (size_t j : placed) {
      if (interferes(items[i], items[j])) {
        taken.emplace_back(offsets[j], offsets[j] + items[j].size);
      }
    }
    std::sort(taken.begin(), taken.end());
    int64_t best = -1, best_gap = 0, end = 0;
    for (auto [from, to] : taken) {
      const int64_t gap = from - end;
      if (gap >= items[i].size && (best < 0 || gap < best_gap)) {
        best = end;
        best_gap = gap;
      }
      end = std::max(end, to);
    }
    offsets[i] = best >= 0 ? best : end;
    placed.push_back(i);
  }
  return offsets;
}

// Turns a packing into symbolic offsets and the peak.
Expr orient(const std::vector<Item>& items, const std::vector<int64_t>& packed, const Facts& facts,
            std::vector<PlannedStorage>& storages) {
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return packed[a] < packed[b]; });
  std::vector<Expr> ends(items.size());
  std::vector<std::vector<size_t>> predecessors(items.size());
  std::vector<bool> below_another(items.size(), false);
  for (size_t n = 0; n < order.size(); ++n) {
    const size_t i = order[n];
    // Nearest first: a predecessor of a predecessor is already accounted for.
    std::unordered_set<size_t> implied;
    Expr offset = make_int(0);
    for (size_t m = n; m-- > 0;) {
      const size_t j = order[m];
      if (!interferes(items[i], items[j]) || implied.count(j)) continue;
      predecessors[i].push_back(j);
      offset = max(offset, ends[j]);
      std::vector<size_t> stack{j};
      while (!stack.empty()) {
        const size_t top = stack.back();
        stack.pop_back();
        for (size_t p : predecessors[top]) {
          if (implied.insert(p).second) stack.push_back(p);
        }
      }
    }
    for (size_t j : predecessors[i]) below_another[j] = true;
    offset = simplify(offset, facts);
    storages[items[i].storage].offset = offset;
    ends[i] = simplify(offset + items[i].bytes, facts);
  }
  Expr peak = make_int(0);
  for (size_t i = 0; i < items.size(); ++i) {
    if (!below_another[i]) peak = max(peak, ends[i]);
  }
  return simplify(peak, facts);
}

}  // namespace

MemoryPlan plan_memory(const graph::Function& f, const Facts& facts, const PlanOptions& options) {
  MemoryPlan plan;
  plan.live = liveness(f);
  plan.storages.resize(plan.live.storages.size());

  // A computed storage that is a result lives in that result's buffer, unless another result has
  // it, or the buffer's shape isn't known yet where the storage is written.
  const auto known_at = symbol_positions(f);
  const Places& results = plan.live.places.at(f->body->result.get());
  std::vector<const TensorTypeNode*> types;
  collect_tensors(f->body->result->type, types);
  for (size_t r = 0; r < results.size(); ++r) {
    const bool donated = r < options.donated_results.size() && options.donated_results[r];
    bool direct = results[r].size() == 1 && !donated;
    if (direct) {
      const int s = results[r][0];
      const Storage& storage = plan.live.storages[s];
      direct = storage.kind == Storage::Kind::computed && plan.storages[s].result < 0 &&
               is_known_before(*types[r], storage.first, known_at);
      if (direct) plan.storages[s].result = static_cast<int>(r);
    }
    plan.copied_results.push_back(!direct);
  }

  std::map<int, std::vector<Item>> regions{{0, {}}};
  for (size_t s = 0; s < plan.live.storages.size(); ++s) {
    const Storage& storage = plan.live.storages[s];
    if (storage.kind != Storage::Kind::computed || plan.storages[s].result >= 0) continue;
    int position = 0;
    VarMap sample;
    for (const Var& v : free_vars(storage.bytes)) {
      auto it = known_at.find(v.get());
      REPOSE_CHECK(it != known_at.end(), "a size mentions a symbol that nothing binds");
      position = std::max(position, it->second);
      sample.emplace(v.get(), make_int(sample_of(v, facts)));
    }
    Item item{static_cast<int>(s), storage.first, storage.last, align64(storage.bytes, facts), 0};
    if (!options.reuse) {
      item.first = 0;
      item.last = plan.live.num_positions;
    }
    as_const_int(canonical(substitute(item.bytes, sample)), &item.size);
    regions[position].push_back(std::move(item));
  }
  for (auto& [position, items] : regions) {
    for (const Item& item : items) {
      plan.storages[item.storage].region = static_cast<int>(plan.regions.size());
    }
    Expr peak = orient(items, pack(items), facts, plan.storages);
    plan.regions.push_back({position, std::move(peak)});
  }
  return plan;
}

}  // namespace repose
