// The function that answers how much memory a call would need.
#include "host/make_sizes.h"

#include "base/message_text.h"
#include "host/check_inputs.h"
#include "host/place_blocks.h"

namespace repose {

tir::PrimFunc make_sizes(const FunctionInterface& interface, const graph::Function& f,
                         const MemoryPlan& plan) {
  Statements out;
  int64_t num_dims = 0;
  for (const ValueInfo& o : interface.outputs) num_dims += static_cast<int64_t>(o.dims.size());
  Buffer bytes = make_buffer("bytes", {make_int(1)}, dtypes::int64);
  Buffer dims = make_buffer("output_dims", {make_int(num_dims)}, dtypes::int64);
  for (size_t i = 0; i < interface.symbols.size(); ++i) {
    const SymbolInfo& s = interface.symbols[i];
    out.let(s.symbol,
            make_call(Intrinsic::sizes_symbol, dtypes::index, {make_int(static_cast<int64_t>(i))}));
    out.check(le(make_int(0), s.symbol),
              fmt::format("{} is {{0}}, which is negative", quoted(s.name)), {s.symbol}, {});
    check_range(out, s, quoted(s.name));
  }
  for (const graph::Binding& b : head_of(f)) add_head(out, interface, b);
  for (const auto& [name, value] : plan.limit_names) out.let(name, value);
  auto as_data = [](const Expr& e) { return make_cast(dtypes::int64, e); };
  const bool data_decides = plan.regions.size() > 1;
  const Expr arena = data_decides ? make_int(-1, dtypes::int64)
                                  : as_data(place_blocks(out, plan.regions[0], 0).bytes);
  out.add(tir::make<tir::StoreNode>(bytes, std::vector<Expr>{make_int(0)}, arena));
  int64_t at = 0;
  for (const Dims& dims_of_result : plan.result_limits) {
    for (const Expr& most : dims_of_result) {
      const Expr value = most ? as_data(most) : make_int(-1, dtypes::int64);
      out.add(tir::make<tir::StoreNode>(dims, std::vector<Expr>{make_int(at++)}, value));
    }
  }
  return tir::make_prim_func(
      {tir::buffer_param(bytes), tir::buffer_param(dims), tir::scalar_param(plan.num_threads)},
      out.finish());
}

}  // namespace repose
