// The lowering of one graph function to host code: what lower_host.cpp, host_places.cpp,
// host_profile.cpp and host_loops.cpp share.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "host/lower_host.h"
#include "host/lower_packed.h"
#include "host/place_blocks.h"
#include "host/statements.h"
#include "ir/operations.h"

namespace repose {

// Walks the bindings of the function in their order, as the plan's positions do. What it makes goes
// to the statements at hand: those of the function, a branch, or a loop's body.
class HostLowering {
 public:
  HostLowering(const Module& module, const MemoryPlan& plan, WeightTable& weights,
               std::vector<std::string>& packed_functions, const FunctionInterface& interface,
               const HostOptions& options)
      : module_(module),
        plan_(plan),
        weights_(weights),
        interface_(interface),
        profiles_(options.profiles),
        packed_(packed_functions, packed_context()) {
    if (options.debug_memory) find_last_uses();
  }

  Diagnostics problems;
  std::vector<ProfiledCall> profiled;

  tir::Stmt lower(const graph::Function& f);
  int num_held() const { return packed_.num_held(); }

 private:
  using Value = graph::Value;
  using Indices = std::vector<Expr>;

  // A home without a bound that keeps what it holds when it grows: in one of two regions.
  struct GrowingHome {
    Buffer data;       // its address
    Buffer room;       // how many bytes it may take there
    Buffer is_second;  // in which of the regions
  };
  // What differs from one iteration to the next in names: symbols that the carried values bind, and
  // addresses of homes that have no bound, each in a cell.
  struct OpenLoop {
    std::vector<Var> symbols;
    std::vector<Buffer> symbol_cells;
    std::vector<Buffer> data_cells;  // per leaf; null: the address never changes
  };
  struct OpenRegion {
    Expr base;  // null: not open, or without bytes
    PlacedBlocks placed;
  };

  PackedContext packed_context();
  void body(const graph::Body& b);
  void refuse(const Span& span, const std::string& what);
  void binding(const graph::Binding& b);
  void lower_received(const graph::Binding& b, const graph::CallNode* call);
  void alias_joined(const graph::Binding& b);
  void lower_call(const graph::Binding& b, const graph::CallNode& c);
  void lower_call_tir(const graph::Binding& b, const graph::CallNode& c);
  void copy_parts(const graph::Binding& b, const graph::CallNode& c,
                  const std::vector<size_t>& to_copy);
  void check_shapes(const graph::Binding& b, const std::string& program, const tir::PrimFuncNode& f,
                    const std::vector<const TensorTypeNode*>& buffers, const VarMap& symbols);
  void lower_tensor_to_shape(const graph::Binding& b, const graph::CallNode& c);
  void lower_cast(const graph::Binding& b);
  void match(const Span& span, const std::string& what, const Expr& want, const Expr& have);
  bool is_parameter_symbol(const VarNode* v) const;
  Expr condition_of(const Value& v);
  void lower_if(const graph::Binding& b, const graph::IfNode& choice);
  void copy(const Expr& to, const Expr& from, const Expr& bytes);
  void finish_results(const Value& result);
  void check_donations(const Value& result);
  void copy_results(const std::vector<Expr>& sources, bool donated);

  // ---- Where values are: host_places.cpp
  static Var handle_var(std::string name);
  void begin();
  void open_regions();
  void find_last_uses();
  void fill(const Expr& data, const Expr& bytes);
  void fill_dead();
  void fill_dead(int position, const std::function<bool(const Block&)>& takes);
  Expr block_handle(int b, const std::string& name);
  Expr handle(int s);
  Expr offset_handle(const Expr& base, const Expr& bytes, const std::string& name);
  Expr result_handle(int r, const std::string& name);
  Expr place(const Value& v, size_t i = 0);
  std::vector<Expr> places(const Value& v);
  std::vector<Expr> call_places(const graph::Variable& var);
  bool lies_in(const Value& v, int s) const;
  void ask_for_results_of_branches();

  // ---- Profiles, and operations counted: host_profile.cpp
  void begin_kernel(const std::string& kernel, CallProfile profile);
  void begin_kernel(const std::string& kernel, const graph::Binding& b);
  void begin_copy(const std::string& kernel, const Span& span, const Expr& bytes);
  void end_kernel();
  Operations operations_of(const graph::CallNode& call, const Type& result);
  void count(const Operations& operations, const std::string& place);
  bool always_runs(int position) const;
  bool is_known_at_entry(const Operations& operations) const;
  void count_at_entry();

  // ---- Loops: host_loops.cpp
  void lower_loop(const graph::Binding& b, const LoopRange& loop);
  bool is_native(const Span& span, const Type& t);
  void check_fit(const graph::Binding& b, const Type& have, const Type& want, const VarMap& symbols,
                 const char* what);
  Expr ask_for_home(int home, const Buffer& cell, const Expr& bytes);
  void grow_for(int s);
  bool same_place(int a, int b) const;
  bool is_there(const std::vector<int>& storages, int home) const;
  void enter_homes(const graph::Binding& b, const LoopRange& loop, OpenLoop& open);
  void keep_room(int home, const Buffer& data, const Expr& bytes);
  Expr lower_test(const graph::Binding& b, const LoopRange& loop, const Type& carried);
  void lower_back(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                  const OpenLoop& open);
  void leave_loop(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                  const OpenLoop& open);

  const Module& module_;
  const MemoryPlan& plan_;
  WeightTable& weights_;
  const FunctionInterface& interface_;
  const CallProfiles* profiles_;  // null: no profile
  PackedCalls packed_;
  Statements root_;
  Statements* out_ = &root_;
  Facts facts_;  // once the checks at the head have passed
  int position_ = 0;
  bool has_begun_ = false;  // the checks at the head are behind
  std::vector<OpenRegion> regions_;
  std::vector<Expr> handles_;                 // per storage that doesn't begin where its block does
  std::vector<Expr> block_handles_;           // per block
  std::vector<std::vector<int>> dead_after_;  // per position: blocks; empty: no debugging
  std::unordered_map<const graph::ValueNode*, std::vector<Expr>> joined_;
  std::unordered_map<int, GrowingHome> growing_;
  std::unordered_map<const graph::ValueNode*, Dims> host_dims_;  // shapes that data decides
  std::unordered_set<const VarNode*> bound_here_;
  std::unordered_map<std::string, Operations> operations_;  // of programs
  std::unordered_set<const graph::CallNode*> counted_;      // at entry
};

}  // namespace repose
