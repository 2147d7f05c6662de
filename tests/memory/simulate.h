// Executes a plan without kernels: every byte that is written gets a mark of its own, and every
// read has to find the marks that belong to its value.
#pragma once

#include <random>

#include "memory/plan.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

class Simulation {
 public:
  Simulation(const graph::Function& f, const Module& module, const MemoryPlan& plan,
             const SymbolValues& values, uint32_t seed)
      : function_(f), module_(module), plan_(plan), values_(values), random_(seed) {}

  // What is wrong, or nothing.
  std::string run() {
    auto at = plan_at(plan_, values_);
    if (!at) return "a size cannot be evaluated";
    at_ = std::move(*at);
    check_peak();
    allocate();
    body(function_->body);
    const graph::Value& result = function_->body->result;
    for (size_t leaf = 0; leaf < plan_.live.places.at(result.get()).size(); ++leaf) {
      read(result, leaf, "the result");
    }
    for (size_t b = 0; b < plan_.aliases.blocks.size(); ++b) {
      const Storage::Kind kind = plan_.aliases.blocks[b].kind;
      if (kind != Storage::Kind::computed && memory_[b] != original_[b]) {
        problem("an input or constant was written");
      }
    }
    return problems_;
  }

 private:
  using Bytes = std::vector<uint32_t>;  // a mark per byte

  void problem(const std::string& what) {
    if (problems_.empty()) problems_ = what;
  }
  int64_t value_of(const Expr& e) { return evaluate(e, values_).value(); }

  void check_peak() {
    int64_t peak = 0;
    for (const Region& r : plan_.regions) peak += value_of(r.bytes);
    if (peak != at_.arena_bytes) problem("the peak's expression differs from the placement");
    if (at_.arena_bytes < at_.lower_bound && plan_.regions.size() == 1) {
      problem("the arena is smaller than what is live");
    }
    for (size_t b = 0; b < at_.offsets.size(); ++b) {
      if (at_.offsets[b] > 0 && at_.offsets[b] % 64 != 0) problem("a block is not aligned");
    }
  }

  void allocate() {
    for (const Region& r : plan_.regions) {
      int64_t peak = 0;
      for (int b : r.blocks) {
        peak =
            std::max(peak, at_.offsets[static_cast<size_t>(b)] + at_.sizes[static_cast<size_t>(b)]);
      }
      if (peak > value_of(r.bytes)) problem("a block ends beyond its region");
      arenas_.emplace_back(static_cast<size_t>(peak), 0);
    }
    for (const Block& b : plan_.aliases.blocks) {
      int64_t bytes = 0;
      if (b.kind == Storage::Kind::constant) {
        bytes = plan_.live.storages[static_cast<size_t>(b.members[0])].constant->data->num_bytes;
      } else if (b.kind == Storage::Kind::input) {
        const int input = plan_.live.storages[static_cast<size_t>(b.members[0])].input;
        bytes = value_of(
            size_bytes(*as<TensorTypeNode>(function_->params[static_cast<size_t>(input)]->type)));
      } else if (b.result >= 0) {
        bytes = value_of(b.bytes);
      }
      memory_.push_back(marks(bytes));
    }
    original_ = memory_;
    contents_.resize(plan_.live.storages.size());
    for (size_t s = 0; s < plan_.live.storages.size(); ++s) {
      const Storage::Kind kind = plan_.live.storages[s].kind;
      if (kind == Storage::Kind::input || kind == Storage::Kind::constant) {
        contents_[s] = memory_[static_cast<size_t>(plan_.aliases.block_of[s])];
      }
    }
  }

  Bytes marks(int64_t bytes) {
    Bytes marks(static_cast<size_t>(bytes));
    for (uint32_t& m : marks) m = next_++;
    return marks;
  }

  struct Run {  // of bytes in some memory
    Bytes* memory;
    size_t begin, size;
    bool overlaps(const Run& o) const {
      return memory == o.memory && size > 0 && o.size > 0 && begin < o.begin + o.size &&
             o.begin < begin + size;
    }
  };
  Run run_of(int s, int64_t bytes) {
    const auto b = static_cast<size_t>(plan_.aliases.block_of[static_cast<size_t>(s)]);
    int64_t begin = value_of(plan_.aliases.begin_bytes[static_cast<size_t>(s)]);
    Bytes* memory = &memory_[b];
    if (plan_.region_of[b] >= 0) {
      memory = &arenas_[static_cast<size_t>(plan_.region_of[b])];
      begin += at_.offsets[b];
    }
    if (begin < 0 || static_cast<size_t>(begin + bytes) > memory->size()) {
      problem("a value lies outside of its memory");
      return {memory, 0, 0};
    }
    return {memory, static_cast<size_t>(begin), static_cast<size_t>(bytes)};
  }

  // The storage in which the value is, in this execution.
  int storage_of(const graph::Value& v, size_t leaf) {
    auto it = current_.find(v.get());
    if (it != current_.end()) return it->second.at(leaf);
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const graph::Value& field : tuple->fields) {
        const size_t n = plan_.live.places.at(field.get()).size();
        if (leaf < n) return storage_of(field, leaf);
        leaf -= n;
      }
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      size_t begin = 0;
      const auto* type = as<TupleTypeNode>(get->tuple->type);
      for (int i = 0; i < get->index; ++i) {
        begin += static_cast<size_t>(count_tensors(type->fields[static_cast<size_t>(i)]));
      }
      return storage_of(get->tuple, begin + leaf);
    }
    return plan_.live.places.at(v.get()).at(leaf).at(0);
  }

  Run read(const graph::Value& v, size_t leaf, const std::string& who) {
    const int s = storage_of(v, leaf);
    const Bytes& wanted = contents_[static_cast<size_t>(s)];
    const Run run = run_of(s, static_cast<int64_t>(wanted.size()));
    if (run.size == wanted.size() &&
        !std::equal(wanted.begin(), wanted.end(),
                    run.memory->begin() + static_cast<std::ptrdiff_t>(run.begin))) {
      problem(who + " reads bytes that something else has overwritten");
    }
    return run;
  }

  void write(int s, const Bytes& content) {
    const Run run = run_of(s, static_cast<int64_t>(content.size()));
    if (run.size == content.size()) {
      std::copy(content.begin(), content.end(),
                run.memory->begin() + static_cast<std::ptrdiff_t>(run.begin));
    }
    contents_[static_cast<size_t>(s)] = content;
  }

  void body(const graph::Body& b) {
    for (const graph::Block& block : b->blocks) {
      for (const graph::Binding& binding : block.bindings) this->binding(binding);
    }
  }

  void binding(const graph::Binding& b) {
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      const graph::Body& taken = random_() % 2 ? choice->then_body : choice->else_body;
      body(taken);
      current_[b.var.get()] = {storage_of(taken->result, 0)};
      return;
    }
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op->name == "call_tir") return kernel(b, *call);
    if (call && is_view(*call)) {
      const int from = storage_of(call->args[0], 0);
      if (call->op->name == "reshape") {
        current_[b.var.get()] = {from};
        return;
      }
      // Of the alternatives, the one whose base the operand is.
      for (int s : plan_.live.places.at(b.var.get())[0]) {
        if (plan_.live.root(s) != plan_.live.root(from)) continue;
        const Bytes& whole = contents_[static_cast<size_t>(from)];
        const auto begin = static_cast<std::ptrdiff_t>(value_of(view_offset_bytes(*call)));
        const auto size = static_cast<std::ptrdiff_t>(
            value_of(plan_.live.storages[static_cast<size_t>(s)].bytes));
        contents_[static_cast<size_t>(s)] =
            Bytes(whole.begin() + begin, whole.begin() + begin + size);
        current_[b.var.get()] = {s};
      }
      return;
    }
    if (count_tensors(b.var->type) == 0) return;
    std::vector<int> leaves;
    for (size_t i = 0; i < plan_.live.places.at(b.var.get()).size(); ++i) {
      leaves.push_back(storage_of(b.value, i));
    }
    current_[b.var.get()] = leaves;
  }

  void kernel(const graph::Binding& b, const graph::CallNode& call) {
    const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
    const Sharing sharing = sharing_of(*module_.prim_func(name));
    const auto& args = graph::as<graph::TupleNode>(call.args[1])->fields;
    std::vector<Run> operands;
    for (const graph::Value& a : args) operands.push_back(read(a, 0, name));
    const Run own = workspace(call);
    for (const Run& operand : operands) {
      if (own.overlaps(operand)) problem("memory of " + name + "'s own overlaps an operand");
    }
    const Places& places = plan_.live.places.at(b.var.get());
    if (!sharing.concatenation.empty()) return concatenate(call, sharing, args, places[0][0]);
    for (size_t r = 0; r < places.size(); ++r) {
      const int s = places[r][0];
      const int64_t bytes = value_of(plan_.live.storages[static_cast<size_t>(s)].bytes);
      const Run result = run_of(s, bytes);
      if (own.overlaps(result)) problem("memory of " + name + "'s own overlaps a result");
      check_overlaps(name, sharing, operands, args.size() + r, result);
      write(s, marks(bytes));
    }
    // One result over another would show here.
    for (size_t r = 0; r < places.size(); ++r) read(b.var, r, name);
  }

  // Memory of the program's own, which the program overwrites; empty if it has none.
  Run workspace(const graph::CallNode& call) {
    auto it = plan_.workspaces.find(&call);
    if (it == plan_.workspaces.end()) return {nullptr, 0, 0};
    const auto b = static_cast<size_t>(it->second);
    Bytes& arena = arenas_[static_cast<size_t>(plan_.region_of[b])];
    const Run run{&arena, static_cast<size_t>(at_.offsets[b]),
                  static_cast<size_t>(value_of(plan_.aliases.blocks[b].bytes))};
    const Bytes junk = marks(static_cast<int64_t>(run.size));
    std::copy(junk.begin(), junk.end(), arena.begin() + static_cast<std::ptrdiff_t>(run.begin));
    return run;
  }

  void check_overlaps(const std::string& name, const Sharing& sharing,
                      const std::vector<Run>& operands, size_t result_param, const Run& written) {
    for (size_t p = 0; p < operands.size(); ++p) {
      if (!written.overlaps(operands[p])) continue;
      const Sharing::InPlace pair{result_param, p};
      const bool may = std::find(sharing.in_place.begin(), sharing.in_place.end(), pair) !=
                       sharing.in_place.end();
      if (!may || written.begin != operands[p].begin || written.size != operands[p].size) {
        problem(name + " writes over an operand that it may not write over");
      }
      auto it = plan_.aliases.overlapping_params.find(name);
      if (it == plan_.aliases.overlapping_params.end() || !it->second.contains(p) ||
          !it->second.contains(result_param)) {
        problem(name + " has overlapping parameters that are not recorded");
      }
    }
  }

  void concatenate(const graph::CallNode& call, const Sharing& sharing,
                   const std::vector<graph::Value>& args, int whole) {
    Bytes content;
    for (size_t p : sharing.concatenation) {
      const Bytes& part = contents_[static_cast<size_t>(storage_of(args[p], 0))];
      content.insert(content.end(), part.begin(), part.end());
    }
    auto it = plan_.aliases.parts_to_copy.find(&call);
    if (it == plan_.aliases.parts_to_copy.end()) {
      const Run to = run_of(whole, static_cast<int64_t>(content.size()));
      for (const graph::Value& a : args) {
        if (to.overlaps(read(a, 0, "a concatenation"))) problem("a part lies in its whole");
      }
      write(whole, content);
      return;
    }
    const Run to = run_of(whole, static_cast<int64_t>(content.size()));
    size_t begin = to.begin;
    for (size_t p : sharing.concatenation) {
      const Run from = read(args[p], 0, "a concatenation");
      if (std::find(it->second.begin(), it->second.end(), p) != it->second.end()) {
        const Bytes part(
            from.memory->begin() + static_cast<std::ptrdiff_t>(from.begin),
            from.memory->begin() + static_cast<std::ptrdiff_t>(from.begin + from.size));
        std::copy(part.begin(), part.end(),
                  to.memory->begin() + static_cast<std::ptrdiff_t>(begin));
      }
      begin += from.size;
    }
    contents_[static_cast<size_t>(whole)] = content;
    const Run now = run_of(whole, static_cast<int64_t>(content.size()));
    if (!std::equal(content.begin(), content.end(),
                    now.memory->begin() + static_cast<std::ptrdiff_t>(now.begin))) {
      problem("a part of a concatenation is not where it belongs");
    }
  }

  const graph::Function& function_;
  const Module& module_;
  const MemoryPlan& plan_;
  const SymbolValues& values_;
  std::mt19937 random_;
  PlanAt at_;
  std::vector<Bytes> arenas_, memory_, original_;
  std::vector<Bytes> contents_;  // per storage: the marks of its value
  std::unordered_map<const graph::ValueNode*, std::vector<int>> current_;
  uint32_t next_ = 1;
  std::string problems_;
};

}  // namespace repose
