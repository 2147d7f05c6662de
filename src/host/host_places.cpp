// Where values are while host code is made: handles of blocks, the regions of the arena, and (with
// `--debug-memory`) what is overwritten once it is dead.
#include <algorithm>

#include "host/host_lowering.h"
#include "ir/op.h"

namespace repose {

Var HostLowering::handle_var(std::string name) {
  return make_var(std::move(name), dtypes::handle, VarRole::handle);
}

// Takes the arena once the checks at the head have passed: the plan may rely on them.
void HostLowering::begin() {
  if (std::exchange(has_begun_, true)) return;
  for (const auto& [name, value] : plan_.limit_names) out_->let(name, value);
  count_at_entry();
  open_regions();
}

void HostLowering::open_regions() {
  if (!has_begun_) return;
  for (size_t r = 0; r < plan_.regions.size(); ++r) {
    const Region& region = plan_.regions[r];
    const bool at_entry = region.position == 0;
    if (region.home >= 0) continue;  // the loop asks for it
    if ((region.position != position_ && !at_entry) || regions_[r].base) continue;
    if (is_const_int(region.bytes, 0)) continue;
    regions_[r].placed = place_blocks(*out_, region, static_cast<int>(r));
    Var base = handle_var(fmt::format("arena_{}", r));
    out_->let(base, make_call(Intrinsic::arena_region, dtypes::handle,
                              {make_int(static_cast<int64_t>(r)), regions_[r].placed.bytes}));
    regions_[r].base = base;
    if (!dead_after_.empty()) fill(base, regions_[r].placed.bytes);
  }
}

void HostLowering::find_last_uses() {
  dead_after_.resize(static_cast<size_t>(plan_.live.num_positions) + 1);
  for (size_t b = 0; b < plan_.aliases.blocks.size(); ++b) {
    if (plan_.region_of[b] < 0) continue;
    for (const LiveRange& r : plan_.aliases.blocks[b].live) {
      dead_after_[static_cast<size_t>(r.last)].push_back(static_cast<int>(b));
    }
  }
}

void HostLowering::fill(const Expr& data, const Expr& bytes) {
  out_->evaluate(make_call(Intrinsic::fill_bytes, dtypes::int32, {data, bytes}));
}

// A range that ends at a binding ends with a use; at the ends of branches, bytes may be needed
// after the join. Of what a branch has opened, nothing is known behind it.
void HostLowering::fill_dead() {
  fill_dead(position_, [](const Block&) { return true; });
}

void HostLowering::fill_dead(int position, const std::function<bool(const Block&)>& takes) {
  if (dead_after_.empty()) return;
  for (int b : dead_after_[static_cast<size_t>(position)]) {
    if (!takes(plan_.aliases.blocks[b])) continue;
    const Region& region = plan_.regions[plan_.region_of[b]];
    if (!regions_[plan_.region_of[b]].base) continue;
    fill(block_handle(b, "dead"), region.sizes[plan_.position_in[b]]);
  }
}

// The handle of a block; one in the arena gets its name here, where it is first written.
Expr HostLowering::block_handle(int b, const std::string& name) {
  if (block_handles_[b]) return block_handles_[b];
  const Block& block = plan_.aliases.blocks[b];
  auto storage = [&]() -> const Storage& { return plan_.live.storages[block.members[0]]; };
  switch (block.kind) {
    case Storage::Kind::input:
      return make_call(Intrinsic::input_data, dtypes::handle, {make_int(storage().input)});
    case Storage::Kind::constant:
      return make_call(Intrinsic::weight_data, dtypes::handle,
                       {make_int(weights_.place(storage().constant->data))});
    default:
      break;
  }
  if (block.result >= 0) return block_handles_[b] = result_handle(block.result, name);
  Var v = handle_var(name);
  const OpenRegion& region = regions_[plan_.region_of[b]];
  if (!region.base) {  // an empty region: every block in it has no bytes
    out_->let(v, make_call(Intrinsic::weight_data, dtypes::handle, {make_int(0)}));
  } else {
    Var offset = make_var(name + "_offset", dtypes::index, VarRole::let);
    out_->let(offset, region.placed.offset(plan_.position_in[b]));
    out_->let(v, make_call(Intrinsic::byte_offset, dtypes::handle, {region.base, offset}));
  }
  return block_handles_[b] = v;
}

// The handle of a storage: where it begins in its block.
Expr HostLowering::handle(int s) {
  if (handles_[s]) return handles_[s];
  const Storage& storage = plan_.live.storages[s];
  const std::string name = storage.definition ? storage.definition->name : "v";
  Expr block = block_handle(plan_.aliases.block_of[s], name);
  const Expr& begin = plan_.aliases.begin_bytes[s];
  if (is_const_int(begin, 0)) return block;
  return handles_[s] = offset_handle(block, begin, name);
}

Expr HostLowering::offset_handle(const Expr& base, const Expr& bytes, const std::string& name) {
  Var begin = make_var(name + "_begin", dtypes::index, VarRole::let);
  Var v = handle_var(name);
  out_->let(begin, bytes);
  out_->let(v, make_call(Intrinsic::byte_offset, dtypes::handle, {base, begin}));
  return v;
}

Expr HostLowering::result_handle(int r, const std::string& name) {
  Var v = handle_var(name);
  std::vector<Expr> args{make_int(r)};
  for (const Expr& d : interface_.outputs[r].dims) args.push_back(d);
  out_->let(v, make_call(Intrinsic::output_data, dtypes::handle, std::move(args)));
  return v;
}

// Where tensor leaf `i` of a value is.
Expr HostLowering::place(const Value& v, size_t i) {
  if (auto it = joined_.find(v.get()); it != joined_.end()) return it->second.at(i);
  // An alias of a joined value (a view, a member of a tuple) was recorded with its own handles.
  const std::vector<int>& storages = plan_.live.places.at(v.get()).at(i);
  return handle(storages.at(0));
}

std::vector<Expr> HostLowering::places(const Value& v) {
  if (auto it = joined_.find(v.get()); it != joined_.end()) return it->second;
  std::vector<Expr> result;
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const Value& field : tuple->fields) {
      for (Expr& e : places(field)) result.push_back(std::move(e));
    }
    return result;
  }
  for (int i = 0; i < count_tensors(v->type); ++i) result.push_back(place(v, i));
  return result;
}

// Where the tensors of a call's result are to be; null where the plan has no place for one.
std::vector<Expr> HostLowering::call_places(const graph::Variable& var) {
  std::vector<Expr> to;
  for (const std::vector<int>& storages : plan_.live.places.at(var.get())) {
    to.push_back(storages.empty() ? Expr() : handle(storages[0]));
  }
  return to;
}

// Is storage `s` where the value is?
bool HostLowering::lies_in(const Value& v, int s) const {
  auto it = plan_.live.places.find(v.get());
  return it != plan_.live.places.end() && it->second.at(0) == std::vector<int>{s};
}

// A result's buffer is asked for once: before the branches, where they use it.
void HostLowering::ask_for_results_of_branches() {
  for (const BranchJoin& join : plan_.live.joins) {
    if (join.then_begin != position_ + 1) continue;
    for (size_t b = 0; b < plan_.aliases.blocks.size(); ++b) {
      const Block& block = plan_.aliases.blocks[b];
      const bool used = std::any_of(block.members.begin(), block.members.end(), [&](int s) {
        const int first = plan_.live.storages[s].first;
        return first >= join.then_begin && first <= join.else_end;
      });
      if (block.result >= 0 && used) block_handle(static_cast<int>(b), "result");
    }
  }
}

}  // namespace repose
