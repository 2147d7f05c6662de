// Random functions, planned, and every plan executed at random values of the symbols: nothing that
// is needed later may be overwritten. REPOSE_FUZZ_PLANS says how many plans (default 2000).
#include <gtest/gtest.h>

#include "memory/order.h"
#include "memory/plan_graph.h"
#include "memory/simulate.h"
#include "support/slow_build.h"

namespace repose {
namespace {

SymbolValues random_values(const RandomGraph& g, std::mt19937& random) {
  SymbolValues values;
  for (const Var& v : g.symbols) {
    values.emplace(v.get(), nearest_value(v, static_cast<int64_t>(random() % 9), g.facts));
  }
  return values;
}

// Memory of their own for most programs, of which some depends on what they are given.
Workspaces random_workspaces(const Module& module, std::mt19937& random) {
  Workspaces all;
  for (const std::string& name : module.names()) {
    const tir::PrimFunc f = module.prim_func(name);
    if (!f || random() % 4 == 0) continue;
    Expr extent = make_int(static_cast<int64_t>(random() % 30));
    for (const Var& v : tir::bound_symbols(*f)) extent = extent + v * (random() % 2 ? 4 : 0);
    const bool shared = random() % 2;
    all.emplace(name,
                Workspace{shared ? extent : make_int(0), random() % 2 ? extent : make_int(0)});
  }
  return all;
}

int number_of_plans() {
  return random_count("REPOSE_FUZZ_PLANS", 2000, 100);
}

TEST(PlanFuzz, NothingIsOverwrittenWhileItIsNeeded) {
  int in_place = 0, parts = 0, joined = 0, several = 0, with_workspaces = 0;
  for (int n = 0; n < number_of_plans(); ++n) {
    const auto seed = static_cast<uint32_t>(n);
    RandomGraph g = GraphMaker(seed, 4 + n % 24).make();
    if (n % 2 == 1) g.function = order_bindings(g.function, g.module, g.facts);
    std::mt19937 random(seed);
    Workspaces workspaces;
    if (n % 3 == 1) workspaces = random_workspaces(g.module, random);
    PlanOptions options;
    options.workspaces = &workspaces;
    const MemoryPlan plan = plan_memory(g.function, g.module, g.facts, options);
    with_workspaces += !plan.workspaces.empty();
    in_place += !plan.aliases.overlapping_params.empty();
    parts += !plan.aliases.parts_to_copy.empty();
    joined += !plan.live.joins.empty();
    several += plan.regions[0].placements.size() > 1;
    for (uint32_t k = 0; k < 4; ++k) {
      SymbolValues values = random_values(g, random);
      values.emplace(plan.num_threads.get(), 1 + random() % 4);
      const std::string problem =
          Simulation(g.function, g.module, plan, values, seed * 4 + k).run();
      if (problem.empty()) continue;
      std::string at;
      for (const Var& v : g.symbols) {
        at += v->name + "=" + std::to_string(values.at(v.get())) + " ";
      }
      FAIL() << "seed " << n << ", " << at << ": " << problem;
    }
  }
  // The cases are there.
  EXPECT_GT(in_place * 4, number_of_plans());
  EXPECT_GT(parts * 10, number_of_plans());
  EXPECT_GT(joined * 10, number_of_plans());
  EXPECT_GT(several * 100, number_of_plans());
  EXPECT_GT(with_workspaces * 4, number_of_plans());
}

}  // namespace
}  // namespace repose
