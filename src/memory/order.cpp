// Orders the bindings of functions for a low peak.
#include "memory/order.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/while_loop.h"
#include "memory/bytes.h"
#include "memory/max_plus.h"
#include "memory/order_search.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

namespace {

constexpr size_t max_searches = 4;  // samples at which an order is searched

bool is_barrier(const graph::Binding& b);

bool has_barrier(const graph::Body& body) {
  bool found = false;
  graph::visit_bindings(body, true,
                        [&](const graph::Binding& b) { found = found || is_barrier(b); });
  return found;
}

// What later bindings stay behind.
bool is_barrier(const graph::Binding& b) {
  if (b.cast) return true;
  if (const auto* call = graph::as<graph::CallNode>(b.value)) {
    if (is_while_loop(*call)) return true;  // what it checks, and the symbols that it binds
    if (call->op && call->op->name == "call_tir_inplace") return true;  // what reads the old value
    if (is_packed_call(*call) && !binding_symbols(b.var->type).empty()) return true;
    return !call->op || !call->op->pure || is_check(b.value);
  }
  if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
    return has_barrier(choice->then_body) || has_barrier(choice->else_body) ||
           !binding_symbols(b.var->type).empty();
  }
  return false;
}

// The variables that a binding uses, those of branches too.
std::vector<const graph::ValueNode*> used_variables(const graph::Binding& b) {
  std::vector<const graph::ValueNode*> used;
  std::function<void(const graph::Value&)> use = [&](const graph::Value& v) {
    if (graph::as<graph::VariableNode>(v)) {
      used.push_back(v.get());
    } else if (const auto* choice = graph::as<graph::IfNode>(v)) {
      use(choice->condition);
      for (const graph::Body& body : {choice->then_body, choice->else_body}) {
        for (const graph::Variable& free : graph::free_variables(body)) used.push_back(free.get());
      }
    } else if (const auto* closure = graph::as<graph::FunctionNode>(v)) {
      for (const graph::Variable& free : graph::free_variables(closure->body, closure->params)) {
        used.push_back(free.get());
      }
    } else {
      graph::visit_operands(v, use);
    }
  };
  use(b.value);
  return used;
}

// What a function has at each position, for problems of many small blocks (branches).
struct Positions {
  std::vector<std::vector<int>> made;  // computed storages
  std::vector<int> joins;              // of `live.joins`; -1: none

  explicit Positions(const Liveness& live)
      : made(static_cast<size_t>(live.num_positions)),
        joins(static_cast<size_t>(live.num_positions), -1) {
    for (size_t s = 0; s < live.storages.size(); ++s) {
      if (live.storages[s].kind == Storage::Kind::computed) {
        made[static_cast<size_t>(live.storages[s].first)].push_back(static_cast<int>(s));
      }
    }
    for (size_t j = 0; j < live.joins.size(); ++j) {
      joins[static_cast<size_t>(live.joins[j].join)] = static_cast<int>(j);
    }
  }
};

// One block of bindings as a problem. Nodes are the bindings that make bytes, and barriers; other
// bindings (views, tuples, shapes) follow what they use.
class BlockOrder {
 public:
  BlockOrder(const graph::Block& block, const Module& module, const Liveness& live,
             const Aliasing& aliases, const Positions& positions)
      : block_(block), module_(module), live_(live), aliases_(aliases), positions_(positions) {
    find_dependencies();
    find_values();
  }

  size_t num_nodes() const { return problem_.nodes.size(); }

  graph::Block at(const std::vector<int64_t>& storage_bytes) {
    std::fill(problem_.sizes.begin(), problem_.sizes.end(), 0);
    for (const auto& [s, v] : value_of_) {
      if (is_result(static_cast<size_t>(s))) continue;
      int64_t& size = problem_.sizes[static_cast<size_t>(v)];
      size = std::max(size, storage_bytes[static_cast<size_t>(s)]);
    }
    for (const auto& [node, storages] : inside_) {
      problem_.nodes[static_cast<size_t>(node)].scratch = most_inside(storages, storage_bytes);
    }
    for (OrderProblem::Node& node : problem_.nodes) drop_unequal(node);
    return arrange(search_order(problem_));
  }

 private:
  bool is_result(size_t s) const {
    return aliases_.blocks[static_cast<size_t>(aliases_.block_of[s])].result >= 0 &&
           live_.storages[s].kind == Storage::Kind::computed && is_direct_result(s);
  }
  bool is_direct_result(size_t s) const {
    const LiveSet& live = live_.storages[s].live;
    return !live.empty() && live.back().last == live_.num_positions - 1;
  }

  bool makes_bytes(const graph::Binding& b) const {
    if (graph::as<graph::IfNode>(b.value)) return true;
    const auto* call = graph::as<graph::CallNode>(b.value);
    return call && !is_view(*call) && count_tensors(b.var->type) > 0;
  }

  void find_dependencies() {
    std::unordered_map<const graph::ValueNode*, size_t> binding_of;
    int barrier = -1;  // the last one
    for (size_t i = 0; i < block_.bindings.size(); ++i) {
      const graph::Binding& b = block_.bindings[i];
      std::vector<int> needs;
      if (barrier >= 0) needs.push_back(barrier);
      for (const graph::ValueNode* v : used_variables(b)) {
        auto it = binding_of.find(v);
        if (it == binding_of.end()) continue;
        if (node_of_[it->second] >= 0) {
          needs.push_back(node_of_[it->second]);
        } else {
          needs.insert(needs.end(), needs_[it->second].begin(), needs_[it->second].end());
        }
      }
      std::sort(needs.begin(), needs.end());
      needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
      const bool is_node = is_barrier(b) || makes_bytes(b);
      node_of_.push_back(is_node ? static_cast<int>(problem_.nodes.size()) : -1);
      if (is_node) {
        problem_.nodes.push_back({needs, {}, {}, {}, 0});
        if (is_barrier(b)) barrier = node_of_.back();
      }
      needs_.push_back(std::move(needs));
      binding_of.emplace(b.var.get(), i);
    }
  }

  int value_for(int storage) {
    const auto [it, is_new] = value_of_.emplace(storage, static_cast<int>(problem_.sizes.size()));
    if (is_new) {
      problem_.sizes.push_back(0);
      problem_.kept.push_back(false);
      problem_.from_before.push_back(true);
    }
    return it->second;
  }

  void find_values() {
    int last = 0;
    for (size_t i = 0; i < block_.bindings.size(); ++i) {
      const graph::Binding& b = block_.bindings[i];
      last = live_.positions.at(b.var.get());
      if (node_of_[i] < 0) continue;
      const auto* call = graph::as<graph::CallNode>(b.value);
      const LoopRange* loop = call ? live_.loop_of(*call) : nullptr;
      if (graph::as<graph::IfNode>(b.value)) {
        add_branches(node_of_[i], last);
      } else if (loop) {
        add_loop(node_of_[i], *loop);
      } else {
        for (int s : positions_.made[static_cast<size_t>(last)]) write(node_of_[i], s);
      }
    }
    for (size_t i = 0; i < block_.bindings.size(); ++i) {
      if (node_of_[i] >= 0) read(i);
    }
    for (const auto& [s, v] : value_of_) {
      const LiveSet& live = live_.storages[static_cast<size_t>(s)].live;
      if (!live.empty() && live.back().last > last) problem_.kept[static_cast<size_t>(v)] = true;
    }
  }

  void write(int node, int storage) {
    const int v = value_for(storage);
    std::vector<int>& writes = problem_.nodes[static_cast<size_t>(node)].writes;
    if (std::find(writes.begin(), writes.end(), v) == writes.end()) writes.push_back(v);
    problem_.from_before[static_cast<size_t>(v)] = false;
  }

  // What branches make and give is one value per result; what they need inside is scratch.
  void add_branches(int node, int join_position) {
    const int found = positions_.joins[static_cast<size_t>(join_position)];
    REPOSE_CHECK(found >= 0, "an `if` without a join");
    const BranchJoin& join = live_.joins[static_cast<size_t>(found)];
    auto is_inside = [&](int s) {
      const Storage& storage = live_.storages[static_cast<size_t>(s)];
      return storage.kind == Storage::Kind::computed && storage.first >= join.then_begin &&
             storage.first <= join.else_end;
    };
    for (const auto& [yes, no] : join.leaves) {
      int value = -1;
      for (const std::vector<int>& list : {yes, no}) {
        for (int s : list) {
          s = live_.root(s);
          if (!is_inside(s) || value_of_.contains(s)) continue;
          if (value < 0) {
            write(node, s);
            value = value_of_.at(s);
          }
          value_of_.emplace(s, value);
        }
      }
    }
    std::vector<int>& inside = inside_[node];
    for (int p = join.then_begin; p <= join.else_end; ++p) {
      for (int s : positions_.made[static_cast<size_t>(p)]) {
        if (!value_of_.contains(s)) inside.push_back(s);
      }
    }
  }

  // The homes are values; what the test and the body need is scratch.
  void add_loop(int node, const LoopRange& loop) {
    for (const LoopRange::Leaf& leaf : loop.leaves) write(node, leaf.home);
    std::vector<int>& inside = inside_[node];
    for (int p = loop.test_begin; p <= loop.back; ++p) {
      for (int s : positions_.made[static_cast<size_t>(p)]) inside.push_back(s);
    }
  }

  void read(size_t binding) {
    const graph::Binding& b = block_.bindings[binding];
    OrderProblem::Node& node = problem_.nodes[static_cast<size_t>(node_of_[binding])];
    auto values_of = [&](const graph::ValueNode* v) {
      std::vector<int> values;
      auto it = live_.places.find(v);
      if (it == live_.places.end()) return values;
      for (const std::vector<int>& place : it->second) {
        for (int s : place) {
          s = live_.root(s);
          if (live_.storages[static_cast<size_t>(s)].kind == Storage::Kind::computed) {
            values.push_back(value_for(s));
          }
        }
      }
      return values;
    };
    for (const graph::ValueNode* v : used_variables(b)) {
      for (int value : values_of(v)) {
        if (std::find(node.reads.begin(), node.reads.end(), value) == node.reads.end() &&
            std::find(node.writes.begin(), node.writes.end(), value) == node.writes.end()) {
          node.reads.push_back(value);
        }
      }
    }
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!call || !is_call_tir(*call)) return;
    tir::PrimFunc f = module_.prim_func(graph::as<graph::GlobalNode>(call->args[0])->name);
    if (!f) return;
    const Sharing sharing = sharing_of(*f);
    const auto& args = graph::as<graph::TupleNode>(call->args[1])->fields;
    std::map<size_t, std::vector<int>> over;  // per result
    for (const auto& [result, operand] : sharing.in_place) {
      if (operand >= args.size()) continue;
      for (int v : values_of(args[operand].get())) over[result].push_back(v);
    }
    for (auto& [result, list] : over) {
      const size_t leaf = result - args.size();
      if (leaf < node.writes.size()) candidates_[{node_of_[binding], node.writes[leaf]}] = list;
    }
    for (size_t p : sharing.concatenation) {
      std::vector<int> part = values_of(args[p].get());
      if (part.size() == 1) parts_[node_of_[binding]].push_back(part[0]);
    }
  }

  // A result may only be written over an operand of its size.
  void drop_unequal(OrderProblem::Node& node) {
    const int k = static_cast<int>(&node - problem_.nodes.data());
    node.reused.clear();
    for (int w : node.writes) {
      auto it = candidates_.find({k, w});
      if (it == candidates_.end()) continue;
      std::vector<int> equal;
      for (int v : it->second) {
        if (problem_.sizes[static_cast<size_t>(v)] == problem_.sizes[static_cast<size_t>(w)]) {
          equal.push_back(v);
        }
      }
      if (!equal.empty()) node.reused.push_back(std::move(equal));
    }
    if (auto it = parts_.find(k); it != parts_.end()) {
      for (int v : it->second) node.reused.push_back({v});
    }
  }

  int64_t most_inside(const std::vector<int>& storages, const std::vector<int64_t>& bytes) const {
    int first = live_.num_positions, last = 0;
    for (int s : storages) {
      const LiveSet& live = live_.storages[static_cast<size_t>(s)].live;
      first = std::min(first, live.front().first);
      last = std::max(last, live.back().last);
    }
    if (first > last) return 0;
    LiveBytes live(first, last);
    for (int s : storages) {
      live.add(live_.storages[static_cast<size_t>(s)].live, bytes[static_cast<size_t>(s)]);
    }
    return live.most();
  }

  graph::Block arrange(const std::vector<int>& order) const {
    std::vector<int> place(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      place[static_cast<size_t>(order[i])] = static_cast<int>(i);
    }
    struct Key {
      int place, is_follower;
      size_t binding;
      auto operator<=>(const Key&) const = default;
    };
    std::vector<Key> keys;
    for (size_t i = 0; i < block_.bindings.size(); ++i) {
      if (node_of_[i] >= 0) {
        keys.push_back({place[static_cast<size_t>(node_of_[i])], 0, i});
        continue;
      }
      int last = -1;
      for (int n : needs_[i]) last = std::max(last, place[static_cast<size_t>(n)]);
      keys.push_back({last, 1, i});
    }
    std::sort(keys.begin(), keys.end());
    graph::Block result{block_.is_dataflow, {}};
    for (const Key& k : keys) result.bindings.push_back(block_.bindings[k.binding]);
    return result;
  }

  const graph::Block& block_;
  const Module& module_;
  const Liveness& live_;
  const Aliasing& aliases_;
  const Positions& positions_;
  OrderProblem problem_;
  std::vector<int> node_of_;                                    // per binding; -1: it follows
  std::vector<std::vector<int>> needs_;                         // per binding: nodes
  std::unordered_map<int, int> value_of_;                       // by storage
  std::unordered_map<int, std::vector<int>> inside_;            // per node with branches: storages
  std::map<std::pair<int, int>, std::vector<int>> candidates_;  // (node, written): operands
  std::unordered_map<int, std::vector<int>> parts_;             // per node
};

std::vector<int64_t> bytes_at(const Liveness& live, const SymbolValues& values) {
  std::vector<int64_t> bytes;
  std::unordered_map<const ExprNode*, int64_t> known;
  for (const Storage& s : live.storages) {
    if (s.kind != Storage::Kind::computed) {
      bytes.push_back(0);
      continue;
    }
    auto [it, is_new] = known.emplace(s.bytes.get(), 0);
    if (is_new) it->second = align64(evaluate_bytes(s.bytes, values).value_or(0));
    bytes.push_back(it->second);
  }
  return bytes;
}

graph::Function with_body(const graph::Function& f, graph::Body body) {
  return make_ref<graph::FunctionNode>(f->params, std::move(body), f->result_type, f->is_pure,
                                       f->is_private, f->attrs, f->span);
}

// A function in some order, and what it needs at the samples.
struct Measured {
  graph::Function function;
  Liveness live;
  Aliasing aliases;
  std::vector<int64_t> bounds;
};

Measured measure(const graph::Function& f, Liveness live, const Module& module, const Facts& facts,
                 const std::vector<SymbolValues>& samples) {
  Measured m{f, std::move(live), {}, {}};
  m.aliases = find_aliases(f, module, m.live, facts);
  for (const SymbolValues& values : samples) {
    const auto sizes = arena_sizes(m.aliases.blocks, values);
    m.bounds.push_back(sizes ? lower_bound(m.aliases.blocks, *sizes, m.live.num_positions) : 0);
  }
  return m;
}

// Nowhere more, somewhere less.
bool is_better(const Measured& a, const Measured& b) {
  bool less = false;
  for (size_t i = 0; i < a.bounds.size(); ++i) {
    if (a.bounds[i] > b.bounds[i]) return false;
    less = less || a.bounds[i] < b.bounds[i];
  }
  return less;
}

// The sums of bytes that live at one time, without those that never exceed another.
MaxPlus::Max live_sums(const Measured& m, const Facts& facts, MaxPlus& algebra) {
  std::unordered_map<const ExprNode*, MaxPlus::Sum> sizes;
  std::map<int, std::vector<std::pair<const MaxPlus::Sum*, int64_t>>> changes;
  for (const Block& b : m.aliases.blocks) {
    if (!b.in_arena()) continue;
    auto it = sizes.find(b.bytes.get());
    if (it == sizes.end()) {
      it = sizes.emplace(b.bytes.get(), algebra.sum_of(align64(b.bytes, facts))).first;
    }
    for (const LiveRange& r : b.live) {
      changes[r.first].emplace_back(&it->second, 1);
      changes[r.last + 1].emplace_back(&it->second, -1);
    }
  }
  MaxPlus::Max sums;
  MaxPlus::Sum now = algebra.zero();
  for (const auto& [position, list] : changes) {
    bool grows = false;
    for (const auto& [size, sign] : list) {
      now = algebra.add(now, *size, sign);
      grows = grows || sign > 0;
    }
    if (grows) algebra.insert(sums, now);
  }
  return sums;
}

// Does `a` need no more than `b` for any values of the symbols.
bool is_never_worse(const Measured& a, const Measured& b, const Facts& facts,
                    const std::vector<SymbolValues>& samples) {
  MaxPlus algebra(facts, samples);
  const MaxPlus::Max limits = live_sums(b, facts, algebra);
  const MaxPlus::Max needed = live_sums(a, facts, algebra);
  return std::all_of(needed.begin(), needed.end(), [&](const MaxPlus::Sum& s) {
    return std::any_of(limits.begin(), limits.end(),
                       [&](const MaxPlus::Sum& t) { return algebra.at_most(s, t); });
  });
}

// The blocks of a body, and of its branches, each ordered on its own for one sample.
graph::Body reorder(const graph::Body& body, const Module& module, const Measured& now,
                    const Positions& positions, const std::vector<int64_t>& bytes) {
  std::vector<graph::Block> blocks;
  for (const graph::Block& block : body->blocks) {
    graph::Block inner = block;
    bool is_numbered = true;
    for (graph::Binding& b : inner.bindings) {
      is_numbered = is_numbered && now.live.positions.contains(b.var.get());
      if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        b.value = with_body(graph::Function(closure),
                            reorder(closure->body, module, now, positions, bytes));
      }
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        b.value = make_ref<graph::IfNode>(
            choice->condition, reorder(choice->then_body, module, now, positions, bytes),
            reorder(choice->else_body, module, now, positions, bytes), choice->type);
      }
    }
    if (!is_numbered) {  // of a closure that is no part of a loop
      blocks.push_back(std::move(inner));
      continue;
    }
    BlockOrder order(inner, module, now.live, now.aliases, positions);
    blocks.push_back(order.num_nodes() > 2 ? order.at(bytes) : std::move(inner));
  }
  return make_ref<graph::BodyNode>(std::move(blocks), body->result);
}

// Of two bodies with the same bindings, in blocks and branches.
bool same_order(const graph::Body& a, const graph::Body& b) {
  std::vector<const graph::VariableNode*> first, second;
  graph::visit_bindings(a, true, [&](const graph::Binding& x) { first.push_back(x.var.get()); });
  graph::visit_bindings(b, true, [&](const graph::Binding& x) { second.push_back(x.var.get()); });
  return first == second;
}

}  // namespace

graph::Function order_bindings(const graph::Function& f, const Module& module, const Facts& facts) {
  std::vector<Var> symbols;
  Liveness live = liveness(f);
  std::unordered_set<const ExprNode*> seen;
  for (const Storage& s : live.storages) {
    if (s.kind != Storage::Kind::computed && s.kind != Storage::Kind::view) continue;
    if (!s.bytes) return f;  // an unknown shape: not for native code
    if (!seen.insert(s.bytes.get()).second) continue;
    for (const Var& v : free_vars(s.bytes)) {
      if (std::find(symbols.begin(), symbols.end(), v) == symbols.end()) symbols.push_back(v);
    }
  }
  const std::vector<SymbolValues> samples = sample_values(symbols, facts);
  const Measured given = measure(f, std::move(live), module, facts, samples);
  Measured best = given;
  std::vector<graph::Body> tried{f->body};
  const Positions positions(given.live);
  for (size_t i = 0; i < std::min(samples.size(), max_searches); ++i) {
    const graph::Body body =
        reorder(f->body, module, given, positions, bytes_at(given.live, samples[i]));
    if (std::any_of(tried.begin(), tried.end(),
                    [&](const graph::Body& other) { return same_order(body, other); })) {
      continue;
    }
    tried.push_back(body);
    const graph::Function ordered = with_body(f, body);
    Measured candidate = measure(ordered, liveness(ordered), module, facts, samples);
    if (is_better(candidate, best) && is_never_worse(candidate, given, facts, samples)) {
      best = std::move(candidate);
    }
  }
  return best.function;
}

Module order_bindings(const Module& module) {
  Module result = module;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f || f->is_private) continue;
    graph::Function ordered = order_bindings(f, module, declared_facts(f));
    if (ordered != f) result.set(name, ordered);
  }
  return result;
}

}  // namespace repose
