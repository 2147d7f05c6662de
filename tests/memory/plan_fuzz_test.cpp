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

int number_of_plans() {
  return random_count("REPOSE_FUZZ_PLANS", 2000, 100);
}

TEST(PlanFuzz, NothingIsOverwrittenWhileItIsNeeded) {
  int in_place = 0, parts = 0, joined = 0, several = 0;
  for (int n = 0; n < number_of_plans(); ++n) {
    const auto seed = static_cast<uint32_t>(n);
    RandomGraph g = GraphMaker(seed, 4 + n % 24).make();
    if (n % 2 == 1) g.function = order_bindings(g.function, g.module, g.facts);
    const MemoryPlan plan = plan_memory(g.function, g.module, g.facts);
    in_place += !plan.aliases.overlapping_params.empty();
    parts += !plan.aliases.parts_to_copy.empty();
    joined += !plan.live.joins.empty();
    several += plan.regions[0].placements.size() > 1;
    std::mt19937 random(seed);
    for (uint32_t k = 0; k < 4; ++k) {
      const SymbolValues values = random_values(g, random);
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
}

}  // namespace
}  // namespace repose
