// Passes over thousands of kernels: work that does not grow with their square.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "ops/ops.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/lower/legalize.h"
#include "passes/tensor/classify.h"
#include "passes/tensor/fuse_programs.h"
#include "script/parser.h"
#include "support/slow_build.h"

namespace repose {
namespace {

int most_expensive(const Module& module) {
  int most = 0;
  for (const std::string& name : module.names()) {
    const tir::PrimFunc f = module.prim_func(name);
    const std::optional<StagedProgram> staged = f ? to_stages(f) : std::nullopt;
    if (!staged) continue;
    int cost = 0;
    for (const Stage& s : staged->stages) cost += cost_of(s.value);
    most = std::max(most, cost);
  }
  return most;
}

int num_calls(const Module& module) {
  int calls = 0;
  graph::visit_bindings(module.graph_function("main")->body, true,
                        [&](const graph::Binding&) { ++calls; });
  return calls;
}

// Each merge works on the whole program: its cost is limited, so that of a chain is linear.
TEST(LargeModule, AChainBecomesProgramsOfLimitedCost) {
  constexpr int length = 1500;
  std::string text = "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\")):\n";
  std::string last = "x";
  for (int i = 0; i < length; ++i) {
    const std::string next = "v" + std::to_string(i);
    text += "    " + next + " = R.add(" + last + ", x)\n";
    last = next;
  }
  auto parsed = parse_module(make_text_source("test.relax", text + "    return " + last + "\n"),
                             standard_ops());
  ASSERT_TRUE(parsed.ok()) << to_string(parsed.errors());
  auto lowered = legalize(*parsed, standard_ops());
  ASSERT_TRUE(lowered.ok()) << to_string(lowered.errors());
  const FuseOptions options;
  const Module fused = eliminate_dead_code(fuse_programs(*lowered, standard_ops(), options));
  EXPECT_EQ(num_calls(fused), (length + options.max_cost - 1) / options.max_cost);
  EXPECT_EQ(most_expensive(fused), options.max_cost);
  const Module again = fuse_programs(fused, standard_ops(), options);
  EXPECT_EQ(num_calls(again), num_calls(fused));
}

// A name that is taken by all programs before does not try each of their numbers.
TEST(LargeModule, ManyProgramsOfOneName) {
  constexpr int programs = 10000;
  Module module;
  const std::clock_t start = std::clock();  // of this process: others may run
  for (int i = 0; i < programs; ++i) {
    const Buffer b = make_buffer("b", {make_int(i)}, dtypes::float32);
    module.add_prim_func("p", tir::make_prim_func({tir::buffer_param(b)}, tir::make_seq({}), true));
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(module.names().back(), "p_" + std::to_string(programs - 1));
  EXPECT_LT(seconds, is_slow_build ? 100 : 5);
  module.erase("p_7");
  EXPECT_EQ(module.fresh_name("p"), "p_7");
}

}  // namespace
}  // namespace repose
