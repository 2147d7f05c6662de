// Hooks around kernels where someone profiles, and operations counted before they run.
#include <algorithm>

#include "base/message_text.h"
#include "host/host_lowering.h"

namespace repose {

void HostLowering::begin_kernel(const std::string& kernel, CallProfile profile) {
  if (!profiles_) return;
  out_->evaluate(
      make_call(Intrinsic::kernel_begins, dtypes::int32,
                {make_int(static_cast<int64_t>(profiled.size())), std::move(profile.flops),
                 std::move(profile.read_bytes), std::move(profile.written_bytes)}));
  profiled.push_back({kernel, std::move(profile.nodes)});
}

void HostLowering::begin_kernel(const std::string& kernel, const graph::Binding& b) {
  if (!profiles_) return;
  auto known = profiles_->find(b.var.get());
  if (known != profiles_->end()) return begin_kernel(kernel, known->second);
  begin_copy(kernel, b.span, make_int(0));
}

void HostLowering::begin_copy(const std::string& kernel, const Span& span, const Expr& bytes) {
  if (!profiles_) return;
  const Expr none = make_float(0, dtypes::float64);
  const Expr moved = make_cast(dtypes::float64, bytes);
  begin_kernel(
      kernel, {span ? std::vector<std::string>{place_text(span)} : std::vector<std::string>{}, none,
               moved, moved});
}

void HostLowering::end_kernel() {
  if (profiles_) out_->evaluate(make_call(Intrinsic::kernel_ends, dtypes::int32, {}));
}

// Of kernels that always run at sizes known at entry, operations are counted all at once, before
// any runs.
Operations HostLowering::operations_of(const graph::CallNode& call, const Type& result) {
  const std::string& program = graph::as<graph::GlobalNode>(call.args[0])->name;
  const tir::PrimFunc f = module_.prim_func(program);
  auto [known, is_new] = operations_.try_emplace(program);
  if (is_new) known->second = repose::operations_of(f);
  Operations here;
  here.add(known->second, program_symbols(*f, call, result));
  return here;
}

void HostLowering::count(const Operations& operations, const std::string& place) {
  if (operations.is_zero()) return;
  out_->evaluate(make_call(Intrinsic::count_operations, dtypes::int32,
                           {operations.to_expr(), make_string(place)}));
}

bool HostLowering::always_runs(int position) const {
  const auto& loops = plan_.live.loops;
  if (std::any_of(loops.begin(), loops.end(),
                  [&](const LoopRange& loop) { return loop.contains(position); })) {
    return false;
  }
  return std::none_of(plan_.live.joins.begin(), plan_.live.joins.end(),
                      [&](const BranchJoin& join) {
                        return join.then_begin <= position && position <= join.else_end;
                      });
}

bool HostLowering::is_known_at_entry(const Operations& operations) const {
  const std::vector<Var> symbols = free_vars(operations.to_expr());
  return std::all_of(symbols.begin(), symbols.end(), [&](const Var& v) {
    auto it = plan_.live.symbol_positions.find(v.get());
    return it != plan_.live.symbol_positions.end() && it->second == 0;
  });
}

void HostLowering::count_at_entry() {
  Operations all;
  for (const KernelCall& k : plan_.live.calls) {
    if (plan_.aliases.parts_to_copy.contains(k.call) || !always_runs(k.position)) continue;
    const Operations own = operations_of(*k.call, k.result->type);
    if (!is_known_at_entry(own)) continue;
    all.add(own, {});
    counted_.insert(k.call);
  }
  count(all, "");
}

}  // namespace repose
