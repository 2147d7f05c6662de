// Which storages share bytes.
#include "memory/alias.h"

#include <algorithm>
#include <span>
#include <unordered_set>

#include "ir/op.h"
#include "memory/bytes.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

namespace {

// Merges that may cost memory are tried on every sample; this many at most.
constexpr int max_trials = 400;

class Aliases {
 public:
  Aliases(const Module& module, const Liveness& live, const Facts& facts,
          const std::unordered_map<int, Expr>& home_bytes)
      : module_(module), live_(live), facts_(facts), same_bytes_(facts), home_bytes_(home_bytes) {
    std::vector<Var> symbols;
    for (size_t s = 0; s < live.storages.size(); ++s) add_block(static_cast<int>(s), symbols);
    for (size_t s = 0; s < live.storages.size(); ++s) {
      if (live.storages[s].kind == Storage::Kind::view) place_view(static_cast<int>(s));
    }
    samples_ = sample_values(symbols, facts);
  }

  Aliasing result;

  // A computed storage that is a result lives in that result's buffer, unless another result has
  // it, or the buffer's shape isn't known yet where the storage is written, or may need other bytes
  // than are written: a check between the two may still fail. What a loop carries and grows does so
  // in the buffer, where that has the room.
  void take_results(const graph::Function& f, const std::vector<bool>& donated) {
    const Places& places = live_.places.at(f->body->result.get());
    const std::vector<const TensorTypeNode*> types = tensor_leaves(f->body->result->type);
    for (size_t r = 0; r < places.size(); ++r) {
      const bool has_shape = types[r]->shape.has_value();  // else the interface will be refused
      bool direct = has_shape && places[r].size() == 1 && !(r < donated.size() && donated[r]);
      int known = 0;  // the shape
      for (const Expr& d : has_shape ? *types[r]->shape : Dims{})
        known = std::max(known, known_at(d));
      shape_known_.push_back(known);
      if (direct) {
        const int s = places[r][0];
        Block& block = block_of(s);
        direct = block.in_arena() && live_.storages[s].kind == Storage::Kind::computed &&
                 known < std::max(live_.storages[s].first, 1) &&
                 same_bytes_(size_bytes(*types[r]), block.bytes);
        if (direct) block.result = static_cast<int>(r);
      }
      result.copied_results.push_back(!direct);
    }
  }

  // The results of both branches in the same bytes.
  void join_branches() {
    for (const BranchJoin& join : live_.joins) {
      for (const auto& [then_storages, else_storages] : join.leaves) {
        if (then_storages.size() != 1 || else_storages.size() != 1) continue;
        const int a = then_storages[0], b = else_storages[0];
        if (!whole(a) || !whole(b) || !made_within(block_of(a), join.then_begin, join.then_end) ||
            !made_within(block_of(b), join.else_begin, join.else_end)) {
          continue;
        }
        const Expr &x = block_of(a).bytes, &y = block_of(b).bytes;
        if (known_at(x) != 0 || known_at(y) != 0) continue;
        const Expr larger = same_bytes_(x, y) ? x : simplify(max(x, y), facts_);
        merge(block_index(b), block_index(a), zero_);
        block_of(a).bytes = larger;
      }
    }
  }

  // What a loop carries: initial values and results of the body in the homes. Inner loops come
  // first, so that what an outer one gets from them is whole.
  void carry() {
    for (const KernelCall& call : live_.calls) {
      if (program(call) && is_in_loop(call)) find_candidates(call);
    }
    for (const LoopRange& loop : live_.loops) {
      for (const LoopRange::Leaf& leaf : loop.leaves) {
        if (leaf.copy < 0) carry_result(loop, leaf);
      }
    }
    for (const LoopRange& loop : live_.loops) {
      for (const LoopRange::Leaf& leaf : loop.leaves) carry_init(loop, leaf);
    }
  }

  // Parts of concatenations where they belong.
  void concatenate() {
    for (const KernelCall& call : live_.calls) {
      if (!program(call)) continue;
      const Sharing sharing = sharing_of(*program(call));
      if (sharing.concatenation.empty()) continue;
      const auto& args = arguments(call);
      const std::vector<int>& place = live_.places.at(call.result).at(0);
      if (place.size() != 1) continue;
      std::vector<size_t> left;
      Expr begin = zero_;
      for (size_t p : sharing.concatenation) {
        if (!put_part(args.at(p), place[0], begin)) left.push_back(p);
        begin = canonical(begin + size_bytes(*graph::tensor_of(args.at(p))));
      }
      if (left.size() < sharing.concatenation.size()) {
        result.parts_to_copy.emplace(call.call, std::move(left));
      }
    }
  }

  // Results over operands that die.
  void write_in_place() {
    for (const KernelCall& call : live_.calls) {
      if (program(call) && !is_in_loop(call)) find_candidates(call);
    }
    for (const KernelCall& call : live_.calls) {
      for (const std::vector<int>& place : live_.places.at(call.result)) {
        auto it = over_.find(place[0]);
        if (it == over_.end()) continue;
        for (int x : it->second) {
          if (write_over(x, place[0])) break;
        }
      }
    }
  }

  // Which parameters get overlapping memory.
  void note_overlaps() {
    for (const KernelCall& call : live_.calls) {
      if (!program(call)) continue;
      const auto& args = arguments(call);
      const Places& places = live_.places.at(call.result);
      for (size_t r = 0; r < places.size(); ++r) {
        for (size_t p = 0; p < args.size(); ++p) {
          if (!may_overlap(args[p], places[r][0])) continue;
          auto& params =
              result.overlapping_params[graph::as<graph::GlobalNode>(call.call->args[0])->name];
          params.insert(p);
          params.insert(args.size() + r);
        }
      }
    }
  }

 private:
  void add_block(int s, std::vector<Var>& symbols) {
    const Storage& storage = live_.storages[s];
    result.begin_bytes.push_back(zero_);
    if (storage.kind == Storage::Kind::view) {
      result.block_of.push_back(-1);
      return;
    }
    result.block_of.push_back(static_cast<int>(result.blocks.size()));
    Block block;
    block.kind = storage.kind;
    const auto home = home_bytes_.find(s);
    block.bytes = home == home_bytes_.end() ? storage.bytes : home->second;
    block.live = storage.live;
    block.members.push_back(s);
    longest_.push_back(block.live.empty() ? 0 : block.live.back().last - storage.first);
    result.blocks.push_back(std::move(block));
    const Expr& bytes = result.blocks.back().bytes;
    if (!bytes || !seen_.insert(bytes.get()).second) return;
    for (const Var& v : free_vars(bytes)) {
      if (std::find(symbols.begin(), symbols.end(), v) == symbols.end()) symbols.push_back(v);
    }
  }

  void place_view(int s) {
    const Storage& view = live_.storages[s];
    result.block_of[s] = result.block_of[view.base];
    result.begin_bytes[s] = view.offset_bytes;
    block_of(s).members.push_back(s);
  }

  int block_index(int s) const { return result.block_of[s]; }
  Block& block_of(int s) { return result.blocks[block_index(s)]; }

  const std::vector<graph::Value>& arguments(const KernelCall& call) const {
    return graph::as<graph::TupleNode>(call.call->args[1])->fields;
  }
  // Null for a call in place, whose results are where they are.
  tir::PrimFunc program(const KernelCall& call) const {
    if (call.call->op->name != "call_tir") return nullptr;
    return module_.prim_func(graph::as<graph::GlobalNode>(call.call->args[0])->name);
  }

  // The position after which every symbol of `e` is known.
  int known_at(const Expr& e) {
    auto [it, is_new] = known_at_.emplace(e.get(), 0);
    if (is_new) {
      kept_.push_back(e);
      for (const Var& v : free_vars(e)) {
        it->second = std::max(it->second, live_.symbol_positions.at(v.get()));
      }
    }
    return it->second;
  }

  // A computed storage that its block, which is in the arena or a result, consists of.
  bool whole(int s) {
    const Storage& storage = live_.storages[s];
    return storage.kind == Storage::Kind::computed && is_const_int(result.begin_bytes[s], 0) &&
           same_bytes_(storage.bytes, block_of(s).bytes);
  }

  bool made_within(const Block& block, int begin, int end) const {
    return std::all_of(block.members.begin(), block.members.end(), [&](int s) {
      return live_.storages[s].first >= begin && live_.storages[s].first <= end;
    });
  }

  // Where all alternatives of a value lie: one storage of one block, or -1.
  int only_storage(const graph::Value& v) {
    auto it = live_.places.find(v.get());
    if (it == live_.places.end() || it->second.size() != 1) return -1;
    const std::vector<int>& place = it->second[0];
    for (int s : place) {
      if (block_index(s) != block_index(place[0]) ||
          !structural_equal(result.begin_bytes[s], result.begin_bytes[place[0]])) {
        return -1;
      }
    }
    return place.empty() ? -1 : place[0];
  }

  // `begin` behind `by` bytes.
  Expr moved(const Expr& begin, const Expr& by) const {
    if (by == zero_) return begin;
    return begin == zero_ ? by : canonical(begin + by);
  }

  // Everything in block `from`, which is in the arena, moves into block `into`, at `begin`. Which
  // of the two numbers is the result's is nobody's business: the shorter list of members moves.
  void merge(int from, int into, const Expr& begin) {
    const LiveSet both = unite(result.blocks[from].live, result.blocks[into].live);
    for (Sums& sums : sums_) {
      join(sums.live, sums.sizes, from, into, both);
      sums.sizes[from] = 0;
    }
    result.blocks[into].live = both;
    if (begin == zero_ && result.blocks[from].members.size() > result.blocks[into].members.size()) {
      exchange(from, into);
      std::swap(from, into);
    }
    Block& a = result.blocks[from];
    Block& b = result.blocks[into];
    for (int s : a.members) {
      result.block_of[s] = into;
      result.begin_bytes[s] = moved(result.begin_bytes[s], begin);
      b.members.insert(std::upper_bound(b.members.begin(), b.members.end(), s,
                                        [&](int x, int y) { return begins(x) < begins(y); }),
                       s);
    }
    longest_[into] = std::max(longest_[into], longest_[from]);
    a.members.clear();
    a.live.clear();
    a.bytes = zero_;
  }

  // All but the members changes places.
  void exchange(int i, int k) {
    std::swap(result.blocks[i], result.blocks[k]);
    std::swap(result.blocks[i].members, result.blocks[k].members);
    for (Sums& sums : sums_) std::swap(sums.sizes[i], sums.sizes[k]);
  }

  // Can block `from` lie in `into` from `begin` on, as far as sizes have to be known.
  bool sizes_known(int from, int into, const Expr& begin) {
    const int first = result.blocks[from].first();
    const int r = result.blocks[into].result;
    if (r >= 0 && shape_known_[static_cast<size_t>(r)] >= std::max(first, 1)) return false;
    return known_at(result.blocks[into].bytes) < std::max(first, 1) &&
           known_at(begin) < std::max(first, 1);
  }

  bool is_in_loop(const KernelCall& call) const {
    return std::any_of(live_.loops.begin(), live_.loops.end(),
                       [&](const LoopRange& loop) { return loop.contains(call.position); });
  }

  // The body's result in the home, where what is carried is dead by then, may be written over, or
  // is the first part of it.
  void carry_result(const LoopRange& loop, const LoopRange::Leaf& leaf) {
    if (leaf.results.size() != 1 || leaf.results[0] == leaf.home) return;
    const int r = leaf.results[0];
    const int from = block_index(r), into = block_index(leaf.home);
    const Expr& begin = result.begin_bytes[leaf.home];
    if (from == into || begin != zero_ || !whole(r) || !block_of(r).in_arena() ||
        !made_within(block_of(r), loop.body_begin, loop.body_end)) {
      return;
    }
    const bool is_appended = first_part_of(r) == leaf.home;
    const bool has_bound = home_bytes_.contains(leaf.home);
    const bool is_fixed =
        whole(leaf.home) && same_bytes_(live_.storages[r].bytes, block_of(leaf.home).bytes);
    const bool grows = !has_bound && !is_fixed && is_appended &&
                       known_at(live_.storages[leaf.home].bytes) > loop.enter &&
                       always_runs(loop, live_.storages[r].first);
    if (!has_bound && !is_fixed && !grows) return;
    if (is_appended) part_of_[leaf.home] = r;
    handed_on_[r] = {leaf.home, loop.back};
    if (compatible(from, into, begin)) {
      if (grows) result.appended.emplace(leaf.home, r);
      return merge(from, into, begin);
    }
    handed_on_.erase(r);
    if (is_appended) part_of_.erase(leaf.home);
  }

  // Is a position of a loop's body passed in each iteration, once.
  bool always_runs(const LoopRange& loop, int position) const {
    for (const BranchJoin& join : live_.joins) {
      if (join.then_begin > loop.body_begin && join.then_begin <= position &&
          position <= join.else_end) {
        return false;
      }
    }
    return std::none_of(live_.loops.begin(), live_.loops.end(), [&](const LoopRange& inner) {
      return inner.enter > loop.enter && inner.contains(position);
    });
  }

  // The storage of the first part of the concatenation that makes `s`; -1 if there is none.
  int first_part_of(int s) {
    const auto call =
        std::find_if(live_.calls.begin(), live_.calls.end(), [&](const KernelCall& k) {
          return k.result == live_.storages[s].definition && k.position == live_.storages[s].first;
        });
    if (call == live_.calls.end() || !program(*call)) return -1;
    const Sharing sharing = sharing_of(*program(*call));
    return sharing.concatenation.empty()
               ? -1
               : only_storage(arguments(*call).at(sharing.concatenation[0]));
  }

  // The initial value in the home, where nothing needs it after the loop has begun.
  void carry_init(const LoopRange& loop, const LoopRange::Leaf& leaf) {
    if (leaf.inits.size() != 1) return;
    const int x = leaf.inits[0];
    const int from = block_index(x), into = block_index(leaf.home);
    const Expr& begin = result.begin_bytes[leaf.home];
    if (from == into || !whole(x) || !block_of(x).in_arena() || !whole(leaf.home) ||
        !same_bytes_(live_.storages[x].bytes, live_.storages[leaf.home].bytes) ||
        !sizes_known(from, into, begin)) {
      return;
    }
    handed_on_[x] = {leaf.home, loop.enter};
    if (compatible(from, into, begin)) return merge(from, into, begin);
    handed_on_.erase(x);
  }

  // When both live, but for the moment when one of the two hands on its bytes as they are.
  LiveSet common_live(int a, int b) const {
    LiveSet common = intersect(live_.storages[a].live, live_.storages[b].live);
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      const auto it = handed_on_.find(from);
      if (it == handed_on_.end() || it->second.home != to) continue;
      const LiveRange moment{it->second.position, it->second.position};
      std::erase(common, moment);
    }
    return common;
  }

  bool put_part(const graph::Value& part, int whole_storage, const Expr& begin) {
    const int s = only_storage(part);
    const auto part_of = part_of_.find(s);
    if (s >= 0 && part_of != part_of_.end() && part_of->second == whole_storage &&
        block_index(s) == block_index(whole_storage) &&
        structural_equal(result.begin_bytes[s], moved(result.begin_bytes[whole_storage], begin))) {
      return true;  // what a loop carries
    }
    for (const auto& [home, concatenation] : result.appended) {
      if (concatenation == whole_storage) return false;  // its place is known once it has grown
    }
    if (s < 0 || !whole(s) || !block_of(s).in_arena()) return false;
    const int from = block_index(s), into = block_index(whole_storage);
    if (from == into) return false;
    const Expr at = moved(result.begin_bytes[whole_storage], begin);
    if (!sizes_known(from, into, at)) return false;
    part_of_[s] = whole_storage;
    if (compatible(from, into, at) &&
        (!result.blocks[into].in_arena() || is_no_larger(from, into))) {
      merge(from, into, at);
      return true;
    }
    part_of_.erase(s);
    return false;
  }

  // Does `part` hold some of the bytes of `whole` as they are in it.
  bool is_part_of(int part, int whole) const {
    for (auto it = part_of_.find(part); it != part_of_.end(); it = part_of_.find(it->second)) {
      if (it->second == whole) return true;
    }
    return false;
  }

  bool disjoint(const Expr& begin_a, int a, const Expr& begin_b, int b) {
    if (begin_a == begin_b) return false;  // unless there are no bytes
    return prove_le(begin_a + live_.storages[a].bytes, begin_b, facts_) == Truth::yes ||
           prove_le(begin_b + live_.storages[b].bytes, begin_a, facts_) == Truth::yes;
  }

  int begins(int s) const { return live_.storages[s].first; }

  // Of the members of a block, which are in the order in which they begin, those that may live
  // within `live`: few, also of a block of thousands, each written over the one before.
  std::span<const int> members_near(int block, const LiveSet& live) const {
    if (live.empty()) return {};
    const std::vector<int>& members = result.blocks[block].members;
    const auto from =
        std::lower_bound(members.begin(), members.end(), live.front().first - longest_[block],
                         [&](int s, int position) { return begins(s) < position; });
    const auto to = std::upper_bound(from, members.end(), live.back().last,
                                     [&](int position, int s) { return position < begins(s); });
    return {from, to};
  }

  // Would no member of `from`, moved into `into` at `begin`, lie in bytes of a member of `into`
  // that live at the same time?
  bool compatible(int from, int into, const Expr& begin) {
    for (int a : members_near(from, result.blocks[into].live)) {
      if (live_.storages[a].kind == Storage::Kind::view) continue;
      const LiveSet& live = live_.storages[a].live;
      if (!overlap(live, result.blocks[into].live)) continue;
      const Expr at = moved(result.begin_bytes[a], begin);
      for (int b : members_near(into, live)) {
        if (live_.storages[b].kind == Storage::Kind::view || is_part_of(a, b) || is_part_of(b, a) ||
            !overlap(live, live_.storages[b].live)) {
          continue;
        }
        const LiveSet common = common_live(a, b);
        if (common.empty()) continue;
        const bool over = is_written_over(a, b, common) || is_written_over(b, a, common);
        if (over && structural_equal(at, result.begin_bytes[b])) continue;
        if (!disjoint(at, a, result.begin_bytes[b], b)) return false;
      }
    }
    return true;
  }

  // May result o be written over x, which lives up to there; `common`: when both live.
  bool is_written_over(int x, int o, const LiveSet& common) {
    const int position = live_.storages[o].first;
    if (common != LiveSet{{position, position}} || live_.storages[x].first >= position ||
        !ends_at(live_.storages[x].live, position)) {
      return false;
    }
    auto it = over_.find(o);
    return it != over_.end() &&
           std::find(it->second.begin(), it->second.end(), x) != it->second.end() &&
           same_bytes_(live_.storages[x].bytes, live_.storages[o].bytes);
  }

  // Does the lower bound grow at no sample if `from` moves into `into`.
  bool is_no_larger(int from, int into) {
    if (++trials_ > max_trials) return false;
    if (sums_.empty() && !sum_up()) return false;
    const LiveSet both = unite(result.blocks[from].live, result.blocks[into].live);
    return std::none_of(sums_.begin(), sums_.end(), [&](const Sums& sums) {
      LiveBytes joined = sums.live;
      join(joined, sums.sizes, from, into, both);
      return joined.most() > sums.live.most();
    });
  }

  // The blocks of the arena at one sample.
  struct Sums {
    std::vector<int64_t> sizes;
    LiveBytes live;
  };

  // `from` becomes part of `into`, which lives at `both` then.
  void join(LiveBytes& live, const std::vector<int64_t>& sizes, int from, int into,
            const LiveSet& both) const {
    live.add(result.blocks[from].live, -sizes[from]);
    live.add(result.blocks[into].live, -sizes[into]);
    live.add(both, sizes[into]);
  }

  // Nothing, and false, where a size cannot be evaluated.
  bool sum_up() {
    for (const SymbolValues& values : samples_) {
      std::optional<std::vector<int64_t>> sizes = arena_sizes(result.blocks, values);
      if (!sizes) {
        sums_.clear();
        return false;
      }
      Sums sums{std::move(*sizes), LiveBytes(0, live_.num_positions)};
      for (size_t i = 0; i < result.blocks.size(); ++i) {
        sums.live.add(result.blocks[i].live, sums.sizes[i]);
      }
      sums_.push_back(std::move(sums));
    }
    return true;
  }

  // The operands that each result of a call may be written over: computed storages, which no
  // parameter reads otherwise.
  void find_candidates(const KernelCall& call) {
    const Sharing sharing = sharing_of(*program(call));
    const auto& args = arguments(call);
    const Places& places = live_.places.at(call.result);
    for (const auto& [result_param, operand] : sharing.in_place) {
      const size_t leaf = result_param - args.size();
      if (operand >= args.size() || leaf >= places.size() || only_storage(args[operand]) < 0) {
        continue;
      }
      for (int x : live_.places.at(args[operand].get())[0]) {
        if (live_.storages[x].kind == Storage::Kind::computed &&
            only_read_in_place(call, sharing, result_param, x)) {
          over_[places[leaf][0]].push_back(x);
        }
      }
    }
  }

  bool only_read_in_place(const KernelCall& call, const Sharing& sharing, size_t result_param,
                          int x) const {
    const auto& args = arguments(call);
    for (size_t p = 0; p < args.size(); ++p) {
      auto it = live_.places.find(args[p].get());
      if (it == live_.places.end()) continue;
      for (const std::vector<int>& place : it->second) {
        for (int s : place) {
          if (live_.root(s) != x) continue;
          const Sharing::InPlace wanted{result_param, p};
          if (s != x || std::find(sharing.in_place.begin(), sharing.in_place.end(), wanted) ==
                            sharing.in_place.end()) {
            return false;
          }
        }
      }
    }
    return true;
  }

  // Puts operand x in the bytes of result o, if it can be written over there.
  bool write_over(int x, int o) {
    if (!block_of(x).in_arena() || block_index(x) == block_index(o) || !whole(x)) return false;
    const Storage& written = live_.storages[o];
    const LiveSet common = intersect(live_.storages[x].live, written.live);
    const int from = block_index(x), into = block_index(o);
    const Expr& begin = result.begin_bytes[o];
    if (!is_written_over(x, o, common) || !compatible(from, into, begin) ||
        !sizes_known(from, into, begin)) {
      return false;
    }
    const bool covers = same_bytes_(written.bytes, block_of(o).bytes);
    if (!covers && block_of(o).in_arena() && !is_no_larger(from, into)) return false;
    merge(from, into, begin);
    return true;
  }

  bool may_overlap(const graph::Value& v, int o) {
    auto it = live_.places.find(v.get());
    if (it == live_.places.end()) return false;
    for (const std::vector<int>& place : it->second) {
      for (int s : place) {
        if (block_index(s) == block_index(o) &&
            !disjoint(result.begin_bytes[s], s, result.begin_bytes[o], o)) {
          return true;
        }
      }
    }
    return false;
  }

  const Module& module_;
  const Liveness& live_;
  const Facts& facts_;
  const Expr zero_ = make_int(0);
  SameBytes same_bytes_;
  const std::unordered_map<int, Expr>& home_bytes_;
  std::vector<SymbolValues> samples_;
  std::unordered_map<const ExprNode*, int> known_at_;
  std::vector<Sums> sums_;    // per sample; made where the first merge has to be tried
  std::vector<int> longest_;  // per block: from the begin of a member to its end, at most
  std::unordered_set<const ExprNode*> seen_;  // sizes whose symbols are known
  std::vector<int> shape_known_;  // per result: the position after which its buffer can be had
  std::vector<Expr> kept_;
  std::unordered_map<int, std::vector<int>> over_;  // per result: operands, the first ones first
  std::unordered_map<int, int> part_of_;            // parts of concatenations that are in place
  struct HandedOn {
    int home;
    int position;
  };
  std::unordered_map<int, HandedOn> handed_on_;  // storages whose bytes become those of a home
  int trials_ = 0;
};

}  // namespace

Aliasing find_aliases(const graph::Function& f, const Module& module, const Liveness& live,
                      const Facts& facts, const AliasOptions& options) {
  Aliases aliases(module, live, facts, options.home_bytes);
  aliases.take_results(f, options.donated_results);
  if (options.in_place) {
    aliases.carry();
    aliases.join_branches();
    aliases.concatenate();
    aliases.write_in_place();
    aliases.note_overlaps();
  }
  return std::move(aliases.result);
}

}  // namespace repose
